package dev.headroom.memory.benchmarks;

import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.util.concurrent.TimeUnit;
import jdk.jfr.Event;
import jdk.jfr.Name;
import jdk.jfr.Recording;
import jdk.jfr.StackTrace;
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
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What Flight Recorder events cost a pool that serves every request from a block it has. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(2)
@Warmup(iterations = 5, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 10, time = 500, timeUnit = TimeUnit.MILLISECONDS)
public class FlightRecorderBenchmark {

    private static final String OURS = "dev.headroom.";

    /** What becomes of a recording before the measurement. */
    public enum Recorder {
        /** There never was one. */
        NEVER {
            @Override
            Recording start() {
                return new Recording();
            }
        },
        /** One runs, and our events are disabled. */
        DISABLED {
            @Override
            Recording start() {
                Recording recording = new Recording();
                for (String event : new String[] {"Allocate", "Free", "Bare"}) {
                    recording.disable(OURS + event);
                }
                recording.start();
                return recording;
            }
        },
        /** One ran with our events enabled, and has ended. */
        ENDED {
            @Override
            Recording start() {
                try (Recording before = ENABLED.start()) {
                    new BareEvent().commit();
                    before.stop();
                }
                return new Recording();
            }
        },
        /** One runs, with our events enabled. */
        ENABLED {
            @Override
            Recording start() {
                Recording recording = new Recording();
                for (String event : new String[] {"Allocate", "Free", "Bare"}) {
                    recording.enable(OURS + event);
                }
                recording.start();
                return recording;
            }
        };

        abstract Recording start();
    }

    /** An event without fields, as small as they come. */
    @Name("dev.headroom.Bare")
    @StackTrace(false)
    static final class BareEvent extends Event {}

    /** A recording, in the state the parameter says. */
    @State(Scope.Benchmark)
    public static class Recorded {

        /** The state. */
        @Param
        public Recorder recorder = Recorder.NEVER;

        private Recording recording = new Recording();

        /** Brings the state about. */
        @Setup(Level.Trial)
        public void start() {
            recording = recorder.start();
        }

        /** Ends it. */
        @TearDown(Level.Trial)
        public void end() {
            recording.close();
        }
    }

    /** A pool with room. */
    @State(Scope.Benchmark)
    public static class Pool {

        /** Of so many allocations one is an event. */
        @Param({"64", "1"})
        public int oneIn = 64;

        private final SimulatedBackend backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").totalBytes(1L << 30).withoutContents())
                .build();
        private GpuMemory memory = open();
        private GpuMemoryPool pool = memory.pool(memory.devices().getFirst());

        /** Opens it, and lets it grow. */
        @Setup(Level.Trial)
        public void grow() {
            memory.close();
            memory = open();
            pool = memory.pool(memory.devices().getFirst());
            pool.allocate(1L << 20).close();
        }

        /** Closes it. */
        @TearDown(Level.Trial)
        public void close() {
            memory.close();
        }

        private GpuMemory open() {
            return GpuMemory.builder()
                    .config(MemoryConfig.builder().eventSampling(oneIn).build())
                    .backend(backend)
                    .open();
        }
    }

    /**
     * A buffer's whole life.
     *
     * @param recorded the recording
     * @param state    the pool
     * @return its size
     */
    @Benchmark
    public long allocateAndClose(Recorded recorded, Pool state) {
        var buffer = state.pool.allocate(4096);
        long size = buffer.byteSize();
        buffer.close();
        return size;
    }

    /**
     * An event by the JDK's own pattern: made, timed and committed, whether anybody records or not.
     *
     * @param recorded the recording
     */
    @Benchmark
    public void bareEvent(Recorded recorded) {
        BareEvent event = new BareEvent();
        event.begin();
        event.commit();
    }

    /**
     * An event by our pattern: made only if its type is enabled.
     *
     * @param recorded the recording
     * @param probe    one to be asked
     */
    @Benchmark
    public void guardedEvent(Recorded recorded, Probe probe) {
        if (probe.event.isEnabled()) {
            BareEvent event = new BareEvent();
            event.begin();
            event.commit();
        }
    }

    /** An event to be asked whether its type is enabled. */
    @State(Scope.Benchmark)
    public static class Probe {
        private final BareEvent event = new BareEvent();
    }

    /**
     * Nothing at all: what the harness itself costs.
     *
     * @param recorded the recording
     */
    @Benchmark
    public void nothing(Recorded recorded) {}
}
