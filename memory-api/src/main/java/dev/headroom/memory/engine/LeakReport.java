package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.TrackingLevel;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What is said about buffers that were not closed. Pure. */
final class LeakReport {

    private static final int REPORTED = 20;
    private static final int REPORTED_FRAMES = 6;

    private LeakReport() {}

    /** Of a pool that closes. */
    static String atClose(
            String pool,
            long openBuffers,
            long openBytes,
            boolean givenBack,
            AllocationTracker tracker,
            TrackingLevel level) {
        StringBuilder text = new StringBuilder();
        text.append(String.format(
                Locale.ROOT,
                "%s closed with %s still open, %s in all; %s",
                pool,
                buffers(openBuffers),
                ByteSize.format(openBytes),
                givenBack ? "the memory was given back" : "the memory is still in use"));
        Set<BufferId> leaked = tracker.leaked().stream().map(BufferMetadata::id).collect(Collectors.toSet());
        List<BufferMetadata> known = tracker.all();
        list(text, known, tracker.nowNanos(), leaked);
        if (level != TrackingLevel.FULL) {
            text.append("\n  TrackingLevel.").append(level).append(" names ").append(known.size());
            text.append(" of them; TrackingLevel.FULL names each with tag, age and the place of its allocation");
        }
        return text.toString();
    }

    /** Of buffers the garbage collector found. */
    static String dropped(GpuDevice device, List<BufferMetadata> dropped, long now, boolean reclaims) {
        long bytes = dropped.stream().mapToLong(BufferMetadata::sizeBytes).sum();
        StringBuilder text = new StringBuilder();
        text.append(
                String.format(
                        Locale.ROOT,
                        "%s: %s dropped without close(), %s in all; %s",
                        device.id(),
                        buffers(dropped.size()),
                        ByteSize.format(bytes),
                        reclaims
                                ? "the memory is taken back, unless a view of it is open"
                                : "the memory stays in use until the pool closes; MemoryConfig.reclaimLeaked would take it back"));
        list(text, dropped, now, Set.of());
        return text.toString();
    }

    /** The first frame outside Headroom. */
    static String caller(BufferMetadata metadata) {
        return frames(metadata).findFirst().map(StackTraceElement::toString).orElse("");
    }

    private static String buffers(long count) {
        return count == 1 ? "1 buffer" : count + " buffers";
    }

    private static void list(StringBuilder text, List<BufferMetadata> buffers, long now, Set<BufferId> leaked) {
        buffers.stream()
                .sorted(Comparator.comparing(BufferMetadata::id))
                .limit(REPORTED)
                .forEach(metadata -> describe(text, metadata, now, leaked.contains(metadata.id())));
        if (buffers.size() > REPORTED) {
            text.append("\n  ... and ").append(buffers.size() - REPORTED).append(" more");
        }
    }

    private static void describe(StringBuilder text, BufferMetadata metadata, long now, boolean leaked) {
        text.append("\n  ").append(metadata.id()).append(", ").append(ByteSize.format(metadata.sizeBytes()));
        metadata.tag().ifPresent(tag -> text.append(", '").append(tag).append('\''));
        text.append(", open for ").append(metadata.age(now).toSeconds()).append(" s");
        text.append(leaked ? ", dropped without close()" : "");
        frames(metadata)
                .limit(REPORTED_FRAMES)
                .forEach(frame -> text.append("\n      at ").append(frame));
    }

    private static Stream<StackTraceElement> frames(BufferMetadata metadata) {
        return metadata.site().stream()
                .flatMap(site -> Stream.of(site.getStackTrace()))
                .filter(frame -> !isOurs(frame));
    }

    /** Frames between the caller and the place that remembers it, which tell the caller nothing. */
    private static boolean isOurs(StackTraceElement frame) {
        return frame.getClassName().startsWith("dev.headroom.memory.engine.")
                || frame.getClassName().equals(GpuMemoryPool.class.getName())
                || frame.getClassName().equals(FallbackBuffer.class.getName());
    }
}
