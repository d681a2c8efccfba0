package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/** Waits by asking again, for several things at once or for a fence, which is given to somebody else once it has been reached.
 */
final class Polling {

    /** Questions put without a pause: a small copy is over before a thread could sleep and wake. */
    private static final int EAGER = 64;

    private static final long FIRST_PAUSE_NANOS = 20_000;
    private static final long LONGEST_PAUSE_NANOS = 500_000;

    private Polling() {}

    /** Something that will be true one day. */
    @FunctionalInterface
    interface Question {
        boolean ask() throws DriverException;
    }

    /**
     * Asks until the answer is yes.
     *
     * @param timeout how long at most
     * @return false if the time is up or the thread is interrupted, which stays set
     */
    static boolean await(Question question, Duration timeout) throws DriverException {
        long start = System.nanoTime();
        long limit = Slices.nanos(timeout);
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
}
