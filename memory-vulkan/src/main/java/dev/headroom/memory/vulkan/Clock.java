package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;

/**
 * Numbers what is put into one Vulkan queue, from 1, and knows how far the device has come. Reaching a number means that
 * everything up to it is finished. Thread-safe, but the three methods around a submission are called under the queue's lock.
 */
interface Clock {

    /** What the next submission has to signal. */
    Tick next() throws DriverException;

    /** The next submission was made: its number counts. */
    void submitted(Tick tick);

    /** The next submission was not made. */
    void refused(Tick tick);

    /** The number of the last submission. */
    long last();

    /** How far the device has come. Never blocks. */
    long completed() throws DriverException;

    /** Waits until the device has come so far. False if the time is up or the thread is interrupted, which stays set. */
    boolean await(long number, Duration timeout) throws DriverException;

    /** A timeline semaphore with these numbers, 0 where there is none. */
    long semaphore();

    /** Lets go of everything. Nothing is under way, or the device is lost. */
    void close();

    /**
     * What a submission signals.
     *
     * @param number    its number
     * @param semaphore the timeline semaphore raised to the number, 0 for none
     * @param fence     the fence, 0 for none
     */
    record Tick(long number, long semaphore, long fence) {}
}
