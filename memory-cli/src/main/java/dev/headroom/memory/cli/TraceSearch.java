package dev.headroom.memory.cli;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.TraceReplay;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;

/** Tries settings on a trace. */
final class TraceSearch {

    /** The settings that are tried. */
    static final Set<String> TRIED =
            Set.of("headroom.growthBytes", "headroom.maxPooledPerBucket", "headroom.releaseThresholdBytes");

    private static final long MIB = 1L << 20;
    private static final long[] GROWTH_BYTES = {0, 2 * MIB, 8 * MIB, 32 * MIB, 128 * MIB};
    private static final int[] POOLED = {0, 4, 8, 32};
    private static final long[] KEPT = {0, Long.MAX_VALUE};

    /** Less than this much of the memory is not worth a slower program. */
    private static final double SAME_MEMORY = 1.005;

    private TraceSearch() {}

    /**
     * A run.
     *
     * @param replay what was run
     * @param result what it came to
     * @param tried  how many settings it was chosen from
     */
    record Found(TraceReplay replay, TraceReplay.Result result, int tried) {}

    /** The settings with the fewest failures; of these with the least memory; of those that differ by less than 0.5 % in it the fastest. */
    static Found best(TraceReplay start) {
        List<Found> all = new ArrayList<>();
        for (long growth : GROWTH_BYTES) {
            for (int pooled : POOLED) {
                for (long kept : KEPT) {
                    MemoryConfig config = start.config().toBuilder()
                            .growthBytes(growth)
                            .maxPooled(pooled)
                            .releaseThresholdBytes(kept)
                            .build();
                    TraceReplay replay =
                            new TraceReplay(start.trace(), start.deviceBytes(), start.virtualMemory(), config);
                    all.add(new Found(replay, replay.run(), GROWTH_BYTES.length * POOLED.length * KEPT.length));
                }
            }
        }
        long fewest = all.stream()
                .mapToLong(found -> found.result.failedAllocations())
                .min()
                .orElseThrow();
        List<Found> complete = all.stream()
                .filter(found -> found.result.failedAllocations() == fewest)
                .toList();
        long least = complete.stream()
                .mapToLong(found -> found.result.peakReservedBytes())
                .min()
                .orElseThrow();
        return complete.stream()
                .filter(found -> found.result.peakReservedBytes() <= least * SAME_MEMORY)
                .min(Comparator.comparingDouble(found -> found.result.nanosPerOperation()))
                .orElseThrow();
    }
}
