package dev.headroom.memory.benchmarks;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.FixedBlockPool;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Blocks of one size that come and go, beside buffers of that size from the pool. An operation is the pair. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Benchmark)
@Fork(1)
@Warmup(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 9, time = 200, timeUnit = TimeUnit.MILLISECONDS)
public class FixedBlockBenchmark {

    private static final int BATCH = 256;
    private static final long BLOCK = 64 << 10;

    private final GpuMemory memory = open();
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
    private final FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(BLOCK), 1024, 1 << 16);

    /** What a thread holds while it runs, and a batch of its own. */
    @State(Scope.Thread)
    public static class Held {

        private final int[] batch = new int[BATCH];
        private final int[] live = new int[BATCH];
        private int next;

        /**
         * Holds some blocks.
         *
         * @param of whose they are
         */
        @Setup
        public void take(FixedBlockBenchmark of) {
            of.blocks.allocate(live, 0, BATCH);
        }
    }

    /** Ends the pool. */
    @TearDown
    public void close() {
        blocks.close();
        memory.close();
    }

    /**
     * A block that is freed at once.
     *
     * @return its number
     */
    @Benchmark
    public int pair() {
        int block = blocks.allocate();
        blocks.free(block);
        return block;
    }

    /**
     * The oldest of 256 blocks is freed and another taken.
     *
     * @param held the blocks
     */
    @Benchmark
    public void oldest(Held held) {
        int at = held.next++ & BATCH - 1;
        blocks.free(held.live[at]);
        held.live[at] = blocks.allocate();
    }

    /**
     * 256 blocks at once.
     *
     * @param held where to
     */
    @Benchmark
    @OperationsPerInvocation(BATCH)
    public void batch(Held held) {
        blocks.allocate(held.batch, 0, BATCH);
        blocks.free(held.batch, 0, BATCH);
    }

    /** The pool's own way. */
    @Benchmark
    public void buffer() {
        pool.allocate(BLOCK).close();
    }

    static GpuMemory open() {
        SimulatedBackend backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").totalBytes(64L << 30).withoutContents())
                .build();
        return GpuMemory.builder()
                .backend(backend)
                .config(MemoryConfig.defaults())
                .open();
    }
}
