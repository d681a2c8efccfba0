package dev.headroom.memory.benchmarks;

import java.util.TreeSet;

/**
 * PyTorch's caching allocator, the classic policy: sizes in units of 512 bytes; up to 1 MiB from segments of 2 MiB, up to 10 MiB
 * from segments of 20 MiB, above that segments of the size in units of 2 MiB; best fit, and joining inside a segment. The device
 * is large enough, so that nothing is ever given back.
 */
final class TorchPolicy extends BlockPolicy {

    private static final long UNIT = 512;

    private final TreeSet<Block> smallFree = new TreeSet<>();
    private final TreeSet<Block> largeFree = new TreeSet<>();
    private long reserved;

    @Override
    public long allocate(long bytes) {
        long size = roundUp(bytes, UNIT);
        boolean small = size <= MIB;
        TreeSet<Block> free = small ? smallFree : largeFree;
        Block block = free.ceiling(new Block(-1, size));
        if (block == null) {
            long segment = small ? 2 * MIB : size < 10 * MIB ? 20 * MIB : roundUp(size, 2 * MIB);
            block = new Block(reserved, segment);
            block.small = small;
            reserved += segment;
        } else {
            free.remove(block);
        }
        long rest = block.byteSize - size;
        if (small ? rest >= UNIT : rest > MIB) {
            Block end = block.split(size);
            end.free = true;
            free.add(end);
        }
        block.free = false;
        return number(block);
    }

    @Override
    public void free(long number) {
        Block block = take(number);
        TreeSet<Block> free = block.small ? smallFree : largeFree;
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
        block.free = true;
        free.add(block);
    }

    @Override
    public long reservedBytes() {
        return reserved;
    }
}
