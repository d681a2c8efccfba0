package dev.headroom.memory.benchmarks;

import java.util.TreeSet;

/** Best fit with joining, in units of 256 bytes: over one range, or over segments each as large as all before (as RMM). */
final class BestFitPolicy extends BlockPolicy {

    private static final long UNIT = 256;
    private static final long AMPLE = 256L << 30;

    private final TreeSet<Block> free = new TreeSet<>();
    private final boolean doubling;
    private long next;
    private long highest;

    BestFitPolicy(boolean doubling) {
        this.doubling = doubling;
        if (!doubling) {
            free(new Block(0, AMPLE));
        }
    }

    @Override
    public long allocate(long bytes) {
        long size = roundUp(bytes, UNIT);
        Block block = free.ceiling(new Block(-1, size));
        if (block == null) {
            if (!doubling) {
                return NONE;
            }
            block = new Block(next, Math.max(roundUp(size, 2 * MIB), Math.max(next, 256 * MIB)));
            next += block.byteSize;
        } else {
            free.remove(block);
        }
        if (block.byteSize > size) {
            free(block.split(size));
        }
        block.free = false;
        highest = Math.max(highest, block.address + size);
        return number(block);
    }

    private void free(Block block) {
        block.free = true;
        free.add(block);
    }

    @Override
    public void free(long number) {
        Block block = take(number);
        if (block.after != null && block.after.free) {
            free.remove(block.after);
            block.absorb(block.after);
        }
        if (block.before != null && block.before.free) {
            Block before = block.before;
            free.remove(before);
            before.absorb(block);
            block = before;
        }
        free(block);
    }

    @Override
    public long reservedBytes() {
        return doubling ? next : highest;
    }
}
