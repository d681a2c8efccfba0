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
    private static final long KIB_4 = 4096;
    private static final long KIB_64 = 65536;

    /** Buffers, ids, and ids from a cache of the thread's own. */
    private static final List<String> OURS = List.of(Peers.HEADROOM, Peers.IDS, Peers.LOCAL);

    /** Movable memory with virtual memory, where the goals name a figure. */
    private static final Map<TraceGenerator, Double> WITH_RANGES = Map.of(
            TraceGenerator.PAGED, 1.01,
            TraceGenerator.DOUBLE, 1.02,
            TraceGenerator.CAT, 1.06,
            TraceGenerator.SWAP, 1.01);

    /** Goals without a figure here, and why. */
    private static final List<String> ELSEWHERE = List.of("L3: needs an NVIDIA GPU");

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
        goals.ids();
        goals.pairs();
        goals.threads();
        goals.mixed();
        goals.traces();
        goals.memory();
        goals.loading();
        goals.garbage();
        goals.most("W1", "a call without the driver, 99.9 % of all, ns", goals.value("call/p99.9"), 1000);
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

    private void ids() {
        most("H1", "pair, ids, 1 thread, ns, worst size", worst(ofSizes("hot/headroom-ids/", "/1")), 14);
        most("H1", "ids to rpmalloc, up to 4 KiB", slower(Peers.IDS, Peers.RPMALLOC, KIB_4), 0.85);
        most("H1", "ids to jemalloc, up to 4 KiB", slower(Peers.IDS, Peers.JEMALLOC, KIB_4), 0.85);
        most("H1", "ids to VMA bare, worst size", slower(Peers.IDS, Peers.VMA_BARE, Long.MAX_VALUE), 0.6);
        most("H1", "ids to VMA under a monitor, worst size", slower(Peers.IDS, Peers.VMA_MONITOR, Long.MAX_VALUE), 0.3);
        most("H1", "pair, local cache, ns, worst size", worst(ofSizes("hot/headroom-local/", "/1")), 8);
        most("H1", "local cache to VMA bare, worst size", slower(Peers.LOCAL, Peers.VMA_BARE, Long.MAX_VALUE), 0.35);
    }

    private void pairs() {
        String ours = Peers.HEADROOM;
        most("H2", "pair, buffers, 1 thread, ns, worst size", worst(ofSizes("hot/headroom/", "/1")), 22);
        least("H2", "times faster than Netty pooled, worst size", faster(ours, Peers.NETTY_POOLED, 1, 0), 2.3);
        least("H2", "times faster than Netty adaptive, worst size", faster(ours, Peers.NETTY_ADAPTIVE, 1, 0), 2.3);
        least("H2", "times faster than the naive pool, worst size", faster(ours, Peers.POW2, 1, 0), 1.6);
        least("H2", "times faster than Arrow, worst size", faster(ours, Peers.ARROW, 1, 0), 9);
        least("H2", "times faster than jemalloc, from 64 KiB", faster(ours, Peers.JEMALLOC, 1, KIB_64), 5);
        for (String peer : OURS) {
            most(
                    "H3",
                    peer + ", 16 MiB pair to 256 B pair",
                    ratio(hot(peer, SIZES.getLast(), 1), hot(peer, 256, 1)),
                    1.3);
        }
    }

    private void threads() {
        for (String peer : OURS) {
            most(
                    "H4",
                    peer + ", pair with 2 threads to 1, worst size",
                    worst(SIZES.stream().map(size -> ratio(hot(peer, size, 2), hot(peer, size, 1)))),
                    1.3);
            least(
                    "H4",
                    peer + ", times faster than VMA under a spin lock, 2 threads",
                    faster(peer, Peers.VMA_SPIN, 2, 0),
                    15);
            least("H4", peer + ", times faster than the naive pool, 2 threads", faster(peer, Peers.POW2, 2, 0), 15);
        }
        most("H5", "pair, 10,000 virtual threads, ns per carrier", value("virtual/headroom"), 20);
        most("H5", "ids, 10,000 virtual threads, ns per carrier", value("virtual/headroom-ids"), 20);
    }

    private void mixed() {
        for (String peer : OURS) {
            most(
                    "M1",
                    peer + ", mixed, 1 thread, to VMA bare",
                    ratio("mixed/" + peer + "/1", "mixed/vma-bare/1"),
                    0.75);
            most("M1", peer + ", mixed, 1 thread, ns", value("mixed/" + peer + "/1"), 50);
        }
        for (String peer : OURS) {
            most(
                    "M2",
                    peer + ", mixed, 2 threads, to VMA under a spin lock",
                    ratio("mixed/" + peer + "/2", "mixed/vma-spin/2"),
                    0.4);
        }
    }

    private void traces() {
        for (TraceGenerator kind : TraceGenerator.values()) {
            trace(kind, Peers.IDS, 0.9, 18);
            trace(kind, Peers.HEADROOM, 0.9, 18);
            trace(kind, Peers.CORE, 0.7, 14);
        }
    }

    private void trace(TraceGenerator kind, String peer, double times, double nanos) {
        String ours = "trace/" + peer + "/" + kind.label();
        most("T1", peer + ", " + kind.label() + ", to VMA bare", ratio(ours, "trace/vma-bare/" + kind.label()), times);
        most("T1", peer + ", " + kind.label() + ", ns per operation", value(ours), nanos);
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
        most(
                "F3",
                "largest growth beyond the need to what is allowed, all traces, with and without virtual memory",
                worst(Stream.of(TraceMemory.WITH_RANGES, TraceMemory.WITH_BLOCKS)
                        .flatMap(policy -> Stream.of(TraceGenerator.values())
                                .map(kind -> value(TraceMemory.growth(policy, kind))))),
                1);
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
    private void garbage() {
        for (String peer : OURS) {
            OptionalDouble bytes = worst(ofSizes("garbage/" + peer + "/", ""));
            most(
                    "G1",
                    peer + ", bytes of garbage per pair, worst size",
                    bytes.stream().map(Math::rint).findFirst(),
                    peer.equals(Peers.HEADROOM) ? 48 : 0);
        }
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

    private static String hot(String peer, long size, int threads) {
        return "hot/" + peer + "/" + size + "/" + threads;
    }

    /** How many times faster than a peer, at the size where that is least. */
    private OptionalDouble faster(String ours, String peer, int threads, long leastBytes) {
        return SIZES.stream()
                .filter(size -> size >= leastBytes)
                .map(size -> ratio(hot(peer, size, threads), hot(ours, size, threads)))
                .flatMapToDouble(OptionalDouble::stream)
                .min();
    }

    /** The time as a part of a peer's, at the size where that is most. */
    private OptionalDouble slower(String ours, String peer, long mostBytes) {
        return worst(SIZES.stream()
                .filter(size -> size <= mostBytes)
                .map(size -> ratio(hot(ours, size, 1), hot(peer, size, 1))));
    }

    private static OptionalDouble worst(Stream<OptionalDouble> values) {
        return values.flatMapToDouble(OptionalDouble::stream).max();
    }
}
