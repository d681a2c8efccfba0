package dev.headroom.memory;

/**
 * Asked to give memory back when a pool runs short, and told when the pressure on its device has changed. Both are called
 * with no lock held: they may free, allocate or close buffers of any pool; what they allocate themselves asks no listener.
 * One that throws, also an error, is logged and counted, and everything else goes on.
 */
@FunctionalInterface
public interface PressureListener {

    /**
     * Gives back what it can. Called on the thread that allocates, once per request.
     *
     * @param pool        the pool that runs short
     * @param pressure    how full the device is
     * @param wantedBytes bytes the pool still lacks
     * @return bytes given back, 0 if none
     */
    long onPressure(GpuMemoryPool pool, MemoryPressure pressure, long wantedBytes);

    /**
     * Takes note of another level. Called on a thread of the pool's own, so that a slow listener delays no allocation, only
     * the listeners after it. At first the level is {@link MemoryPressure#LOW}; the device is looked at every
     * {@link MemoryConfig#pressureInterval}, and at once when the pool's own growth reaches a higher level. A level is left
     * downwards only when less than its threshold less 0.05 is in use: a share between 0.75 and 0.80 that was
     * {@code HIGH} stays so. Levels passed through between two calls are left out. While nothing is known about the
     * device, because its driver does not answer or has no total, the level stays what it was.
     *
     * @param pool   the pool
     * @param before the level announced last
     * @param now    the level now
     */
    default void onChange(GpuMemoryPool pool, MemoryPressure before, MemoryPressure now) {}
}
