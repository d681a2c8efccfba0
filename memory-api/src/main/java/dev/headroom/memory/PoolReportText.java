package dev.headroom.memory;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Writes a {@link PoolReport} for people. */
final class PoolReportText {

    private static final int SHOWN_TAGS = 10;

    private final PoolReport report;
    private final StringBuilder text = new StringBuilder();

    private PoolReportText(PoolReport report) {
        this.report = report;
    }

    static String of(PoolReport report) {
        return new PoolReportText(report).write();
    }

    private String write() {
        text.append(report.device()).append(" pool");
        report.domain().ifPresent(domain -> text.append(", memory ").append(domain));
        line("stats: %s", report.stats());
        room(report.room());
        if (report.profile() instanceof PoolProfile.BlockClasses classes) {
            line(
                    "block classes: %s at most, the lower of %s and a quarter of the device, shared 4 : 2 : 1",
                    bytes(classes.capBytes(report.room().budget().totalBytes())), bytes(classes.maxPoolBytes()));
        }
        report.heaps().stream()
                .filter(heap -> heap.blocks() > 0 || !heap.blockClasses().isEmpty())
                .forEach(this::heap);
        line(
                "idle: %s could be given back%s",
                bytes(report.idle().bytes()),
                report.idle()
                        .longest()
                        .map(age -> ", idle for up to " + age(age))
                        .orElse(""));
        counted("pending: closed buffers with work under way", report.pending());
        counted("fallbacks: buffers on the host", report.fallbacks());
        counted("quarantine: blocks the driver did not take back", report.quarantine());
        rungs();
        tracking(report.tracking());
        return text.toString();
    }

    private void room(PoolReport.Room room) {
        MemoryBudget budget = room.budget();
        String free = budget.freeBytes().isPresent() ? bytes(budget.freeBytes().getAsLong()) + " free" : "free unknown";
        line(
                "system: %s total, %s (%s: %s), pressure %s",
                bytes(budget.totalBytes()), free, budget.source().label(), budget.detail(), room.pressure());
        line("usable: %s (%s)", bytes(room.usableBytes()), room.terms());
    }

    private void heap(HeapReport heap) {
        line(
                "%s memory: %s in %d block%s; %s in %d buffer%s, %s free in %d range%s (largest %s), %s aside",
                heap.kind().label(),
                bytes(heap.blockBytes()),
                heap.blocks(),
                plural(heap.blocks()),
                bytes(heap.bufferBytes()),
                heap.buffers(),
                plural(heap.buffers()),
                bytes(heap.freeBytes()),
                heap.freeRanges(),
                plural(heap.freeRanges()),
                bytes(heap.largestFreeBytes()),
                bytes(heap.asideBytes()));
        line(
                "  external fragmentation %s (1 - largest free / free), unused share %s (1 - used / held)%s",
                percent(heap.externalFragmentation()),
                percent(heap.unusedShare()),
                heap.warnsOfUnused()
                        ? "; warning: more than " + percent(HeapReport.UNUSED_SHARE_WARNING) + " of it is unused"
                        : "");
        for (HeapReport.SizeClass sizes : heap.sizeClasses()) {
            line(
                    "  from %s: %d buffer%s (%s), %d free range%s (%s)",
                    bytes(sizes.fromBytes()),
                    sizes.buffers(),
                    plural(sizes.buffers()),
                    bytes(sizes.bufferBytes()),
                    sizes.freeRanges(),
                    plural(sizes.freeRanges()),
                    bytes(sizes.freeBytes()));
        }
        for (HeapReport.BlockClass blocks : heap.blockClasses()) {
            line(
                    "  class %d, %s: %d of %d blocks in use, %s taken for it",
                    blocks.id(),
                    bytes(blocks.blockSize()),
                    blocks.allocatedBlocks(),
                    blocks.totalBlocks(),
                    bytes(blocks.reservedBytes()));
        }
    }

    private void counted(String what, PoolReport.Count count) {
        if (count.count() > 0 || count.bytes() > 0) {
            line("%s: %d, %s", what, count.count(), bytes(count.bytes()));
        }
    }

    private void rungs() {
        String climbed = report.rungs().entrySet().stream()
                .filter(rung -> rung.getValue() > 0)
                .map(rung -> rung.getKey() + " " + rung.getValue())
                .collect(Collectors.joining(", "));
        if (!climbed.isEmpty()) {
            line("ladder: %s", climbed);
        }
    }

    private void tracking(PoolReport.Tracking tracking) {
        line(
                "tracking: %s, %d of %d open buffers recorded, %s",
                tracking.level(),
                tracking.tracked().count(),
                report.stats().activeBuffers(),
                bytes(tracking.tracked().bytes()));
        List<Map.Entry<String, PoolReport.Count>> tags =
                List.copyOf(tracking.tags().entrySet());
        tags.stream()
                .limit(SHOWN_TAGS)
                .forEach(tag -> line(
                        "  %s: %d, %s",
                        tag.getKey().isEmpty() ? "no tag" : "'" + tag.getKey() + "'",
                        tag.getValue().count(),
                        bytes(tag.getValue().bytes())));
        if (tags.size() > SHOWN_TAGS) {
            line("  ... and %d more tags", tags.size() - SHOWN_TAGS);
        }
    }

    private void line(String form, Object... values) {
        text.append("\n  ").append(String.format(Locale.ROOT, form, values));
    }

    private static String bytes(long bytes) {
        return ByteSize.format(bytes);
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }

    private static String age(Duration age) {
        return String.format(Locale.ROOT, "%.1f s", age.toMillis() / 1e3);
    }

    private static String plural(long count) {
        return count == 1 ? "" : "s";
    }
}
