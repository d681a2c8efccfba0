package dev.headroom.memory.benchmarks;

import java.io.IOException;
import java.io.PrintStream;
import java.util.Collection;
import java.util.List;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.Stream;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs the benchmarks, each peer in a process of its own, and collects the medians. */
final class Suite {

    private static final String[] JVM = {
        "-Xms1g",
        "-Xmx1g",
        "-XX:+UseG1GC",
        "-XX:MaxDirectMemorySize=8g",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/jdk.internal.misc=ALL-UNNAMED",
        "-Dio.netty.tryReflectionSetAccessible=true"
    };
    private static final String GARBAGE = "gc.alloc.rate.norm";

    /** How much is measured. */
    enum Size {
        /** Fewer sizes and shorter runs. */
        QUICK(7, 5, 100, 5, List.of(256L, 65536L, 16777216L), List.of(256L, 1048576L)),
        /** All of it. */
        FULL(
                9,
                7,
                200,
                25,
                List.of(256L, 4096L, 65536L, 1048576L, 16777216L),
                List.of(256L, 4096L, 65536L, 1048576L, 16777216L));

        private final int warmups;
        private final int iterations;
        private final long millis;
        private final int loads;
        private final List<Long> sizes;
        private final List<Long> sharedSizes;

        Size(int warmups, int iterations, long millis, int loads, List<Long> sizes, List<Long> sharedSizes) {
            this.warmups = warmups;
            this.iterations = iterations;
            this.millis = millis;
            this.loads = loads;
            this.sizes = sizes;
            this.sharedSizes = sharedSizes;
        }
    }

    private final Size size;
    private final PrintStream progress;
    private final Figures figures = new Figures();

    Suite(Size size, PrintStream progress) {
        this.size = size;
        this.progress = progress;
    }

    /** Runs everything. */
    Figures run() throws RunnerException, IOException {
        hot(1, Peers.ALL, size.sizes);
        hot(2, List.of(Peers.HEADROOM, Peers.IDS, Peers.LOCAL, Peers.VMA_SPIN, Peers.POW2), size.sharedSizes);
        hot(
                1,
                List.of(Peers.HEADROOM, Peers.IDS, Peers.LOCAL),
                size.sharedSizes.stream()
                        .filter(bytes -> !size.sizes.contains(bytes))
                        .toList());
        virtual();
        mixed(
                1,
                List.of(
                        Peers.HEADROOM,
                        Peers.IDS,
                        Peers.LOCAL,
                        Peers.CORE,
                        Peers.VMA_BARE,
                        Peers.VMA_SPIN,
                        Peers.VMA_MONITOR,
                        Peers.POW2));
        mixed(2, List.of(Peers.HEADROOM, Peers.IDS, Peers.LOCAL, Peers.VMA_SPIN, Peers.POW2));
        traces();
        progress.println("single calls ...");
        WorstCase.measure(figures);
        progress.println("memory ...");
        TraceMemory.measure(figures);
        progress.println("loading ...");
        LoadRate.measure(size.loads, figures, progress);
        return figures;
    }

    private void hot(int threads, List<String> peers, List<Long> sizes) throws RunnerException {
        if (sizes.isEmpty()) {
            return;
        }
        ChainedOptionsBuilder options = options(HotPairBenchmark.class, threads)
                .param("peer", peers.toArray(String[]::new))
                .param("size", sizes.stream().map(String::valueOf).toArray(String[]::new))
                .addProfiler(GCProfiler.class);
        for (RunResult run : run(options, "pairs, " + threads + " thread(s)")) {
            String peer = run.getParams().getParam("peer");
            String bytes = run.getParams().getParam("size");
            put("hot/" + peer + "/" + bytes + "/" + threads, run, score -> threads / score);
            Result<?> garbage = run.getSecondaryResults().get(GARBAGE);
            if (garbage != null && threads == 1) {
                figures.put("garbage/" + peer + "/" + bytes, garbage.getScore(), 0);
            }
        }
    }

    private void virtual() throws RunnerException {
        int carriers = Runtime.getRuntime().availableProcessors();
        ChainedOptionsBuilder options =
                options(VirtualThreadsBenchmark.class, 1).param("peer", Peers.HEADROOM, Peers.IDS);
        for (RunResult run : run(options, "pairs, 10,000 virtual threads")) {
            put("virtual/" + run.getParams().getParam("peer"), run, score -> score * carriers);
        }
    }

    private void mixed(int threads, List<String> peers) throws RunnerException {
        ChainedOptionsBuilder options =
                options(MixedBenchmark.class, threads).param("peer", peers.toArray(String[]::new));
        for (RunResult run : run(options, "mixed, " + threads + " thread(s)")) {
            put("mixed/" + run.getParams().getParam("peer") + "/" + threads, run, score -> threads / score);
        }
    }

    private void traces() throws RunnerException {
        ChainedOptionsBuilder options = options(TraceBenchmark.class, 1)
                .param("peer", Peers.HEADROOM, Peers.IDS, Peers.CORE, Peers.VMA_BARE)
                .param(
                        "trace",
                        Stream.of(TraceGenerator.values()).map(Enum::name).toArray(String[]::new));
        for (RunResult run : run(options, "traces")) {
            TraceGenerator kind = TraceGenerator.valueOf(run.getParams().getParam("trace"));
            int operations = kind.generate().operations();
            put("trace/" + run.getParams().getParam("peer") + "/" + kind.label(), run, score -> score / operations);
        }
    }

    private ChainedOptionsBuilder options(Class<?> benchmark, int threads) {
        return new OptionsBuilder()
                .include("\\." + benchmark.getSimpleName() + "\\.")
                .forks(1)
                .threads(threads)
                .warmupIterations(size.warmups)
                .warmupTime(TimeValue.milliseconds(size.millis))
                .measurementIterations(size.iterations)
                .measurementTime(TimeValue.milliseconds(size.millis))
                .timeout(TimeValue.seconds(60))
                .verbosity(VerboseMode.SILENT)
                .shouldFailOnError(false)
                .jvmArgs(JVM);
    }

    private Collection<RunResult> run(ChainedOptionsBuilder options, String what) throws RunnerException {
        progress.println(what + " ...");
        return new Runner(options.build()).run();
    }

    private void put(String name, RunResult run, DoubleUnaryOperator nanos) {
        List<Double> scores = run.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream())
                .map(iteration ->
                        nanos.applyAsDouble(iteration.getPrimaryResult().getScore()))
                .toList();
        if (scores.isEmpty()) {
            progress.println(name + " did not run");
        } else {
            figures.putMedian(name, scores);
        }
    }
}
