package dev.headroom.memory.engine;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Waits that an interrupt does not end; it stays set. */
final class Patience {

    private Patience() {}

    /** A wait with an end. */
    @FunctionalInterface
    private interface Wait {
        void until(long nanos) throws InterruptedException;
    }

    /** Waits for a thread. True if it has ended. */
    static boolean join(Thread thread, Duration timeout) {
        uninterrupted(timeout, nanos -> thread.join(Duration.ofNanos(nanos)));
        return !thread.isAlive();
    }

    /** Waits for a latch. True if it is open. */
    static boolean await(CountDownLatch latch, Duration timeout) {
        uninterrupted(timeout, nanos -> {
            boolean ignored = latch.await(nanos, TimeUnit.NANOSECONDS);
        });
        return latch.getCount() == 0;
    }

    private static void uninterrupted(Duration timeout, Wait wait) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean interrupted = false;
        while (true) {
            try {
                wait.until(Math.max(0, deadline - System.nanoTime()));
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
