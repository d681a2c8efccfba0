package dev.headroom.memory;

/**
 * The figures of a {@link FixedBlockPool} at one moment.
 *
 * <p>Threads: immutable.
 *
 * @param inUseBlocks   blocks that were allocated and not freed, 0 or more
 * @param freeBlocks    blocks that could be allocated without growing, 0 or more
 * @param waitingBlocks blocks that were freed and whose work is not known to be finished, 0 or more
 * @param slabs         buffers taken from the pool, 0 or more
 * @param byteSize      bytes in these buffers, 0 or more
 */
public record FixedBlockStats(int inUseBlocks, int freeBlocks, int waitingBlocks, int slabs, long byteSize) {}
