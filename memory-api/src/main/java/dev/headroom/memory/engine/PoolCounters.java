package dev.headroom.memory.engine;

/** What the heaps of one pool count together, under the lock they share. Fields are read and written with the lock held. */
final class PoolCounters {

    final EngineLock lock = new EngineLock();
    long usedBytes;
    long peakBytes;
    long hits;
    long misses;

    /** More bytes are in buffers. */
    void used(long bytes) {
        usedBytes += bytes;
        peakBytes = Math.max(peakBytes, usedBytes);
    }
}
