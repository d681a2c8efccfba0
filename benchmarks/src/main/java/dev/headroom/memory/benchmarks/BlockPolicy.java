package dev.headroom.memory.benchmarks;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What policies have in common that split blocks and join them again. Written from public descriptions. Not thread-safe. */
abstract class BlockPolicy implements RangePolicy {

    static final long MIB = 1L << 20;

    private final List<@Nullable Block> table = new ArrayList<>();
    private int[] spare = new int[1024];
    private int spareCount;

    /** A piece of a segment, free or not; ordered by size and then by address. */
    static final class Block implements Comparable<Block> {
        long address;
        long byteSize;
        boolean free;
        boolean small;

        @Nullable
        Block before;

        @Nullable
        Block after;

        Block(long address, long byteSize) {
            this.address = address;
            this.byteSize = byteSize;
        }

        @Override
        public int compareTo(Block other) {
            int bySize = Long.compare(byteSize, other.byteSize);
            return bySize != 0 ? bySize : Long.compare(address, other.address);
        }

        @Override
        @SuppressWarnings("exports") // JSpecify is known at compile time only
        public boolean equals(@Nullable Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(this);
        }

        /** Cuts the end off, which begins after so many bytes. */
        Block split(long bytes) {
            Block rest = new Block(address + bytes, byteSize - bytes);
            rest.small = small;
            byteSize = bytes;
            rest.before = this;
            rest.after = after;
            if (after != null) {
                after.before = rest;
            }
            after = rest;
            return rest;
        }

        /** Takes the next one in. */
        void absorb(Block next) {
            byteSize += next.byteSize;
            after = next.after;
            if (next.after != null) {
                next.after.before = this;
            }
        }
    }

    static long roundUp(long bytes, long unit) {
        return (bytes + unit - 1) / unit * unit;
    }

    /** Gives a block a number. */
    long number(Block block) {
        if (spareCount > 0) {
            int number = spare[--spareCount];
            table.set(number, block);
            return number;
        }
        table.add(block);
        return table.size() - 1L;
    }

    /** The block of a number, which is free again. */
    Block take(long number) {
        Block block = Objects.requireNonNull(table.set((int) number, null));
        spare = spareCount < spare.length ? spare : Arrays.copyOf(spare, 2 * spareCount);
        spare[spareCount++] = (int) number;
        return block;
    }
}
