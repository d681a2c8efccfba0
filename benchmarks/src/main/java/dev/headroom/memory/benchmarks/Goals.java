package dev.headroom.memory.benchmarks;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Stream;

/** The goals for speed and memory, held against what a run measured. */
final class Goals {

    private static final List<Long> SIZES = List.of(256L, 4096L, 65536L, 1048576L, 16777216L);
    private static final long KIB_64 = 65536;

    /** Movable memory with virtual memory, where the goals name a figure. */
    private static final Map<TraceGenerator, Double> WITH_RANGES = Map.of(
            TraceGenerator.PAGED, 1.01,
            TraceGenerator.DOUBLE, 1.02,
            TraceGenerator.CAT, 1.06,
            TraceGenerator.SWAP, 1.01);

    /** Goals without a figure here, and why. */
    private static final List<String> ELSEWHERE = List.of(
            "H1: there is no API by ids, and no cache that one thread owns, to be measured",
            "T1, the core alone: the engine is measured as a whole",
            "F3: is held by tests of the engine",
            "L3: needs an NVIDIA GPU",
            "W1: single calls are not timed");

    /**
     * A goal and its figure.
     *
     * @param id       its name
     * @param what     what is compared
     * @param value    what was measured, of several the worst; empty if it was not
     * @param limit    what it must come up to
     * @param atLeast  whether more is better
     */
    record Goal(String id, String what, OptionalDouble value, double limit, boolean atLeast) {

        /** Whether the goal is met; empty if it was not measured. */
        Optional<Boolean> met() {
            return value.isEmpty()
                    ? Optional.empty()
                    : Optional.of(atLeast ? value.getAsDouble() >= limit : value.getAsDouble() <= limit);
        }
    }

    private final Figures figures;
    private final List<Goal> all = new ArrayList<>();

    private Goals(Figures figures) {
        this.figures = figures;
    }

    /** All goals, in order. */
    static List<Goal> of(Figures figures) {
        Goals goals = new Goals(figures);
        goals.pairs();
        goals.threads();
        goals.mixed();
        goals.traces();
        goals.memory();
        goals.loading();
        goals.most("G1", "bytes of garbage per pair, worst size", goals.garbage(), 48);
        return List.copyOf(goals.all);
    }

    /** Prints a table. */
    static void print(Figures figures, PrintStream out) {
        out.println("| goal | measured | wanted | met |");
        out.println("|---|---|---|---|");
        for (Goal goal : of(figures)) {
            out.println(String.format(
                    Locale.ROOT,
                    "| %s: %s | %s | %s %s | %s |",
                    goal.id(),
                    goal.what(),
                    goal.value().isEmpty() ? "-" : number(goal.value().getAsDouble()),
                    goal.atLeast() ? ">=" : "<=",
                    number(goal.limit()),
                    goal.met().map(met -> met ? "yes" : "NO").orElse("not measured")));
        }
        out.println();
        out.println("Not in this table:");
        ELSEWHERE.forEach(line -> out.println("- " + line));
    }

    static String number(double value) {
        return String.format(Locale.ROOT, Math.abs(value) < 10 ? "%.3f" : "%.1f", value);
    }

    private void pairs() {
        most("H2", "pair, handle API, 1 thread, ns, worst size", worst(ofSizes("hot/headroom/", "/1")), 22);
        least("H2", "times faster than Netty pooled, worst size", timesFaster(Peers.NETTY_POOLED, 1, 0), 2.3);
        least("H2", "times faster than Netty adaptive, worst size", timesFaster(Peers.NETTY_ADAPTIVE, 1, 0), 2.3);
        least("H2", "times faster than the naive pool, worst size", timesFaster(Peers.POW2, 1, 0), 1.6);
        least("H2", "times faster than Arrow, worst size", timesFaster(Peers.ARROW, 1, 0), 9);
        least("H2", "times faster than jemalloc, from 64 KiB", timesFaster(Peers.JEMALLOC, 1, KIB_64), 5);
        most("H3", "16 MiB pair to 256 B pair", ratio("hot/headroom/16777216/1", "hot/headroom/256/1"), 1.3);
    }

    private void threads() {
        most(
                "H4",
                "pair with 2 threads to 1, worst size",
                worst(SIZES.stream().map(size -> ratio("hot/headroom/" + size + "/2", "hot/headroom/" + size + "/1"))),
                1.3);
        least("H4", "times faster than VMA under a spin lock, 2 threads", timesFaster(Peers.VMA_SPIN, 2, 0), 15);
        least("H4", "times faster than the naive pool, 2 threads", timesFaster(Peers.POW2, 2, 0), 15);
        most("H5", "pair, 10,000 virtual threads, ns per carrier", value("virtual/headroom"), 20);
    }

    private void mixed() {
        most("M1", "mixed, 1 thread, to VMA bare", ratio("mixed/headroom/1", "mixed/vma-bare/1"), 0.75);
        most("M1", "mixed, 1 thread, ns", value("mixed/headroom/1"), 50);
        most("M2", "mixed, 2 threads, to VMA under a spin lock", ratio("mixed/headroom/2", "mixed/vma-spin/2"), 0.4);
    }

    private void traces() {
        for (TraceGenerator kind : TraceGenerator.values()) {
            String ours = "trace/headroom/" + kind.label();
            most("T1", kind.label() + ", to VMA bare", ratio(ours, "trace/vma-bare/" + kind.label()), 0.9);
            most("T1", kind.label() + ", ns per operation", value(ours), 18);
        }
    }

    private void memory() {
        for (TraceGenerator kind : TraceGenerator.values()) {
            OptionalDouble best = Stream.of(TraceMemory.VMA, TraceMemory.BEST_FIT)
                    .map(policy -> value(TraceMemory.name(policy, kind)))
                    .flatMapToDouble(OptionalDouble::stream)
                    .min();
            most(
                    "F1",
                    kind.label() + ", fixed segments, movable reserved to live",
                    value(TraceMemory.name(TraceMemory.WITH_BLOCKS, kind)),
                    best.orElse(1) + 0.03);
        }
        for (TraceGenerator kind : TraceGenerator.values()) {
            OptionalDouble ours = value(TraceMemory.name(TraceMemory.WITH_RANGES, kind));
            Optional.ofNullable(WITH_RANGES.get(kind))
                    .ifPresent(limit ->
                            most("F2", kind.label() + ", virtual memory, movable reserved to live", ours, limit));
            OptionalDouble theirs = value(TraceMemory.name(TraceMemory.EXPANDABLE, kind));
            OptionalDouble waste = ours.isEmpty() || theirs.isEmpty()
                    ? OptionalDouble.empty()
                    : OptionalDouble.of((ours.getAsDouble() - 1) / (theirs.getAsDouble() - 1));
            most("F2", kind.label() + ", waste to that of expandable segments", waste, 0.6);
        }
    }

    private void loading() {
        for (String backend : List.of("host", "opencl")) {
            String id = backend.equals("host") ? "L1" : "L2";
            for (int threads = 1; threads <= 2; threads++) {
                String ours = "load/" + backend + "/" + threads;
                String what = backend + ", " + threads + " thread(s), rate to that of C's memcpy";
                least(id, what, ratio(ours, "memcpy/" + threads), 0.9);
                least(id, what + ", file mapped anew for both", ratio(ours, "memcpy-file/" + threads), 0.9);
            }
        }
    }

    /** The profiler counts the whole process, and so is off by a little. */
    private OptionalDouble garbage() {
        return worst(ofSizes("garbage/headroom/", "")).stream().map(Math::rint).findFirst();
    }

    private void most(String id, String what, OptionalDouble value, double limit) {
        all.add(new Goal(id, what, value, limit, false));
    }

    private void least(String id, String what, OptionalDouble value, double limit) {
        all.add(new Goal(id, what, value, limit, true));
    }

    private OptionalDouble value(String name) {
        return figures.value(name).stream().mapToDouble(Double::doubleValue).findFirst();
    }

    private OptionalDouble ratio(String above, String below) {
        OptionalDouble numerator = value(above);
        OptionalDouble denominator = value(below);
        return numerator.isEmpty() || denominator.isEmpty()
                ? OptionalDouble.empty()
                : OptionalDouble.of(numerator.getAsDouble() / denominator.getAsDouble());
    }

    private Stream<OptionalDouble> ofSizes(String before, String after) {
        return SIZES.stream().map(size -> value(before + size + after));
    }

    /** How many times faster than a peer, at the size where that is least. */
    private OptionalDouble timesFaster(String peer, int threads, long leastBytes) {
        return SIZES.stream()
                .filter(size -> size >= leastBytes)
                .map(size -> ratio("hot/" + peer + "/" + size + "/" + threads, "hot/headroom/" + size + "/" + threads))
                .flatMapToDouble(OptionalDouble::stream)
                .min();
    }

    private static OptionalDouble worst(Stream<OptionalDouble> values) {
        return values.flatMapToDouble(OptionalDouble::stream).max();
    }
}
