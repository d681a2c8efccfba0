package dev.headroom.memory.cpu;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;

/** Where blocks come from. Thread-safe, without state. */
sealed interface BlockSource permits MappedBlocks, PlainBlocks {

    /**
     * What block sizes are multiples of and every block is aligned to.
     *
     * @return bytes, a power of two
     */
    long granularity();

    /**
     * Takes memory.
     *
     * @param byteSize      how much, a multiple of the granularity
     * @param byteAlignment the alignment, a power of two and at least the granularity
     * @param kind          what the block is for
     * @return the block
     * @throws DriverException {@code OUT_OF_MEMORY} if there is none; nothing is kept then
     */
    HostBlock allocate(long byteSize, long byteAlignment, MemoryKind kind) throws DriverException;

    /**
     * Gives memory back.
     *
     * @param block a block of {@link #allocate}
     * @return whether it is gone
     */
    FreeOutcome free(HostBlock block);
}
