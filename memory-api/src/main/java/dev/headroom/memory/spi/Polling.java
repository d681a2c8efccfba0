package dev.headroom.memory.spi;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;

/**
 * Waits by asking again, for drivers whose own waits know neither a time limit nor an interrupt, or hold on to the carrier of a
 * virtual thread. Asks without a pause at first, because a small copy is over before a thread could sleep and wake, and then in
 * ever longer pauses, half a millisecond at most.
 */
public final class Polling {

    private static final int EAGER = 64;
    private static final long FIRST_PAUSE_NANOS = 20_000;
    private static final long LONGEST_PAUSE_NANOS = 500_000;

    private Polling() {}

    /** Something that will be true one day. */
    @FunctionalInterface
    public interface Question {

        /**
         * Asks the driver.
         *
         * @return whether it is so
         * @throws DriverException if the driver fails
         */
        boolean ask() throws DriverException;
    }

    /**
     * Asks until the answer is yes, and at least once.
     *
     * @param question what is asked
     * @param timeout  how long at most; 0 or less for one question
     * @return false if the time is up or the thread is interrupted, which stays set
     * @throws DriverException if the question fails
     */
    public static boolean await(Question question, Duration timeout) throws DriverException {
        Objects.requireNonNull(question, "question");
        long start = System.nanoTime();
        long limit = nanos(timeout);
        long pause = FIRST_PAUSE_NANOS;
        for (int round = 0; !question.ask(); round++) {
            long left = limit - (System.nanoTime() - start);
            if (left <= 0 || Thread.currentThread().isInterrupted()) {
                return false;
            }
            if (round < EAGER) {
                Thread.onSpinWait();
            } else {
                LockSupport.parkNanos(Math.min(pause, left));
                pause = Math.min(2 * pause, LONGEST_PAUSE_NANOS);
            }
        }
        return true;
    }

    private static long nanos(Duration timeout) {
        try {
            return timeout.toNanos();
        } catch (ArithmeticException tooLong) {
            return Long.MAX_VALUE;
        }
    }
}
