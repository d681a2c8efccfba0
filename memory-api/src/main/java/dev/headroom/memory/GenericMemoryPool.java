package dev.headroom.memory;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Keeps idle buffers of any type for reuse, in buckets of powers of two. For buffers that another library allocates; the
 * pools of {@link GpuMemory} need none of this.
 *
 * <p>The caller allocates, this pool remembers:
 *
 * {@snippet :
 * GenericMemoryPool<FloatTexture> pool = GenericMemoryPool.of(MemoryConfig.defaults(), FloatTexture::delete);
 *
 * Pooled<FloatTexture> texture = pool.tryGet(bytes).orElseGet(() -> {
 *     var fresh = new Pooled<>(FloatTexture.create(bytes), bytes);
 *     pool.recordAllocation(bytes);
 *     return fresh;
 * });
 * // ... use texture.buffer() ...
 * pool.returnBuffer(texture.buffer(), texture.byteSize());
 * }
 *
 * <p>A bucket holds the buffers above half its size and up to its size, at most {@link MemoryConfig#maxPooledPerBucket()} of
 * them. A request looks into the bucket its size rounds up to, then into the larger ones. It never gets a buffer smaller than
 * it asked for, and never a wastefully large one: at most twice the size asked for, or 20 MiB more, whichever is larger.
 *
 * <p>Every figure is exact: {@code totalAllocatedBytes} is always {@code inUseBytes} plus {@code pooledBytes}, and all are
 * read at one moment. {@code activeBuffers} is what the {@link #tracker()} holds, 0 without one.
 *
 * <p>Thread-safe. One short lock guards the books; the closer is called without it.
 *
 * @param <B> the type of the buffers; equality is never asked for
 */
public final class GenericMemoryPool<B> {

    /** What a buffer may have above the size asked for, however small that is: 20 MiB. */
    public static final long SPARE_BYTES = 20L << 20;

    /** The largest size with a power of two above or equal to it: 2<sup>62</sup> bytes. */
    public static final long MAX_BYTES = 1L << 62;

    /**
     * A buffer from the pool.
     *
     * @param <B>      the type of the buffer
     * @param buffer   the buffer
     * @param byteSize the size it was returned with, which is also the size to return it with: what was asked for, or more
     */
    public record Pooled<B>(B buffer, long byteSize) {
        /** Refuses an entry without a buffer. */
        public Pooled {
            Objects.requireNonNull(buffer, "buffer");
        }
    }

    private final int maxPooledPerBucket;
    private final Consumer<? super B> closer;
    private final Optional<AllocationTracker> tracker;

    private final Object lock = new Object();
    // All below are guarded by the lock.
    /** Bucket size to its idle buffers, the one returned last in front. No bucket is empty. */
    private final NavigableMap<Long, Deque<Pooled<B>>> buckets = new TreeMap<>();

    private int pooledCount;
    private long pooledBytes;
    private long inUseBytes;
    private long peakBytes;
    private long hits;
    private long misses;
    private long ceilingMisses;
    private long cpuFallbacks;

    private GenericMemoryPool(MemoryConfig config, Consumer<? super B> closer) {
        this.maxPooledPerBucket = config.maxPooledPerBucket();
        this.closer = Objects.requireNonNull(closer, "closer");
        this.tracker = config.tracking().compareTo(TrackingLevel.SAMPLED) >= 0
                ? Optional.of(new AllocationTracker())
                : Optional.empty();
    }

    /**
     * An empty pool.
     *
     * @param <B>    the type of the buffers
     * @param config gives {@code maxPooledPerBucket} and the tracking level; nothing else of it matters here
     * @param closer destroys a buffer the pool drops: because its bucket is full, or by {@link #clear} and {@link #shrink}. It
     *               runs on the thread of that call, with no lock held. What it throws reaches the caller, after all dropped
     *               buffers were given to it
     * @return the pool
     */
    public static <B> GenericMemoryPool<B> of(MemoryConfig config, Consumer<? super B> closer) {
        return new GenericMemoryPool<>(config, closer);
    }

    /**
     * The bucket a size belongs to: the smallest power of two that is not below it.
     *
     * @param byteSize bytes, 0 to {@link #MAX_BYTES}; 0 rounds to 1
     * @return the power of two
     * @throws IllegalArgumentException if the size is negative or has no such power in a {@code long}
     */
    public static long roundUpPowerOf2(long byteSize) {
        requireInRange(byteSize, 0, MAX_BYTES);
        return byteSize <= 1 ? 1 : Long.highestOneBit(byteSize - 1) << 1;
    }

    /**
     * Books a buffer the caller has just allocated: it is in use from now on.
     *
     * @param byteSize its size, 1 or more
     * @throws IllegalArgumentException if the size is out of range, or all sizes together exceed {@link Long#MAX_VALUE}
     */
    public void recordAllocation(long byteSize) {
        synchronized (lock) {
            requireInRange(byteSize, 1, Math.min(MAX_BYTES, Long.MAX_VALUE - inUseBytes - pooledBytes));
            use(byteSize);
        }
    }

    /**
     * Takes an idle buffer, if one fits: counts a hit, or a miss.
     *
     * @param minBytes the least it must have, 0 to {@link #MAX_BYTES}
     * @return the buffer, now in use with its actual size; or empty, and then the caller allocates one
     * @throws IllegalArgumentException if the size is out of range; nothing is counted then
     */
    public Optional<Pooled<B>> tryGet(long minBytes) {
        long bucket = roundUpPowerOf2(minBytes);
        synchronized (lock) {
            for (Deque<Pooled<B>> entries : buckets.tailMap(bucket).values()) {
                for (Iterator<Pooled<B>> each = entries.iterator(); each.hasNext(); ) {
                    Pooled<B> entry = each.next();
                    // Only the first bucket can hold buffers that are too small.
                    if (entry.byteSize() >= minBytes && entry.byteSize() - minBytes <= spareAllowed(minBytes)) {
                        each.remove();
                        dropIfEmpty(entry.byteSize());
                        pooledCount--;
                        pooledBytes -= entry.byteSize();
                        use(entry.byteSize());
                        hits++;
                        return Optional.of(entry);
                    }
                }
            }
            misses++;
            if (!buckets.tailMap(bucket, false).isEmpty()) {
                ceilingMisses++;
            }
            return Optional.empty();
        }
    }

    /**
     * Gives back a buffer that is no longer used. It is kept for reuse, or closed if its bucket is full; either way it is in
     * use no more.
     *
     * @param buffer   the buffer
     * @param byteSize the size it was recorded with, or {@link #tryGet} gave it with
     * @throws IllegalArgumentException if the size is out of range, more than is in use, or the buffer is in the pool already;
     *                                  nothing has changed then, and the buffer is still the caller's
     */
    public void returnBuffer(B buffer, long byteSize) {
        Objects.requireNonNull(buffer, "buffer");
        requireInRange(byteSize, 1, MAX_BYTES);
        long bucket = roundUpPowerOf2(byteSize);
        synchronized (lock) {
            if (byteSize > inUseBytes) {
                throw new IllegalArgumentException(byteSize + " bytes returned, but only " + inUseBytes
                        + " are in use: return a buffer once, with the size it was recorded with");
            }
            Deque<Pooled<B>> entries = buckets.getOrDefault(bucket, new ArrayDeque<>());
            if (entries.stream().anyMatch(entry -> isSame(entry.buffer(), buffer))) {
                throw new IllegalArgumentException("the buffer is in the pool already: return it once");
            }
            inUseBytes -= byteSize;
            if (entries.size() < maxPooledPerBucket) {
                entries.addFirst(new Pooled<>(buffer, byteSize));
                buckets.put(bucket, entries);
                pooledCount++;
                pooledBytes += byteSize;
                return;
            }
        }
        closer.accept(buffer);
    }

    /** Counts an allocation that went to host memory because the device was full. */
    public void recordCpuFallback() {
        synchronized (lock) {
            cpuFallbacks++;
        }
    }

    /** Closes all idle buffers. Buffers in use are not touched. */
    public void clear() {
        shrink();
    }

    /**
     * Closes all idle buffers. Buffers in use are not touched.
     *
     * @return the bytes they had
     */
    public long shrink() {
        List<B> dropped = new ArrayList<>();
        long bytes;
        synchronized (lock) {
            buckets.values().forEach(entries -> entries.forEach(entry -> dropped.add(entry.buffer())));
            bytes = pooledBytes;
            buckets.clear();
            pooledCount = 0;
            pooledBytes = 0;
        }
        closeAll(dropped);
        return bytes;
    }

    /**
     * The figures at this moment.
     *
     * @return the figures
     */
    public MemoryStats stats() {
        long active = tracker.map(AllocationTracker::count).orElse(0);
        synchronized (lock) {
            return new MemoryStats(
                    inUseBytes + pooledBytes, inUseBytes, pooledBytes, peakBytes, hits, misses, cpuFallbacks, active);
        }
    }

    /**
     * How many buffers are idle.
     *
     * @return the number, 0 or more
     */
    public int pooledCount() {
        synchronized (lock) {
            return pooledCount;
        }
    }

    /**
     * How many misses there were although a larger bucket held a buffer: it would have wasted too much.
     *
     * @return the number, 0 or more
     */
    public long ceilingMisses() {
        synchronized (lock) {
            return ceilingMisses;
        }
    }

    /**
     * A book for the buffers in use, which the caller keeps: at {@link TrackingLevel#SAMPLED} and above.
     *
     * @return the tracker, or empty
     */
    public Optional<AllocationTracker> tracker() {
        return tracker;
    }

    /** Checks the books against the buckets; for tests. */
    void validate() {
        synchronized (lock) {
            int count = 0;
            long bytes = 0;
            for (var bucket : buckets.entrySet()) {
                int size = bucket.getValue().size();
                require(size > 0 && size <= maxPooledPerBucket, "bucket " + bucket.getKey() + " holds " + size);
                for (Pooled<B> entry : bucket.getValue()) {
                    require(
                            roundUpPowerOf2(entry.byteSize()) == bucket.getKey(),
                            entry.byteSize() + " bytes lie in bucket " + bucket.getKey());
                    count++;
                    bytes += entry.byteSize();
                }
            }
            require(count == pooledCount, count + " buffers are idle, but " + pooledCount + " are booked");
            require(bytes == pooledBytes, bytes + " bytes are idle, but " + pooledBytes + " are booked");
            require(inUseBytes >= 0 && peakBytes >= inUseBytes, "in use " + inUseBytes + ", peak " + peakBytes);
        }
    }

    private void use(long byteSize) {
        inUseBytes += byteSize;
        peakBytes = Math.max(peakBytes, inUseBytes);
    }

    private void dropIfEmpty(long byteSize) {
        buckets.computeIfPresent(roundUpPowerOf2(byteSize), (size, entries) -> entries.isEmpty() ? null : entries);
    }

    private static long spareAllowed(long minBytes) {
        return Math.max(minBytes, SPARE_BYTES);
    }

    private void closeAll(List<B> dropped) {
        RuntimeException first = null;
        for (B buffer : dropped) {
            try {
                closer.accept(buffer);
            } catch (RuntimeException failure) {
                if (first == null) {
                    first = failure;
                } else if (!isSame(failure, first)) {
                    first.addSuppressed(failure);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }

    @SuppressWarnings("ReferenceEquality") // two that are equal may still be two
    private static boolean isSame(Object one, Object other) {
        return one == other;
    }

    private static void requireInRange(long byteSize, long least, long most) {
        if (byteSize < least || byteSize > most) {
            throw new IllegalArgumentException(
                    "byteSize is " + byteSize + ": allowed are " + least + " to " + most + " bytes");
        }
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }
}
