package dev.headroom.memory.spi;

import java.lang.foreign.MemorySegment;

/** Part of a block, reachable by the host. Used by one thread at a time, which may change from call to call. */
public interface HostMapping extends AutoCloseable {

    /**
     * The mapped bytes. May be used from any thread until the mapping is closed.
     *
     * @return the segment, exactly as long as asked
     */
    MemorySegment segment();

    /**
     * Makes the host's writes visible to the device, where memory is not coherent.
     *
     * @throws DriverException if the driver refuses
     */
    void flush() throws DriverException;

    /**
     * Makes the device's writes visible to the host, where memory is not coherent.
     *
     * @throws DriverException if the driver refuses
     */
    void invalidate() throws DriverException;

    /**
     * Ends the mapping. Called once; does not flush.
     *
     * @throws DriverException if the driver refuses; the mapping counts as closed all the same
     */
    @Override
    void close() throws DriverException;
}
