package dev.headroom.memory.engine;

import dev.headroom.memory.PoolReport;
import java.time.Duration;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Closed buffers whose memory is still used by work under way: they go back to their blocks once that work is done, and not a
 * moment earlier. Polled when memory runs short. Thread-safe; asks the driver without its lock.
 */
final class ReclaimQueue {

    /**
     * A closed buffer.
     *
     * @param blocks  where it belongs
     * @param node    its name there
     * @param bytes   how much it takes up
     * @param pending what has to be done first
     */
    private record Entry(BlockList blocks, int node, long bytes, Point.Pending pending) {}

    /** Time between two looks at all that is pending, while the oldest is waited for. */
    private static final Duration LOOK = Duration.ofMillis(5);

    private final Waiter waiter;
    private final EngineLock lock = new EngineLock();
    private ArrayDeque<Entry> entries = new ArrayDeque<>();
    private long bytes;

    ReclaimQueue(Waiter waiter) {
        this.waiter = waiter;
    }

    void add(BlockList blocks, int node, Point.Pending pending) {
        add(new Entry(blocks, node, blocks.byteSize(node), pending));
    }

    private void add(Entry entry) {
        lock.lock();
        try {
            entries.add(entry);
            bytes += entry.bytes();
        } finally {
            lock.unlock();
        }
    }

    int size() {
        lock.lock();
        try {
            return entries.size();
        } finally {
            lock.unlock();
        }
    }

    /** How many buffers are waiting, and how much they take up. */
    PoolReport.Count pending() {
        lock.lock();
        try {
            return new PoolReport.Count(entries.size(), bytes);
        } finally {
            lock.unlock();
        }
    }

    boolean isEmpty() {
        return size() == 0;
    }

    /** Returns what is finished to its blocks. True if anything was. */
    boolean collect() {
        ArrayDeque<Entry> taken = takeAll();
        boolean any = false;
        try {
            while (!taken.isEmpty()) {
                Entry entry = taken.peek();
                if (waiter.allDone(entry.pending())) {
                    entry.blocks().free(entry.node());
                    any = true;
                } else {
                    add(entry);
                }
                taken.poll();
            }
        } finally {
            taken.forEach(this::add); // the device was lost meanwhile
        }
        return any;
    }

    /**
     * Waits until any pending work ends, and collects it. An interrupt does not end the wait and stays set. False if none
     * ended in time, or none is pending.
     */
    boolean awaitAny(Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean interrupted = false;
        try {
            while (!collect()) {
                Point open = oldestOpen();
                long left = deadline - System.nanoTime();
                if (open == null || left <= 0) {
                    return false;
                }
                interrupted |= Thread.interrupted();
                waiter.await(open, left < LOOK.toNanos() ? Duration.ofNanos(left) : LOOK);
            }
            return true;
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Waits until nothing is pending. False if something still is. */
    boolean awaitAll(Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (!isEmpty() && awaitAny(Duration.ofNanos(deadline - System.nanoTime()))) {
            // one less
        }
        return isEmpty();
    }

    private @Nullable Point oldestOpen() {
        lock.lock();
        Entry oldest;
        try {
            oldest = entries.peek();
        } finally {
            lock.unlock();
        }
        return oldest == null ? null : waiter.firstOpen(oldest.pending());
    }

    /** Forgets everything; the pool is closing. */
    void clear() {
        takeAll();
    }

    private ArrayDeque<Entry> takeAll() {
        ArrayDeque<Entry> empty = new ArrayDeque<>();
        lock.lock();
        try {
            ArrayDeque<Entry> all = entries;
            entries = empty;
            bytes = 0;
            return all;
        } finally {
            lock.unlock();
        }
    }
}
