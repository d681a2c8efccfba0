package dev.headroom.memory.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * PyTorch's expandable segments: best fit with joining over two ranges of addresses whose pages are mapped when they are needed,
 * 2 MiB for requests up to 1 MiB and 20 MiB for others. The device is large enough, so that no page is ever unmapped.
 */
final class ExpandablePolicy extends BlockPolicy {

    private static final long UNIT = 512;

    /** How many blocks are looked at for one that needs no new page. */
    private static final int TRIES = 8;

    private final Range small = new Range(2 * MIB, true);
    private final Range large = new Range(20 * MIB, false);
    private long reserved;

    private final class Range {
        private final long page;
        private final boolean ofSmall;
        private final TreeSet<Block> free = new TreeSet<>();
        private final List<Boolean> mapped = new ArrayList<>();
        private @Nullable Block last;
        private long end;

        private Range(long page, boolean ofSmall) {
            this.page = page;
            this.ofSmall = ofSmall;
        }

        private boolean isMapped(Block block, long size) {
            for (long at = block.address / page; at <= (block.address + size - 1) / page; at++) {
                if (!mapped.get((int) at)) {
                    return false;
                }
            }
            return true;
        }

        private void map(Block block, long size) {
            for (long at = block.address / page; at <= (block.address + size - 1) / page; at++) {
                if (!mapped.set((int) at, true)) {
                    reserved += page;
                }
            }
        }

        private Block find(long size) {
            Block wanted = new Block(-1, size);
            int tries = 0;
            for (Block block : free.tailSet(wanted)) {
                if (isMapped(block, size)) {
                    return block;
                }
                if (++tries == TRIES) {
                    break;
                }
            }
            Block unmapped = free.ceiling(wanted);
            return unmapped == null ? extend(size) : unmapped;
        }

        private Block extend(long size) {
            Block tail = last != null && last.free ? last : null;
            long more = roundUp(size - (tail == null ? 0 : tail.byteSize), page);
            for (long i = 0; i < more / page; i++) {
                mapped.add(false);
            }
            Block block;
            if (tail == null) {
                block = new Block(end, more);
                block.small = ofSmall;
                block.before = last;
                if (last != null) {
                    last.after = block;
                }
                last = block;
            } else {
                free.remove(tail);
                tail.byteSize += more;
                block = tail;
            }
            end += more;
            block.free = true;
            free.add(block);
            return block;
        }
    }

    @Override
    public long allocate(long bytes) {
        long size = roundUp(bytes, UNIT);
        Range range = size <= MIB ? small : large;
        Block block = range.find(size);
        range.free.remove(block);
        range.map(block, size);
        if (block.byteSize > size) {
            Block rest = block.split(size);
            if (block.equals(range.last)) {
                range.last = rest;
            }
            rest.free = true;
            range.free.add(rest);
        }
        block.free = false;
        return number(block);
    }

    @Override
    public void free(long number) {
        Block block = take(number);
        Range range = block.small ? small : large;
        if (block.after != null && block.after.free) {
            Block after = block.after;
            range.free.remove(after);
            if (after.equals(range.last)) {
                range.last = block;
            }
            block.absorb(after);
        }
        if (block.before != null && block.before.free) {
            Block before = block.before;
            range.free.remove(before);
            if (block.equals(range.last)) {
                range.last = before;
            }
            before.absorb(block);
            block = before;
        }
        block.free = true;
        range.free.add(block);
    }

    @Override
    public long reservedBytes() {
        return reserved;
    }
}
