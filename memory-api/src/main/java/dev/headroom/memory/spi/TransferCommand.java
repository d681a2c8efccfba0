package dev.headroom.memory.spi;

import java.lang.foreign.MemorySegment;

/** One piece of work for a queue. Ranges are inside their blocks; source and target do not overlap. */
public sealed interface TransferCommand {

    /**
     * Moves bytes.
     *
     * @param source   where from
     * @param target   where to
     * @param byteSize how many, above 0
     */
    record Copy(Endpoint source, Endpoint target, long byteSize) implements TransferCommand {}

    /**
     * Sets bytes.
     *
     * @param block      the block
     * @param byteOffset where the range begins
     * @param byteSize   how long it is, above 0
     * @param value      the byte to set
     */
    record Fill(DriverBlock block, long byteOffset, long byteSize, byte value) implements TransferCommand {}

    /** One side of a copy. */
    sealed interface Endpoint {}

    /**
     * Memory of this driver.
     *
     * @param block      the block
     * @param byteOffset where in it
     */
    record InBlock(DriverBlock block, long byteOffset) implements Endpoint {}

    /**
     * Memory of the host.
     *
     * @param segment the bytes; native memory, exactly as long as the copy
     */
    record InHost(MemorySegment segment) implements Endpoint {}

    /**
     * Memory of another driver of the same backend.
     *
     * @param block      that driver's block, which knows where it belongs
     * @param byteOffset where in it
     */
    record InPeer(DriverBlock block, long byteOffset) implements Endpoint {}
}
