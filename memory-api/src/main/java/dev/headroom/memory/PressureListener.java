package dev.headroom.memory;

/**
 * Asked to give memory back when a pool runs short, once per request. Called on the thread that allocates, with no lock
 * held: it may free, allocate or close buffers of any pool; what it allocates itself asks no listener. One that throws is
 * logged, and the allocation goes on.
 */
@FunctionalInterface
public interface PressureListener {

    /**
     * Gives back what it can.
     *
     * @param pool        the pool that runs short
     * @param pressure    how full the device is
     * @param wantedBytes bytes the pool still lacks
     * @return bytes given back, 0 if none
     */
    long onPressure(GpuMemoryPool pool, MemoryPressure pressure, long wantedBytes);
}
