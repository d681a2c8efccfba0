package dev.headroom.memory.benchmarks;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferStack;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Frames of a stack that every thread has for itself, beside buffers from the pool. An operation is an allocation and its end. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Benchmark)
@Fork(1)
@Warmup(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 9, time = 200, timeUnit = TimeUnit.MILLISECONDS)
public class StackBenchmark {

    private static final int LAYER = 8;
    private static final long BYTES = 64 << 10;

    private static final GpuMemory MEMORY = FixedBlockBenchmark.open();
    private static final GpuMemoryPool POOL = MEMORY.pool(MEMORY.devices().getFirst());

    /** The stack of a thread; made on it. */
    @State(Scope.Thread)
    public static class Own {

        private final BufferStack stack = POOL.stack(AllocationRequest.of(64L << 20));
        private final DeviceBuffer[] buffers = new DeviceBuffer[LAYER];

        /** Closes it. */
        @TearDown
        public void close() {
            stack.close();
        }
    }

    /**
     * A frame with one allocation.
     *
     * @param own the stack
     * @return its position
     */
    @Benchmark
    public long frameOfOne(Own own) {
        try (BufferStack.Frame frame = own.stack.push()) {
            return frame.allocate(BYTES);
        }
    }

    /**
     * A frame with eight allocations.
     *
     * @param own the stack
     * @return the last position
     */
    @Benchmark
    @OperationsPerInvocation(LAYER)
    public long frameOfEight(Own own) {
        long last = 0;
        try (BufferStack.Frame frame = own.stack.push()) {
            for (int i = 0; i < LAYER; i++) {
                last = frame.allocate(BYTES);
            }
        }
        return last;
    }

    /**
     * The pool's own way.
     *
     * @param own the table of buffers
     */
    @Benchmark
    @OperationsPerInvocation(LAYER)
    public void buffers(Own own) {
        for (int i = 0; i < LAYER; i++) {
            own.buffers[i] = POOL.allocate(BYTES);
        }
        for (int i = LAYER - 1; i >= 0; i--) {
            own.buffers[i].close();
        }
    }
}
