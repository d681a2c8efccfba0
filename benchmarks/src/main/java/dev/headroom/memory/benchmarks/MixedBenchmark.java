package dev.headroom.memory.benchmarks;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.ThreadParams;

/** 10,000 open at a time, over all threads. An operation frees one at random and allocates another, of a log-uniform size. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Benchmark)
@Fork(1)
@Warmup(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 9, time = 200, timeUnit = TimeUnit.MILLISECONDS)
public class MixedBenchmark {

    private static final long BYTES = 128L << 30;
    private static final int LIVE = 10_000;
    private static final int TABLE = 1 << 17;

    /** Who is measured. */
    @Param(Peers.HEADROOM)
    public String peer = Peers.HEADROOM;

    /** Large: 256 B to 64 MiB, for those who touch no memory. Small: 64 B to 64 KiB. */
    @Param("large")
    public String sizes = "large";

    private Peer allocator = Peer.ofNumbers(bytes -> bytes, _ -> {});
    private int threads = 1;

    /**
     * Makes the allocator.
     *
     * @param params how many threads there are
     */
    @Setup
    public void open(BenchmarkParams params) {
        threads = params.getThreads();
        allocator = Peers.of(peer, BYTES);
    }

    /** What a thread has open, and what it does next. */
    @State(Scope.Thread)
    public static class Open {

        private final int[] places = new int[TABLE];
        private final long[] bytes = new long[TABLE];
        private Peer.Slots slots = Peer.ofNumbers(size -> size, _ -> {}).slots(1);
        private int at;

        /**
         * Draws what to do, and opens this thread's share.
         *
         * @param of     whose it is
         * @param params which thread it is
         */
        @Setup
        public void enter(MixedBenchmark of, ThreadParams params) {
            of.allocator.enterThread();
            int live = LIVE / of.threads;
            slots = of.allocator.slots(live);
            SplittableRandom random = new SplittableRandom(7 + params.getThreadIndex());
            boolean large = of.sizes.equals("large");
            double least = Math.log(large ? 256.0 : 64.0);
            double most = Math.log(large ? 0x1p26 : 0x1p16);
            for (int i = 0; i < TABLE; i++) {
                places[i] = random.nextInt(live);
                bytes[i] = (long) Math.exp(least + (most - least) * random.nextDouble());
            }
            for (int i = 0; i < live; i++) {
                slots.put(i, bytes[i]);
            }
        }
    }

    /**
     * Replaces one.
     *
     * @param open the thread's table
     */
    @Benchmark
    public void replace(Open open) {
        int step = open.at++ & (TABLE - 1);
        int place = open.places[step];
        open.slots.clear(place);
        open.slots.put(place, open.bytes[step]);
    }
}
