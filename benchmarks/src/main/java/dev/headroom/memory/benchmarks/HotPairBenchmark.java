package dev.headroom.memory.benchmarks;

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
import org.openjdk.jmh.infra.Blackhole;

/** Allocates one size and frees it, again and again. An operation is the pair. Throughput, as a thread that starves would spoil a mean of times. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Benchmark)
@Fork(1)
@Warmup(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 9, time = 200, timeUnit = TimeUnit.MILLISECONDS)
public class HotPairBenchmark {

    private static final long BYTES = 16L << 30;

    /** Who is measured. */
    @Param(Peers.HEADROOM)
    public String peer = Peers.HEADROOM;

    /** The size of the pair. */
    @Param({"256", "4096", "65536", "1048576", "16777216"})
    public long size;

    private Peer allocator = Peer.ofNumbers(bytes -> bytes, _ -> {});

    /** Makes the allocator. */
    @Setup
    public void open() {
        allocator = Peers.of(peer, BYTES);
    }

    /** What a thread has open. */
    @State(Scope.Thread)
    public static class Open {

        private Peer.Slots slots = Peer.ofNumbers(bytes -> bytes, _ -> {}).slots(1);

        /**
         * Enters the allocator.
         *
         * @param of whose it is
         */
        @Setup
        public void enter(HotPairBenchmark of) {
            of.allocator.enterThread();
            slots = of.allocator.slots(1);
        }
    }

    /**
     * The pair.
     *
     * @param open      the thread's table
     * @param blackhole for the handle
     */
    @Benchmark
    public void pair(Open open, Blackhole blackhole) {
        open.slots.pair(size, blackhole);
    }
}
