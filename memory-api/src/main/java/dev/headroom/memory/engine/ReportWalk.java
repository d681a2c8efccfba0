package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.HeapReport;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolReport;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Collects what a {@link PoolReport} says. Keeps the pool's lock for short steps only. Thread-safe. */
final class ReportWalk {

    /** Nodes looked at with the lock held: a few microseconds. */
    private static final int STEP = 1024;

    private final DeviceSession session;
    private final PoolSetting setting;
    private final HeapSet heaps;
    private final ReclaimQueue reclaim;
    private final Ladder ladder;
    private final LeakTracker leaks;

    ReportWalk(
            DeviceSession session,
            PoolSetting setting,
            HeapSet heaps,
            ReclaimQueue reclaim,
            Ladder ladder,
            LeakTracker leaks) {
        this.session = session;
        this.setting = setting;
        this.heaps = heaps;
        this.reclaim = reclaim;
        this.ladder = ladder;
        this.leaks = leaks;
    }

    /**
     * Takes a report.
     *
     * @param stats         the cheap figures
     * @param fallbackBytes bytes the host stood in for
     * @param claim         the reservation of who asks; what is left of it may still be taken, too
     * @return the report
     * @throws DriverException if the driver does not say how much memory there is
     */
    PoolReport report(MemoryStats stats, long fallbackBytes, DomainLedger.Claim claim) throws DriverException {
        Accountant accountant = heaps.primary().accountant();
        long now = setting.clock().getAsLong();
        long idleBytes = 0;
        long longest = 0;
        List<HeapReport> all = new ArrayList<>();
        for (Heap heap : heaps.all()) {
            BlockList.Figures figures = heap.blocks().figures();
            List<HeapReport.BlockClass> classes = heap.blocks().classFigures();
            long idle = heap.blocks().idleBytes();
            idleBytes += idle;
            longest = Math.max(longest, heap.blocks().longestIdleNanos(now));
            all.add(report(heap, figures, classes, idle));
        }
        return new PoolReport(
                session.device(),
                Optional.of(accountant.ledger().domain()),
                setting.config().profile(),
                stats,
                room(accountant, claim),
                all,
                rungs(),
                new PoolReport.Count(stats.cpuFallbacks(), fallbackBytes),
                new PoolReport.Count(session.quarantined(), session.quarantinedBytes()),
                reclaim.pending(),
                new PoolReport.Idle(
                        idleBytes, idleBytes == 0 ? Optional.empty() : Optional.of(Duration.ofNanos(longest))),
                tracking());
    }

    private PoolReport.Room room(Accountant accountant, DomainLedger.Claim claim) throws DriverException {
        BudgetRule.Reading reading = accountant.read();
        BudgetRule.Allowance allowance = accountant.allowance(reading);
        return new PoolReport.Room(
                reading.budget().readAt(setting.clock().getAsLong()),
                accountant.pressure(reading),
                allowance.usableBytes() + accountant.ledger().remaining(claim),
                setting.limit(),
                allowance.terms());
    }

    private HeapReport report(
            Heap heap, BlockList.Figures figures, List<HeapReport.BlockClass> classes, long idleBytes) {
        Histogram histogram = new Histogram();
        for (int next = 0; next != Tlsf.NONE; ) {
            next = heap.blocks().visit(next, STEP, histogram);
        }
        classes.forEach(histogram::add);
        return new HeapReport(
                heap.kind(),
                figures.blocks(),
                figures.blockBytes(),
                figures.buffers(),
                figures.usedBytes(),
                figures.freeBytes(),
                figures.largestFree(),
                figures.blockBytes() - figures.usedBytes() - figures.freeBytes(),
                idleBytes,
                histogram.freeRanges,
                histogram.sizeClasses(),
                classes);
    }

    private Map<String, Long> rungs() {
        Map<String, Long> rungs = new LinkedHashMap<>();
        for (Rung rung : Rung.values()) {
            rungs.put(rung.name().toLowerCase(Locale.ROOT), ladder.yields(rung));
        }
        return rungs;
    }

    private PoolReport.Tracking tracking() {
        List<BufferMetadata> known = leaks.tracker().map(AllocationTracker::all).orElse(List.of());
        Map<String, PoolReport.Count> sums = new TreeMap<>();
        PoolReport.Count total = PoolReport.Count.NONE;
        for (BufferMetadata buffer : known) {
            PoolReport.Count one = new PoolReport.Count(1, buffer.sizeBytes());
            sums.merge(buffer.tag().orElse(""), one, ReportWalk::sum);
            total = sum(total, one);
        }
        Map<String, PoolReport.Count> tags = new LinkedHashMap<>();
        sums.entrySet().stream()
                .sorted(Comparator.comparingLong(tag -> -tag.getValue().bytes()))
                .forEach(tag -> tags.put(tag.getKey(), tag.getValue()));
        return new PoolReport.Tracking(leaks.level(), total, tags);
    }

    private static PoolReport.Count sum(PoolReport.Count a, PoolReport.Count b) {
        return new PoolReport.Count(a.count() + b.count(), a.bytes() + b.bytes());
    }

    /** Buffers and free ranges by power of two. */
    private static final class Histogram implements Tlsf.NodeVisitor {
        private final long[] buffers = new long[Long.SIZE];
        private final long[] bufferBytes = new long[Long.SIZE];
        private final long[] ranges = new long[Long.SIZE];
        private final long[] rangeBytes = new long[Long.SIZE];
        private long freeRanges;

        @Override
        public void visit(int node, boolean used, long byteSize) {
            int size = powerOf(byteSize);
            (used ? buffers : ranges)[size]++;
            (used ? bufferBytes : rangeBytes)[size] += byteSize;
            freeRanges += used ? 0 : 1;
        }

        private void add(HeapReport.BlockClass blocks) {
            int size = powerOf(blocks.blockSize());
            buffers[size] += blocks.allocatedBlocks();
            bufferBytes[size] += blocks.allocatedBlocks() * blocks.blockSize();
        }

        private List<HeapReport.SizeClass> sizeClasses() {
            List<HeapReport.SizeClass> sizes = new ArrayList<>();
            for (int size = 0; size < Long.SIZE; size++) {
                if (buffers[size] + ranges[size] > 0) {
                    sizes.add(new HeapReport.SizeClass(
                            1L << size, buffers[size], bufferBytes[size], ranges[size], rangeBytes[size]));
                }
            }
            return sizes;
        }

        private static int powerOf(long byteSize) {
            return Long.SIZE - 1 - Long.numberOfLeadingZeros(byteSize);
        }
    }
}
