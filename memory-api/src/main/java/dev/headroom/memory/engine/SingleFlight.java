package dev.headroom.memory.engine;

import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** Lets one thread at a time change what a heap holds from the driver. Hits do not pass here. */
final class SingleFlight {

    private final Semaphore permit = new Semaphore(1);

    /** Begins, if nobody else has. */
    boolean tryBegin() {
        return permit.tryAcquire();
    }

    /** Waits for its turn. An interrupt does not end the wait and stays set. */
    boolean begin(Duration patience) {
        long deadline = System.nanoTime() + patience.toNanos();
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return permit.tryAcquire(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    void end() {
        permit.release();
    }
}
