package dev.headroom.memory.spi;

import java.time.Duration;

/** An event of ours behind work in a user's queue. Thread-safe. */
public interface DriverFence extends AutoCloseable {

    /**
     * Whether the work before it is finished. Never blocks.
     *
     * @return true once done
     * @throws DriverException if the device is lost
     */
    boolean done() throws DriverException;

    /**
     * Waits for the work. An interrupt ends the wait early and stays set.
     *
     * @param timeout how long at most
     * @return true if it is done
     * @throws DriverException if the device is lost
     */
    boolean await(Duration timeout) throws DriverException;

    /** Lets go of the event. Called once; work still pending goes on. Never throws. */
    @Override
    void close();
}
