package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TraceRecording;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.sim.AllocationTrace;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.TraceReplay;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a pool writes down can be run again, and nobody who allocates suffers for it. */
class TraceRecordingTest {

    private static final long MIB = 1L << 20;
    private static final int THREADS = 4;
    private static final int STEPS = 20_000;
    private static final int MOST_OPEN = 32;
    private static final int CHUNK = 8192;
    private static final int MOST_ROUNDS = 200;

    private final GpuMemory memory =
            GpuMemory.builder().backend(SimulatedBackend.card(64L << 30)).open();
    private final PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());

    @TempDir
    private Path folder;

    @AfterEach
    void close() {
        memory.close();
    }

    @Test
    void aLineForEachOperation() throws IOException {
        Path file = folder.resolve("trace");
        Files.writeString(file, "what was there before, and is longer than what comes");
        DeviceBuffer before = pool.allocate(1);
        DeviceBuffer first;
        try (TraceRecording recording = pool.recordTrace(file)) {
            first = pool.allocate(300);
            DeviceBuffer second = pool.allocate(10L << 30);
            before.close();
            first.close();
            first.close();
            pool.allocate(300);
            assertThat(recording.operations()).isEqualTo(4);
            second.close();
        }
        assertThat(file).hasContent("a 0 300\na 1 10737418240\nf 0\na 2 300\nf 1\n");
    }

    @Test
    void aReservationIsPartOfThePool() throws IOException {
        Path file = folder.resolve("trace");
        try (var reservation = memory.reserve(Map.of(pool.device(), MIB))) {
            try (TraceRecording _ = reservation.pool(pool.device()).recordTrace(file)) {
                reservation.pool(pool.device()).allocate(77).close();
            }
        }
        assertThat(file).hasContent("a 0 77\nf 0\n");
    }

    /** Where buffers are tracked, those taken back because nobody has them any more are frees, too. */
    @Test
    void whatIsTakenBackIsFreed() throws IOException {
        Path file = folder.resolve("trace");
        MemoryConfig config = MemoryConfig.builder()
                .tracking(TrackingLevel.FULL)
                .reclaimLeaked(true)
                .pressureInterval(Duration.ofDays(1))
                .build();
        try (GpuMemory other = GpuMemory.builder()
                .backend(SimulatedBackend.card(1L << 30))
                .config(config)
                .open()) {
            PoolEngine tracked = (PoolEngine) other.pool(other.devices().getFirst());
            try (TraceRecording recording = tracked.recordTrace(file)) {
                tracked.allocate(1).close();
                drop(tracked);
                for (int round = 0; round < MOST_ROUNDS && recording.operations() < 4; round++) {
                    System.gc();
                    tracked.monitor().step();
                }
            }
            tracked.validate();
        }
        assertThat(file).hasContent("a 0 1\nf 0\na 1 2\nf 1\n");
    }

    /** A frame of its own, so that nothing refers to the buffer afterwards. */
    private static void drop(PoolEngine tracked) {
        tracked.allocate(2);
    }

    /** Buffers change hands between threads, and the most there ever was is known exactly. */
    @Test
    void aRunOfSeveralThreadsCanBeRunAgain() throws Exception {
        Path file = folder.resolve("trace");
        ConcurrentLinkedQueue<DeviceBuffer> passedOn = new ConcurrentLinkedQueue<>();
        CyclicBarrier atPeak = new CyclicBarrier(THREADS);
        long peak = 0;
        TraceRecording recording = pool.recordTrace(file);
        try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            List<Future<Long>> runs = new ArrayList<>();
            for (int seed = 0; seed < THREADS; seed++) {
                runs.add(threads.submit(run(seed, passedOn, atPeak)));
            }
            for (Future<Long> run : runs) {
                peak += run.get();
            }
        }
        recording.close();
        AllocationTrace trace = AllocationTrace.read(file);
        assertThat((long) trace.operations()).isEqualTo(recording.operations()).isGreaterThan(THREADS * STEPS / 2);
        assertThat(trace.peakLiveBytes()).isEqualTo(peak);
        TraceReplay.Result result = new TraceReplay(trace, 64L << 30, true, MemoryConfig.defaults()).run();
        assertThat(result.failedAllocations()).isZero();
        assertThat(result.peakLiveBytes()).isEqualTo(peak);
    }

    /** Small buffers come and go, then all threads hold a large one at once. Returns the bytes this one held at that moment. */
    private Callable<Long> run(int seed, ConcurrentLinkedQueue<DeviceBuffer> passedOn, CyclicBarrier atPeak) {
        return () -> {
            SplittableRandom random = new SplittableRandom(seed);
            List<DeviceBuffer> open = new ArrayList<>();
            for (int step = 0; step < STEPS; step++) {
                if (open.size() < MOST_OPEN && random.nextBoolean()) {
                    open.add(pool.allocate(1 + random.nextLong(64 << random.nextInt(14))));
                } else if (!open.isEmpty()) {
                    passedOn.add(open.remove(random.nextInt(open.size())));
                }
                DeviceBuffer others = random.nextInt(3) > 0 ? passedOn.poll() : null;
                if (others != null) {
                    others.close();
                }
            }
            for (DeviceBuffer rest = passedOn.poll(); rest != null; rest = passedOn.poll()) {
                rest.close();
            }
            atPeak.await();
            for (DeviceBuffer rest = passedOn.poll(); rest != null; rest = passedOn.poll()) {
                rest.close();
            }
            atPeak.await();
            open.add(pool.allocate(1L << 30));
            long held = open.stream().mapToLong(DeviceBuffer::byteSize).sum();
            atPeak.await();
            open.forEach(DeviceBuffer::close);
            return held;
        };
    }

    @Test
    void oneRecordingAtATimeAndEachByItself() throws IOException {
        TraceRecording first = pool.recordTrace(folder.resolve("first"));
        DeviceBuffer left = pool.allocate(5);
        assertThatIllegalStateException()
                .isThrownBy(() -> pool.recordTrace(folder.resolve("second")))
                .withMessageContaining("close that recording first");
        first.close();
        first.close();
        try (TraceRecording second = pool.recordTrace(folder.resolve("second"))) {
            left.close();
            pool.allocate(6).close();
            assertThat(second.operations()).isEqualTo(2);
        }
        assertThat(folder.resolve("first")).hasContent("a 0 5\n");
        assertThat(folder.resolve("second")).hasContent("a 0 6\nf 0\n");
    }

    @Test
    void whatCannotBeOpenedIsSaidAtOnceAndLeavesNothingBehind() throws IOException {
        assertThatThrownBy(() -> pool.recordTrace(folder.resolve("no folder").resolve("trace")))
                .isInstanceOf(NoSuchFileException.class);
        pool.recordTrace(folder.resolve("trace")).close();
    }

    @Test
    void aPoolThatClosesEndsItsRecording() throws IOException {
        TraceRecording recording = pool.recordTrace(folder.resolve("trace"));
        DeviceBuffer left = pool.allocate(5);
        memory.close();
        assertThat(folder.resolve("trace")).hasContent("a 0 5\n");
        left.close();
        recording.close();
        assertThat(recording.operations()).isEqualTo(1);
        assertThatThrownBy(() -> pool.recordTrace(folder.resolve("trace"))).isInstanceOf(BufferClosedException.class);
    }

    /** The disk takes one chunk and no more; who allocates does not notice. */
    @Test
    void aFullDiskEndsTheRecordingAndNothingElse() throws IOException {
        TraceRecording recording = begin(
                new OutputStream() {
                    private int writes;

                    @Override
                    public void write(int b) {
                        throw new AssertionError("in pieces");
                    }

                    @Override
                    public void write(byte[] bytes, int offset, int length) throws IOException {
                        if (++writes > 1) {
                            throw new IOException("No space left on device");
                        }
                    }
                },
                Duration.ofMinutes(1));
        for (int i = 0; i < 4 * CHUNK; i++) {
            pool.allocate(100).close();
        }
        assertThatIOException()
                .isThrownBy(recording::close)
                .withMessageMatching(
                        "(?s)the recording to test ended early, after \\d+ operations: .*No space left on device");
        recording.close();
        pool.validate();
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    /** A disk that hangs: what fits in the queue is kept, and then the recording ends. */
    @Test
    void aDiskThatHangsEndsTheRecordingAndNothingElse() throws IOException {
        CountDownLatch hanging = new CountDownLatch(1);
        TraceRecording recording = begin(
                new OutputStream() {
                    @Override
                    public void write(int b) {
                        throw new AssertionError("in pieces");
                    }

                    @Override
                    public void write(byte[] bytes, int offset, int length) {
                        boolean ignored = Patience.await(hanging, Duration.ofMinutes(1));
                    }
                },
                Duration.ZERO);
        for (int i = 0; i < 4 * CHUNK; i++) {
            pool.allocate(100).close();
        }
        assertThat(recording.operations()).isBetween(2L * CHUNK, 4L * CHUNK);
        hanging.countDown();
        assertThatIOException().isThrownBy(recording::close).withMessageContaining("it is written too slowly");
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void aPairCostsWhatItDidOnceTheRecordingIsOver() throws IOException {
        try (TraceRecording _ = pool.recordTrace(folder.resolve("trace"))) {
            pairs(200);
        }
        pairs(1);
        assertThat(pool.recordings().current()).isNull();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        pairs(10_000);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        assertThat(allocated / 10_000).isLessThanOrEqualTo(48);
    }

    private TraceRecording begin(OutputStream output, Duration patience) throws IOException {
        return pool.recordings().begin(pool, lastId -> new TraceRecorder("test", output, lastId, 2, patience));
    }

    private void pairs(int count) {
        for (int i = 0; i < count; i++) {
            pool.allocate(4096).close();
        }
    }
}
