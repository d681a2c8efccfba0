package dev.headroom.memory.benchmarks;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.AllocationTrace;
import dev.headroom.memory.sim.MalformedTraceException;
import dev.headroom.memory.sim.TraceReplay;
import java.util.Iterator;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The most that was taken from the device in each trace, as a multiple of the most that was live. What stays for the whole trace
 * is subtracted from both, so that the figure is about the part that moves. Of the engine also the driver calls this took, and the
 * most that a growth took beyond the need.
 */
final class TraceMemory {

    static final String WITH_RANGES = "headroom-ranges";
    static final String WITH_BLOCKS = "headroom-blocks";
    static final String VMA = "vma";
    static final String BEST_FIT = "best-fit";
    static final String DOUBLING = "doubling";
    static final String TORCH = "torch";
    static final String EXPANDABLE = "torch-expandable";
    static final String POW2 = "pow2";

    private static final long AMPLE = 256L << 30;

    /** Policies that are no allocators of ours, on a device that is large enough. */
    private static final Map<String, Supplier<RangePolicy>> POLICIES = Map.of(
            VMA,
            () -> new VmaBlock(AMPLE),
            BEST_FIT,
            () -> new BestFitPolicy(false),
            DOUBLING,
            () -> new BestFitPolicy(true),
            TORCH,
            TorchPolicy::new,
            EXPANDABLE,
            ExpandablePolicy::new,
            POW2,
            Pow2Policy::new);

    private TraceMemory() {}

    /**
     * Adds {@code memory/POLICY/KIND} for all policies and kinds, and for the engine {@code calls/POLICY/KIND} and {@code
     * growth/POLICY/KIND}.
     */
    static void measure(Figures figures) {
        for (TraceGenerator kind : TraceGenerator.values()) {
            LlmTrace trace = kind.generate();
            put(figures, WITH_RANGES, kind, trace, engine(kind, trace, true));
            put(figures, WITH_BLOCKS, kind, trace, engine(kind, trace, false));
            POLICIES.forEach((policy, maker) ->
                    figures.put(name(policy, kind), ratio(trace, peak(trace, maker.get())), 0));
        }
    }

    /** What a figure is called. */
    static String name(String policy, TraceGenerator kind) {
        return "memory/" + policy + "/" + kind.label();
    }

    /** What the figure for the largest growth is called. */
    static String growth(String policy, TraceGenerator kind) {
        return "growth/" + policy + "/" + kind.label();
    }

    private static void put(
            Figures figures, String policy, TraceGenerator kind, LlmTrace trace, TraceReplay.Result result) {
        figures.put(name(policy, kind), ratio(trace, result.peakReservedBytes()), 0);
        figures.put(growth(policy, kind), result.largestGrowth(), 0);
        figures.put("calls/" + policy + "/" + kind.label(), (double) result.driverCalls(), 0);
    }

    private static double ratio(LlmTrace trace, long reserved) {
        return (double) (reserved - trace.fixedBytes()) / (trace.peakLiveBytes() - trace.fixedBytes());
    }

    private static TraceReplay.Result engine(TraceGenerator kind, LlmTrace trace, boolean virtualMemory) {
        try {
            Iterable<String> lines = () -> lines(trace);
            AllocationTrace operations = AllocationTrace.of(kind.label(), lines);
            return new TraceReplay(operations, TraceReplay.AMPLE_BYTES, virtualMemory, MemoryConfig.defaults()).run();
        } catch (MalformedTraceException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Iterator<String> lines(LlmTrace trace) {
        return IntStream.range(0, trace.operations())
                .map(trace::operation)
                .mapToObj(operation ->
                        operation >= 0 ? "a " + operation + " " + trace.byteSize(operation) : "f " + ~operation)
                .iterator();
    }

    private static long peak(LlmTrace trace, RangePolicy policy) {
        long[] numbers = new long[trace.ids()];
        long peak = 0;
        for (int i = 0; i < trace.operations(); i++) {
            int operation = trace.operation(i);
            if (operation >= 0) {
                numbers[operation] = policy.allocate(trace.byteSize(operation));
                peak = Math.max(peak, policy.reservedBytes());
            } else {
                policy.free(numbers[~operation]);
            }
        }
        return peak;
    }
}
