package dev.headroom.memory.engine;

import java.time.Duration;
import java.util.function.LongSupplier;

/**
 * Gives back what has been idle for too long, whenever it is asked to look. It remembers when the next memory can be due at the
 * earliest, and looks at none before. Thread-safe. The clock may wrap.
 */
final class IdleTrim {

    private final HeapSet heaps;
    private final long idleNanos;
    private final LongSupplier clock;
    private volatile long nextLookNanos;

    /**
     * Looks for the first time once that much time has passed.
     *
     * @param heaps   what is trimmed
     * @param idleFor how long memory may be idle
     * @param clock   nanoseconds
     */
    IdleTrim(HeapSet heaps, Duration idleFor, LongSupplier clock) {
        this.heaps = heaps;
        this.idleNanos = idleFor.toNanos();
        this.clock = clock;
        this.nextLookNanos = clock.getAsLong() + idleNanos;
    }

    /** Whether any memory can have been idle for so long. */
    boolean isDue() {
        return clock.getAsLong() - nextLookNanos >= 0;
    }

    /** Looks, and gives back what is due; does not wait for threads that grow. Returns what is gone. */
    long trim() {
        long now = clock.getAsLong();
        long gone = heaps.trim(new IdleAges.Due(now, idleNanos), Duration.ZERO);
        long oldest = 0;
        for (Heap heap : heaps.all()) {
            oldest = Math.max(oldest, heap.blocks().longestIdleNanos(now));
        }
        // What falls idle from now on is due no sooner than that. Older memory is still there if another thread was
        // growing.
        nextLookNanos = now + Math.max(0, idleNanos - oldest);
        return gone;
    }
}
