package dev.headroom.memory.engine;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** Lets the first caller close something and the others wait for it. Thread-safe. */
public final class ClosedOnce {

    private final AtomicReference<@Nullable Thread> closer = new AtomicReference<>();
    private final CountDownLatch finished = new CountDownLatch(1);

    /** Nothing is closed yet. */
    public ClosedOnce() {}

    /**
     * Begins the close.
     *
     * @return true for the first caller, who has to call {@link #finish}
     */
    public boolean begin() {
        return closer.compareAndSet(null, Thread.currentThread());
    }

    /**
     * Whether a close has begun.
     *
     * @return true from the first {@link #begin} on
     */
    public boolean hasBegun() {
        return closer.get() != null;
    }

    /** Ends the close. */
    public void finish() {
        finished.countDown();
    }

    /**
     * Waits until the close has ended, unless the caller is the one who closes, or a listener, whom the close may be waiting
     * for. An interrupt does not end the wait and stays set.
     *
     * @param patience how long at most
     */
    public void awaitEnd(Duration patience) {
        if (!Thread.currentThread().equals(closer.get()) && !PressureListeners.isCalling()) {
            boolean ignored = Patience.await(finished, patience);
        }
    }
}
