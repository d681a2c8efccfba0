package dev.headroom.memory.benchmarks;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * 10,000 virtual threads, each with 1000 pairs of one size. The time is that of the clock over all pairs; times the number of
 * carriers it is what a pair costs on one. What starting the threads costs is in it.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Benchmark)
@Fork(1)
@Warmup(iterations = 3, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 7, time = 300, timeUnit = TimeUnit.MILLISECONDS)
public class VirtualThreadsBenchmark {

    private static final long BYTES = 16L << 30;
    private static final int THREADS = 10_000;
    private static final int PAIRS = 1000;

    /** Who is measured. */
    @Param(Peers.HEADROOM)
    public String peer = Peers.HEADROOM;

    /** The size of the pair. */
    @Param("4096")
    public long size;

    private Peer allocator = Peer.ofNumbers(bytes -> bytes, _ -> {});

    /** Makes the allocator. */
    @Setup
    public void open() {
        allocator = Peers.of(peer, BYTES);
    }

    /**
     * All threads, from the first start to the last end.
     *
     * @param blackhole for the handles
     */
    @Benchmark
    @OperationsPerInvocation(THREADS * PAIRS)
    public void pairs(Blackhole blackhole) {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < THREADS; i++) {
                threads.execute(() -> {
                    Peer.Slots slots = allocator.slots(1);
                    for (int pair = 0; pair < PAIRS; pair++) {
                        slots.pair(size, blackhole);
                    }
                });
            }
        }
    }
}
