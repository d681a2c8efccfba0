package dev.headroom.memory.cpu;

import dev.headroom.memory.spi.DriverQueue;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A queue whose commands are finished as soon as they are in it: what is left is the count of its signals.
 *
 * <p>Thread-safe. Whoever reads a value sees the bytes that were written before it was signalled.
 */
final class HostQueue implements DriverQueue {

    private final AtomicLong signalled = new AtomicLong();

    /** The next value, reached already. */
    long signal() {
        return signalled.incrementAndGet();
    }

    /** The last value given out, 0 if none. */
    long signalled() {
        return signalled.get();
    }

    @Override
    public void close() {
        // Nothing is ever left in it.
    }
}
