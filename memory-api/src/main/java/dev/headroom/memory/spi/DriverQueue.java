package dev.headroom.memory.spi;

/** An in-order queue of one driver. Opaque to the engine. */
public interface DriverQueue extends AutoCloseable {

    /** Lets go of the queue. Called once, when no work is left in it or the device is lost. Never throws. */
    @Override
    void close();
}
