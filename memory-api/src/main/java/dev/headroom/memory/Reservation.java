package dev.headroom.memory;

import java.util.Set;

/**
 * Bytes set aside on one or more devices, so that nobody else in this process is granted them. Buffers taken through
 * {@link #pool} use the reserved bytes first. Thread-safe.
 */
public interface Reservation extends AutoCloseable {

    /**
     * The devices bytes are set aside on.
     *
     * @return the devices
     */
    Set<GpuDevice> devices();

    /**
     * What is still set aside on a device.
     *
     * @param device one of {@link #devices()}
     * @return bytes not yet turned into memory
     * @throws IllegalArgumentException if nothing was reserved there
     */
    long remainingBytes(GpuDevice device);

    /**
     * The device's pool, seen through this reservation.
     *
     * @param device one of {@link #devices()}
     * @return the pool; closing this view does nothing
     * @throws IllegalArgumentException if nothing was reserved there
     */
    GpuMemoryPool pool(GpuDevice device);

    /** Returns what is left. Buffers already taken stay. Closing twice does nothing. Never throws. */
    @Override
    void close();
}
