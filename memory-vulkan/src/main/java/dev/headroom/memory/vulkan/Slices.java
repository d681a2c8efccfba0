package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;

/** Long waits of the driver's in short pieces: it knows no interrupt. */
final class Slices {

    /** How long an interrupt may go unnoticed. */
    private static final long SLICE_NANOS = 2_000_000;

    private Slices() {}

    /** A wait of the driver's. */
    @FunctionalInterface
    interface Wait {
        boolean await(long nanos) throws DriverException;
    }

    /**
     * Waits.
     *
     * @param timeout how long at most
     * @return false if the time is up or the thread is interrupted, which stays set
     */
    static boolean await(Wait wait, Duration timeout) throws DriverException {
        long start = System.nanoTime();
        long limit = nanos(timeout);
        long left = limit;
        while (true) {
            if (wait.await(Math.clamp(left, 0, SLICE_NANOS))) {
                return true;
            }
            left = limit - (System.nanoTime() - start);
            if (left <= 0 || Thread.currentThread().isInterrupted()) {
                return false;
            }
        }
    }

    /** A duration in nanoseconds, cut where it cannot be counted. */
    static long nanos(Duration timeout) {
        try {
            return timeout.toNanos();
        } catch (ArithmeticException tooLong) {
            return Long.MAX_VALUE;
        }
    }
}
