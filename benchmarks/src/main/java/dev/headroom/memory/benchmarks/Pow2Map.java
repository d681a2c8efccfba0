package dev.headroom.memory.benchmarks;

import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicLong;

/** The pool one writes first: a concurrent map of powers of two to concurrent queues of what was freed. Thread-safe. */
final class Pow2Map {

    private static final int LEAST_BITS = 8;

    private final ConcurrentHashMap<Integer, ConcurrentLinkedDeque<Block>> buckets = new ConcurrentHashMap<>();
    private final AtomicLong top = new AtomicLong();

    /**
     * A piece of memory.
     *
     * @param bits    2 to the power of this is its size
     * @param address where it begins
     */
    record Block(int bits, long address) {}

    Block allocate(long bytes) {
        int bits = Math.max(LEAST_BITS, Long.SIZE - Long.numberOfLeadingZeros(bytes - 1));
        Block kept = bucket(bits).pollFirst();
        return kept != null ? kept : new Block(bits, top.getAndAdd(1L << bits));
    }

    void free(Block block) {
        bucket(block.bits()).addFirst(block);
    }

    private ConcurrentLinkedDeque<Block> bucket(int bits) {
        return buckets.computeIfAbsent(bits, _ -> new ConcurrentLinkedDeque<>());
    }
}
