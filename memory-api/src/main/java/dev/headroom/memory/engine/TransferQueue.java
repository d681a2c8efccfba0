package dev.headroom.memory.engine;

import dev.headroom.memory.spi.DriverQueue;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * One of our in-order queues, and how far it is known to have come. Buffers of other devices may wait for it too: what becomes
 * of its device is this queue's business, and none of theirs. Thread-safe.
 */
final class TransferQueue {

    private final DeviceSession session;
    private final DriverQueue queue;
    private final AtomicLong reached = new AtomicLong();
    private final AtomicLong issued = new AtomicLong();

    TransferQueue(DeviceSession session, DriverQueue queue) {
        this.session = session;
        this.queue = queue;
    }

    DriverQueue queue() {
        return queue;
    }

    boolean belongsTo(DeviceSession other) {
        return session.equals(other);
    }

    /** Fails if nobody will ever know how far it has come. */
    void requireKnown() {
        if (!session.isGone()) {
            session.requireAlive();
        }
    }

    /** Something was submitted whose end is this value. */
    void issued(long value) {
        note(issued, value);
    }

    /** The highest value issued so far. */
    long lastIssued() {
        return issued.get();
    }

    /** So far it has come, by another witness than the queue itself. */
    void reached(long value) {
        note(reached, value);
    }

    /** Whether something that was submitted is not known to have ended. Asks nobody. */
    boolean mayBeBusy() {
        return reached.get() < issued.get() && !session.isGone();
    }

    /** Whether it is known to have come so far. Asks nobody. */
    boolean isKnownToHaveReached(long value) {
        return reached.get() >= value;
    }

    /** Whether it has come so far; false also where that cannot be known. */
    boolean hasReached(long value) {
        return reached.get() >= value
                || session.tells(() -> note(reached, session.driver().completed(queue)) >= value);
    }

    /** Waits until it has come so far; false also where that cannot be known. */
    boolean awaitReached(long value, Duration timeout) {
        if (session.isLost() && !session.isGone()) {
            LockSupport.parkNanos(this, timeout.toNanos()); // like any wait for something that does not come
        }
        return reached.get() >= value
                || session.tells(() -> {
                    boolean there = session.driver().await(queue, value, timeout);
                    return there && note(reached, value) >= value;
                });
    }

    /** Ends the queue; points in it count as reached from now on and ask no driver. */
    void close() {
        reached(Long.MAX_VALUE);
        queue.close();
    }

    private static long note(AtomicLong figure, long value) {
        return figure.accumulateAndGet(value, Math::max);
    }
}
