package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.TrackingLevel;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** Remembers open buffers as far as the tracking level says, and names them when a pool closes over them. Thread-safe. */
final class LeakTracker {

    /** One allocation in so many is remembered at {@link TrackingLevel#SAMPLED}. */
    private static final int SAMPLE = 64;

    private static final int REPORTED = 20;
    private static final int REPORTED_FRAMES = 6;

    private final TrackingLevel level;
    private final AllocationTracker tracker;
    private final AtomicInteger countdown = new AtomicInteger();

    LeakTracker(TrackingLevel level, LongSupplier clock) {
        this.level = level;
        this.tracker = new AllocationTracker(clock);
    }

    TrackingLevel level() {
        return level;
    }

    Optional<AllocationTracker> tracker() {
        return remembers() ? Optional.of(tracker) : Optional.empty();
    }

    /** Whether the next buffer is to be remembered. */
    boolean wants() {
        return level == TrackingLevel.FULL
                || (level == TrackingLevel.SAMPLED && countdown.getAndIncrement() % SAMPLE == 0);
    }

    /** Remembers a buffer. */
    void opened(BufferId id, long bytes, BufferLocation location, Optional<String> tag) {
        BufferMetadata metadata = BufferMetadata.of(id, bytes, bytes, location, tracker.nowNanos());
        if (tag.isPresent()) {
            metadata = metadata.withTag(tag.get());
        }
        tracker.track(metadata.withSite(new Throwable("allocated here")));
    }

    /** Forgets a buffer that was remembered. */
    void closed(BufferId id) {
        tracker.untrack(id);
    }

    /** What to say about buffers still open, or null if there are none. */
    @Nullable
    String report(String pool, long openBuffers, long openBytes, boolean givenBack) {
        if (openBuffers == 0) {
            return null;
        }
        StringBuilder text = new StringBuilder();
        text.append(String.format(
                Locale.ROOT,
                "%s closed with %d buffer%s still open, %s in all; %s",
                pool,
                openBuffers,
                openBuffers == 1 ? "" : "s",
                ByteSize.format(openBytes),
                givenBack ? "the memory was given back" : "the memory is still in use"));
        List<BufferMetadata> known = tracker.all().stream()
                .sorted(Comparator.comparing(BufferMetadata::id))
                .toList();
        known.stream().limit(REPORTED).forEach(metadata -> describe(text, metadata));
        if (known.size() > REPORTED) {
            text.append("\n  ... and ").append(known.size() - REPORTED).append(" more");
        }
        if (level != TrackingLevel.FULL) {
            text.append("\n  TrackingLevel.").append(level).append(" names ").append(known.size());
            text.append(" of them; TrackingLevel.FULL names each with tag, age and the place of its allocation");
        }
        return text.toString();
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

    private boolean remembers() {
        return level == TrackingLevel.SAMPLED || level == TrackingLevel.FULL;
    }

    private void describe(StringBuilder text, BufferMetadata metadata) {
        text.append("\n  ").append(metadata.id()).append(", ").append(ByteSize.format(metadata.sizeBytes()));
        metadata.tag().ifPresent(tag -> text.append(", '").append(tag).append('\''));
        long seconds = metadata.age(tracker.nowNanos()).toSeconds();
        text.append(", open for ").append(seconds).append(" s");
        metadata.site().ifPresent(site -> {
            int shown = 0;
            for (StackTraceElement frame : site.getStackTrace()) {
                if (!isOurs(frame) && shown++ < REPORTED_FRAMES) {
                    text.append("\n      at ").append(frame);
                }
            }
        });
    }

    /** Frames between the caller and the place that remembers it, which tell the caller nothing. */
    private static boolean isOurs(StackTraceElement frame) {
        return frame.getClassName().startsWith("dev.headroom.memory.engine.")
                || frame.getClassName().equals(GpuMemoryPool.class.getName())
                || frame.getClassName().equals(FallbackBuffer.class.getName());
    }
}
