package dev.headroom.memory;

import java.time.Duration;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;

/**
 * The book of buffers that are out: who they are, how many, how many bytes, and the most bytes there ever were at one
 * time.
 *
 * <p>It holds descriptions only; it neither allocates nor frees, and holds no buffer.
 *
 * <p>Threads: every method may be called from any thread. Changes take one short lock, so count, total and peak are
 * exact however many threads track at once: the peak is a total that really was reached. {@link #count()},
 * {@link #totalBytes()} and {@link #peakBytes()} read without the lock; each is exact by itself, two of them read one
 * after the other may belong to different moments. The clock is called outside the lock.
 */
public final class AllocationTracker {
    private final LongSupplier clock;
    private final Object lock = new Object();
    private final Map<BufferId, BufferMetadata> live = new LinkedHashMap<>(); // guarded by lock
    private final Set<BufferId> leaked = new HashSet<>(); // guarded by lock; all of them are live

    // Written under the lock only; volatile so that the three figures are read without it.
    private volatile int count;
    private volatile long totalBytes;
    private volatile long peakBytes;
    private volatile long leakedCount;

    /** Creates an empty tracker that tells age by {@link System#nanoTime()}. */
    public AllocationTracker() {
        this(System::nanoTime);
    }

    /**
     * Creates an empty tracker with a clock of the caller's choice.
     *
     * @param clock monotonic nanoseconds, of which only differences count; the same clock that stamps
     *     {@link BufferMetadata#allocatedAtNanos()}
     */
    public AllocationTracker(LongSupplier clock) {
        this.clock = Objects.requireNonNull(clock, "clock");
    }

    /**
     * Enters a buffer.
     *
     * @param metadata the buffer
     * @throws IllegalArgumentException if a buffer of this id is already entered, or if the total would exceed
     *     {@link Long#MAX_VALUE} bytes; the book is then unchanged
     */
    public void track(BufferMetadata metadata) {
        BufferId id = metadata.id();
        synchronized (lock) {
            BufferMetadata present = live.get(id);
            if (present != null) {
                throw new IllegalArgumentException(id + " is already tracked as " + present);
            }
            if (metadata.sizeBytes() > Long.MAX_VALUE - totalBytes) {
                throw new IllegalArgumentException("sizeBytes of " + id + " is " + metadata.sizeBytes()
                        + ": allowed are 1 to " + (Long.MAX_VALUE - totalBytes) + " beside the tracked " + totalBytes);
            }
            live.put(id, metadata);
            long total = totalBytes + metadata.sizeBytes();
            peakBytes = Math.max(peakBytes, total);
            totalBytes = total;
            count = live.size();
        }
    }

    /**
     * Strikes a buffer out.
     *
     * @param id the buffer
     * @return what was known about it, or empty if it was not entered or is already struck out
     */
    public Optional<BufferMetadata> untrack(BufferId id) {
        Objects.requireNonNull(id, "id");
        synchronized (lock) {
            BufferMetadata removed = live.remove(id);
            if (removed == null) {
                return Optional.empty();
            }
            leaked.remove(id);
            long total = totalBytes - removed.sizeBytes();
            totalBytes = total;
            count = live.size();
            return Optional.of(removed);
        }
    }

    /**
     * Looks a buffer up.
     *
     * @param id the buffer
     * @return what is known about it, or empty if it is not entered
     */
    public Optional<BufferMetadata> get(BufferId id) {
        Objects.requireNonNull(id, "id");
        synchronized (lock) {
            return Optional.ofNullable(live.get(id));
        }
    }

    /**
     * Lists the buffers.
     *
     * @return an immutable snapshot in the order they were entered
     */
    public List<BufferMetadata> all() {
        synchronized (lock) {
            return List.copyOf(live.values());
        }
    }

    /**
     * Lists the buffers that are older than a threshold.
     *
     * @param threshold zero or more; a buffer of exactly this age is not listed
     * @return an immutable snapshot in the order they were entered
     * @throws IllegalArgumentException if {@code threshold} is negative
     */
    public List<BufferMetadata> findOldAllocations(Duration threshold) {
        if (threshold.isNegative()) {
            throw new IllegalArgumentException("threshold is " + threshold + ": allowed are 0 or more");
        }
        long now = nowNanos();
        return all().stream()
                .filter(metadata -> metadata.age(now).compareTo(threshold) > 0)
                .toList();
    }

    /**
     * Takes note that a buffer cannot be closed any more, because nobody can reach it. It stays entered for as long as its
     * memory is out.
     *
     * @param id the buffer
     * @return false if it is not entered, or was marked before
     */
    public boolean markLeaked(BufferId id) {
        Objects.requireNonNull(id, "id");
        synchronized (lock) {
            boolean marked = live.containsKey(id) && leaked.add(id);
            leakedCount += marked ? 1 : 0;
            return marked;
        }
    }

    /**
     * Lists the buffers that were marked as leaked and whose memory is still out.
     *
     * @return an immutable snapshot in the order they were entered
     */
    public List<BufferMetadata> leaked() {
        synchronized (lock) {
            return live.values().stream()
                    .filter(metadata -> leaked.contains(metadata.id()))
                    .toList();
        }
    }

    /**
     * How many buffers were ever marked as leaked, also those whose memory was taken back since.
     *
     * @return the number, 0 or more
     */
    public long leakedCount() {
        return leakedCount;
    }

    /**
     * How many buffers are entered.
     *
     * @return the number, 0 or more
     */
    public int count() {
        return count;
    }

    /**
     * The bytes of all entered buffers together.
     *
     * @return the total in bytes, 0 or more
     */
    public long totalBytes() {
        return totalBytes;
    }

    /**
     * The highest total since this tracker was created.
     *
     * @return the peak in bytes, at no moment less than the total
     */
    public long peakBytes() {
        return peakBytes;
    }

    /**
     * The time by this tracker's clock, to stamp {@link BufferMetadata#allocatedAtNanos()} with.
     *
     * @return monotonic nanoseconds
     */
    public long nowNanos() {
        return clock.getAsLong();
    }

    /** Strikes all buffers out. Count and total become 0; the peak and the number of leaked buffers stay. */
    public void clear() {
        synchronized (lock) {
            live.clear();
            leaked.clear();
            totalBytes = 0;
            count = 0;
        }
    }
}
