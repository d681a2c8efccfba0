package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.TrackingLevel;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Remembers open buffers as far as the tracking level says: names them when a pool closes over them, and reports those that
 * became unreachable without a close. There is no thread and no {@code Cleaner} behind it; the garbage collector puts what it
 * found in a queue, and {@link #collect} looks there. Thread-safe.
 */
final class LeakTracker {

    /** One allocation in so many is remembered at {@link TrackingLevel#SAMPLED}. */
    private static final int SAMPLE = 64;

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final GpuDevice device;
    private final TrackingLevel level;
    private final boolean reclaims;
    private final AllocationTracker tracker;
    private final Consumer<BufferTrail> reclaim;
    private final AtomicInteger countdown = new AtomicInteger();
    /** Trails of open buffers. Whoever takes one out of here owns the memory behind it. */
    private final Set<BufferTrail> trails = ConcurrentHashMap.newKeySet();

    private final ReferenceQueue<Object> unreachable = new ReferenceQueue<>();

    /**
     * An empty book.
     *
     * @param device   whose memory the buffers are
     * @param level    how much to remember
     * @param reclaims whether memory of dropped buffers is taken back
     * @param clock    nanoseconds, monotonic
     * @param reclaim  takes the memory of a dropped buffer back, now or when what is pending on it is done
     */
    LeakTracker(
            GpuDevice device,
            TrackingLevel level,
            boolean reclaims,
            LongSupplier clock,
            Consumer<BufferTrail> reclaim) {
        this.device = device;
        this.level = level;
        this.reclaims = reclaims;
        this.tracker = new AllocationTracker(clock);
        this.reclaim = reclaim;
    }

    TrackingLevel level() {
        return level;
    }

    Optional<AllocationTracker> tracker() {
        return remembers() ? Optional.of(tracker) : Optional.empty();
    }

    /** Whether any buffer is ever remembered. */
    boolean remembers() {
        return level == TrackingLevel.SAMPLED || level == TrackingLevel.FULL;
    }

    /** Whether the next buffer is to be remembered. */
    boolean wants() {
        return level == TrackingLevel.FULL
                || (level == TrackingLevel.SAMPLED && countdown.getAndIncrement() % SAMPLE == 0);
    }

    /** Remembers a buffer. */
    BufferTrail opened(Extent buffer, BufferId id, long bytes, BufferLocation location, Optional<String> tag) {
        Throwable site = new Throwable("allocated here");
        BufferMetadata plain = BufferMetadata.of(id, bytes, bytes, location, tracker.nowNanos());
        BufferMetadata metadata = tag.map(plain::withTag).orElse(plain).withSite(site);
        BufferTrail trail = new BufferTrail(buffer, buffer.heap(), buffer.node(), unreachable, metadata, site);
        tracker.track(metadata);
        boolean followed = false;
        try {
            followed = trails.add(trail);
        } finally {
            if (!followed) { // the Java heap is full
                tracker.untrack(id);
            }
        }
        return trail;
    }

    /** Forgets a buffer that was closed. False if it was given up for lost before, and its memory is not the caller's any more. */
    boolean closed(BufferTrail trail) {
        if (!trails.remove(trail)) {
            return false;
        }
        trail.clear();
        tracker.untrack(trail.metadata().id());
        return true;
    }

    /** Reports buffers the garbage collector found dropped, and takes their memory back where that is the policy. */
    void collect() {
        List<BufferMetadata> dropped = new ArrayList<>();
        Reference<?> found;
        while ((found = unreachable.poll()) != null) {
            BufferTrail trail = (BufferTrail) found;
            boolean closing = trail.isClosed() && !trail.isHeld(); // the close has only to reach us
            if (!closing && trails.remove(trail)) {
                dropped.add(trail.metadata());
                giveUp(trail);
            }
        }
        if (!dropped.isEmpty()) {
            String report = LeakReport.dropped(device, dropped, tracker.nowNanos(), reclaims);
            LOG.log(System.Logger.Level.WARNING, report);
        }
    }

    /** Forgets everything; the pool is closed. */
    void clear() {
        trails.forEach(Reference::clear);
        trails.clear();
        tracker.clear();
    }

    /** What to say about buffers still open, or null if there are none. */
    @Nullable
    String report(String pool, long openBuffers, long openBytes, boolean givenBack) {
        return openBuffers == 0 ? null : LeakReport.atClose(pool, openBuffers, openBytes, givenBack, tracker, level);
    }

    /** The advice to close buffers and how to find them, before another piece of advice; empty if none is open. */
    String hint(long openBuffers) {
        if (openBuffers == 0) {
            return "";
        }
        return "close buffers (%d open; %s) or "
                .formatted(
                        openBuffers,
                        level == TrackingLevel.FULL ? "tracker() names them" : "TrackingLevel.FULL would name them");
    }

    /** Memory somebody may still reach through a view is never taken back. */
    private void giveUp(BufferTrail trail) {
        boolean reclaimed = reclaims && !trail.isHeld();
        BufferMetadata metadata = trail.metadata();
        tracker.markLeaked(metadata.id());
        if (reclaimed) {
            tracker.untrack(metadata.id());
        }
        EVENTS.leaked(device, metadata, metadata.age(tracker.nowNanos()), LeakReport.caller(metadata), reclaimed);
        if (reclaimed) {
            reclaim.accept(trail);
        }
    }
}
