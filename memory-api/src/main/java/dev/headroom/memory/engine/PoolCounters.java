package dev.headroom.memory.engine;

import java.util.function.LongSupplier;

/** What the heaps of one pool count together, under the lock they share. Counters are read and written with the lock held. */
final class PoolCounters {

    /** Nanoseconds, monotonic. Never read with the lock held. */
    final LongSupplier clock;

    final EngineLock lock = new EngineLock();
    long usedBytes;
    long peakBytes;
    /** What the books of the heaps handed out in all; what lay at hand is not in it. Never reset; may wrap. */
    long allocatedBytes;

    long hits;
    long misses;

    PoolCounters(LongSupplier clock) {
        this.clock = clock;
    }

    /** More bytes are in buffers. */
    void used(long bytes) {
        usedBytes += bytes;
        allocatedBytes += bytes;
        peakBytes = Math.max(peakBytes, usedBytes);
    }
}
