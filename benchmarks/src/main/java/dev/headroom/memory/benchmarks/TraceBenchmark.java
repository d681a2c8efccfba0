package dev.headroom.memory.benchmarks;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** One shot is a whole trace on a fresh allocator; the report divides by its operations. */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Benchmark)
@Fork(1)
@Warmup(iterations = 6)
@Measurement(iterations = 9)
public class TraceBenchmark {

    private static final long BYTES = 128L << 30;

    /** Who is measured: one who touches no memory. */
    @Param(Peers.HEADROOM)
    public String peer = Peers.HEADROOM;

    /** What is run. */
    @Param
    public TraceGenerator trace = TraceGenerator.PAGED;

    private LlmTrace operations = new LlmTrace();
    private Peer.Slots slots = Peer.ofNumbers(bytes -> bytes, _ -> {}).slots(1);

    /** Makes the trace. */
    @Setup
    public void load() {
        operations = trace.generate();
    }

    /** Makes the allocator, and forgets the one before. */
    @Setup(Level.Iteration)
    public void open() {
        slots = Peers.of(peer, BYTES).slots(operations.ids());
    }

    /** The trace. */
    @Benchmark
    public void replay() {
        for (int i = 0; i < operations.operations(); i++) {
            int operation = operations.operation(i);
            if (operation >= 0) {
                slots.put(operation, operations.byteSize(operation));
            } else {
                slots.clear(~operation);
            }
        }
    }
}
