package dev.headroom.memory.spi;

/**
 * Where a buffer really lies, held in place: while this is open the buffer is neither recycled nor moved. The base of a
 * backend's native views. Closing twice does nothing.
 */
public interface PinnedRange extends AutoCloseable {

    /**
     * The block the buffer lies in.
     *
     * @return the block
     */
    DriverBlock block();

    /**
     * Where it begins in the block.
     *
     * @return bytes
     */
    long byteOffset();

    /**
     * How long it is.
     *
     * @return bytes
     */
    long byteSize();

    /**
     * The driver the block belongs to.
     *
     * @return the driver
     */
    DeviceDriver driver();

    @Override
    void close();

    /** A buffer that can be pinned; the engine's device buffers are. */
    interface Source {

        /**
         * Holds the buffer in place.
         *
         * @return the range, to be closed by the caller
         * @throws dev.headroom.memory.BufferClosedException if the buffer is closed
         */
        PinnedRange pin();
    }
}
