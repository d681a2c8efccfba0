package dev.headroom.examples.matmul;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.QueueFence;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Idle buffers by size, in front of a pool. The pool below is fast enough for most programs by itself; this one is for those
 * that want to hold on to whole buffers, and to know exactly how often that helped. When the pool runs short, it gives all
 * of them back. Thread-safe.
 */
public final class GpuBufferPool implements AutoCloseable {

    /** A buffer, and the work that has to end before somebody else may have it. */
    private record Idle(DeviceBuffer buffer, QueueFence lastUse) {}

    private final GpuMemoryPool pool;
    private final int maxIdlePerSize;
    private final PressureListener onPressure = (_, _, _) -> clear();

    // Guarded by this. No call to the pool is made under the lock but those that take no lock of their own.
    private final Map<Long, ArrayDeque<Idle>> idle = new HashMap<>();
    private boolean closed;
    private long hits;
    private long misses;

    /**
     * An empty pool.
     *
     * @param pool           where buffers come from
     * @param maxIdlePerSize how many idle buffers of one size are kept; more are closed
     */
    public GpuBufferPool(GpuMemoryPool pool, int maxIdlePerSize) {
        this.pool = pool;
        this.maxIdlePerSize = maxIdlePerSize;
        pool.addPressureListener(onPressure);
    }

    /**
     * Takes a buffer out: one of exactly this size that is through with its work, or a new one.
     *
     * @param byteSize bytes, above 0
     * @return the buffer, the caller's until it is released or closed; its contents are undefined
     * @throws dev.headroom.memory.GpuMemoryException if a new one is needed and cannot be had
     */
    public DeviceBuffer acquire(long byteSize) {
        synchronized (this) {
            // The one that has waited longest: if it is still at work, the others are too.
            ArrayDeque<Idle> sameSize = idle.getOrDefault(byteSize, new ArrayDeque<>());
            Idle first = sameSize.peekFirst();
            if (first != null && first.lastUse().isDone()) {
                sameSize.removeFirst();
                hits++;
                return first.buffer();
            }
            misses++;
        }
        return pool.allocate(byteSize); // not under the lock: it may ask clear() for memory
    }

    /**
     * Puts a buffer back. It is handed out again once its work is done.
     *
     * @param buffer  what {@link #acquire} gave
     * @param lastUse the last work on it
     */
    public void release(DeviceBuffer buffer, QueueFence lastUse) {
        synchronized (this) {
            ArrayDeque<Idle> sameSize = idle.computeIfAbsent(buffer.byteSize(), _ -> new ArrayDeque<>());
            if (!closed && sameSize.size() < maxIdlePerSize) {
                sameSize.addLast(new Idle(buffer, lastUse));
                return;
            }
        }
        buffer.close(); // the pool below waits for the work by itself
    }

    /**
     * Gives all idle buffers back to the pool below.
     *
     * @return their bytes
     */
    public long clear() {
        List<Idle> removed = new ArrayList<>();
        synchronized (this) {
            idle.values().forEach(removed::addAll);
            idle.clear();
        }
        removed.forEach(entry -> entry.buffer().close());
        return bytes(removed);
    }

    /**
     * What happened so far.
     *
     * @return a snapshot
     */
    public synchronized BufferPoolStats stats() {
        List<Idle> all = idle.values().stream().flatMap(ArrayDeque::stream).toList();
        return new BufferPoolStats(hits, misses, all.size(), bytes(all));
    }

    private static long bytes(List<Idle> buffers) {
        return buffers.stream().mapToLong(entry -> entry.buffer().byteSize()).sum();
    }

    /** Gives all idle buffers back. What is released later is closed. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
        }
        pool.removePressureListener(onPressure);
        clear();
    }
}
