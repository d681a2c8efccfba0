package dev.headroom.memory.spi;

import dev.headroom.memory.MemoryKind;

/**
 * Address ranges that get memory piece by piece. Offsets and sizes are multiples of {@link #granularity}; the engine
 * commits a piece before use and never twice. Thread-safe for disjoint pieces.
 */
public interface VirtualMemory {

    /**
     * Whether a kind can live in such a range.
     *
     * @param kind the kind
     * @return true if it can
     */
    boolean supports(MemoryKind kind);

    /**
     * The smallest piece.
     *
     * @return bytes, a power of two
     */
    long granularity();

    /**
     * Reserves addresses without memory behind them, from a multiple of 2 MiB or of the granularity, whichever is larger.
     *
     * @param byteSize a multiple of the granularity
     * @param kind     a supported kind
     * @return the range, as a block in which nothing is committed
     * @throws DriverException if the driver refuses
     */
    DriverBlock reserve(long byteSize, MemoryKind kind) throws DriverException;

    /**
     * Puts memory behind a piece.
     *
     * @param range      a block of {@link #reserve}
     * @param byteOffset where the piece begins
     * @param byteSize   how long it is
     * @throws DriverException {@code OUT_OF_MEMORY} if there is none; nothing is committed then
     */
    void commit(DriverBlock range, long byteOffset, long byteSize) throws DriverException;

    /**
     * Takes the memory from a piece; the addresses stay reserved.
     *
     * @param range      a block of {@link #reserve}
     * @param byteOffset where the piece begins; it may cover pieces committed in several calls, all of them committed
     * @param byteSize   how long it is
     * @return whether the memory is gone; a piece that is not is never touched again
     */
    FreeOutcome decommit(DriverBlock range, long byteOffset, long byteSize);

    /**
     * Gives the range back, with whatever is still committed in it.
     *
     * @param range a block of {@link #reserve}
     * @return whether it is gone
     */
    FreeOutcome release(DriverBlock range);
}
