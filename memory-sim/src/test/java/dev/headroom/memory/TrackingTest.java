package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatNoException;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.headroom.memory.sim.SimulatedBackend;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.logging.Level;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What each tracking level knows of a misused or forgotten buffer, word by word. */
@SuppressWarnings("try") // closing in the middle is what is tested
class TrackingTest {

    private final SimulatedBackend cuda = backend("cuda", card("RTX", 8 * GIB));
    private final long[] now = {0};

    // The report at close.

    @Test
    void fullNamesEachWithSizeTagAgeAndSite() throws Exception {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(TrackingLevel.FULL);
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer first = apart(() -> leakTagged(pool));
            now[0] = Duration.ofSeconds(61).toNanos();
            DeviceBuffer second = apart(() -> leakPlain(pool));
            now[0] = Duration.ofSeconds(90).toNanos();
            memory.close();
            assertThat(log.messages(Level.WARNING))
                    .singleElement()
                    .satisfies(text -> assertThat(stable(text)).isEqualTo("""
                            cuda:0 pool closed with 2 buffers still open, 4 MiB in all; the memory was given back
                              %s, 3 MiB, 'kv cache', open for 90 s
                                  at dev.headroom.memory.TrackingTest.leakTagged(TrackingTest.java:*)
                                  at dev.headroom.memory.TrackingTest.lambda(TrackingTest.java:*)
                              %s, 1 MiB, open for 29 s
                                  at dev.headroom.memory.TrackingTest.leakPlain(TrackingTest.java:*)
                                  at dev.headroom.memory.TrackingTest.lambda(TrackingTest.java:*)""".formatted(first.id(), second.id())));
        }
    }

    @Test
    void sampledNamesSomeAndSaysWhichLevelNamesAll() throws Exception {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(TrackingLevel.SAMPLED);
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer first = apart(() -> leakTagged(pool));
            DeviceBuffer second = apart(() -> leakPlain(pool));
            memory.close();
            assertThat(log.messages(Level.WARNING))
                    .singleElement()
                    .satisfies(text -> assertThat(stable(text)).isEqualTo("""
                            cuda:0 pool closed with 2 buffers still open, 4 MiB in all; the memory was given back
                              %s, 3 MiB, 'kv cache', open for 0 s
                                  at dev.headroom.memory.TrackingTest.leakTagged(TrackingTest.java:*)
                                  at dev.headroom.memory.TrackingTest.lambda(TrackingTest.java:*)
                              TrackingLevel.SAMPLED names 1 of them; TrackingLevel.FULL names each with tag, age and the place \
                            of its allocation""".formatted(first.id())));
            assertThat(second.byteSize()).isEqualTo(MIB);
        }
    }

    // After the close.

    @Test
    void aUseAfterCloseSaysWhereItWasClosedAndAllocated() throws Exception {
        try (GpuMemory memory = open(TrackingLevel.FULL)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer buffer = apart(() -> leakTagged(pool));
            apart(() -> close(buffer));
            Throwable misuse = apart(() -> catchThrowable(() -> buffer.fill(0, 1, (byte) 0)));
            assertThat(misuse)
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessage(buffer.id() + "[3145728 bytes, cuda:0, closed] was used after it was closed");
            assertThat(places(misuse)).isEqualTo("""
                    dev.headroom.memory.BufferClosedException: %s[3145728 bytes, cuda:0, closed] was used after it was closed
                    \tSuppressed: java.lang.Throwable: closed here
                    \t\tat dev.headroom.memory.TrackingTest.close(TrackingTest.java:*)
                    \tSuppressed: java.lang.Throwable: allocated here
                    \t\tat dev.headroom.memory.TrackingTest.leakTagged(TrackingTest.java:*)
                    """.formatted(buffer.id()));
        }
    }

    @Test
    void soDoesOneOfAFallbackBufferAndOfASlice() throws Exception {
        try (GpuMemory memory = open(TrackingLevel.FULL)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            FallbackBuffer buffer = apart(() -> leakWithFallback(pool));
            MemoryBuffer slice = buffer.slice(0, 8);
            apart(() -> close(buffer));
            for (MemoryBuffer closed : new MemoryBuffer[] {buffer, slice}) {
                Throwable misuse = apart(() -> catchThrowable(() -> closed.fill(0, 1, (byte) 0)));
                assertThat(places(misuse)).isEqualTo("""
                        dev.headroom.memory.BufferClosedException: FallbackBuffer is closed
                        \tSuppressed: java.lang.Throwable: closed here
                        \t\tat dev.headroom.memory.TrackingTest.close(TrackingTest.java:*)
                        \tSuppressed: java.lang.Throwable: allocated here
                        \t\tat dev.headroom.memory.TrackingTest.leakWithFallback(TrackingTest.java:*)
                        """);
            }
        }
    }

    @Test
    void aMoveClosesTooAndIsThePlace() {
        SimulatedBackend host = SimulatedBackend.host(GIB);
        try (GpuMemory memory = open(TrackingLevel.FULL, cuda, host)) {
            DeviceBuffer buffer = memory.pool(memory.devices().getFirst()).allocate(MIB);
            DeviceBuffer moved = buffer.moveTo(memory.pool(memory.devices().getLast()));
            assertThat(catchThrowable(() -> buffer.fill(0, 1, (byte) 0)).getSuppressed())
                    .extracting(Throwable::getMessage)
                    .containsExactly("closed here", "allocated here");
            moved.close();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"OFF", "COUNT"})
    void belowThatNobodyKnows(TrackingLevel level) {
        try (GpuMemory memory = open(level)) {
            DeviceBuffer buffer = memory.pool(memory.devices().getFirst()).allocate(MIB);
            buffer.close();
            assertThat(catchThrowable(() -> buffer.fill(0, 1, (byte) 0)))
                    .isInstanceOf(BufferClosedException.class)
                    .hasNoCause()
                    .hasNoSuppressedExceptions();
        }
    }

    @Test
    void aSecondCloseIsHarmlessAndMentionedOnceWithAllThreePlaces() throws Exception {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.FULL)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer buffer = apart(() -> leakTagged(pool));
            apart(() -> close(buffer));
            assertThat(log.messages(Level.FINE)).isEmpty();
            apart(() -> closeAgain(buffer));
            apart(() -> closeAgain(buffer));
            assertThat(log.messages(Level.FINE))
                    .containsExactly(
                            buffer.id() + "[3145728 bytes, cuda:0, closed] was closed twice, which does nothing");
            assertThat(places(log.causes(Level.FINE).getFirst())).isEqualTo("""
                    java.lang.Throwable: closed again here
                    \tat dev.headroom.memory.TrackingTest.closeAgain(TrackingTest.java:*)
                    \tSuppressed: java.lang.Throwable: closed here
                    \t\tat dev.headroom.memory.TrackingTest.close(TrackingTest.java:*)
                    \tSuppressed: java.lang.Throwable: allocated here
                    \t\tat dev.headroom.memory.TrackingTest.leakTagged(TrackingTest.java:*)
                    """);
            assertThat(pool.stats().inUseBytes()).isZero();
            assertThat(log.messages(Level.WARNING)).isEmpty();
        }
    }

    @Test
    void aSecondCloseOfAFallbackBufferIsMentionedToo() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.FULL)) {
            FallbackBuffer buffer = memory.pool(memory.devices().getFirst()).allocateWithFallback(MIB);
            buffer.close();
            buffer.close();
            assertThat(log.messages(Level.FINE)).hasSize(1);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aSecondCloseIsHarmlessAtEveryLevel(TrackingLevel level) {
        try (GpuMemory memory = open(level)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer buffer = pool.allocate(MIB);
            buffer.close();
            DeviceBuffer next = pool.allocate(MIB);
            assertThatNoException().isThrownBy(buffer::close);
            next.fill(0, MIB, (byte) 1);
            next.close();
            assertThat(pool.stats().activeBuffers()).isZero();
        }
    }

    private GpuMemory open(TrackingLevel level) {
        return open(level, cuda);
    }

    private GpuMemory open(TrackingLevel level, SimulatedBackend... backends) {
        GpuMemory.Builder builder = GpuMemory.builder()
                .config(whole().toBuilder().tracking(level).build())
                .clock(() -> now[0]);
        for (SimulatedBackend each : backends) {
            builder.backend(each);
        }
        return builder.open();
    }

    private static DeviceBuffer leakTagged(GpuMemoryPool pool) {
        return pool.allocate(AllocationRequest.of(3 * MIB).tagged("kv cache"));
    }

    private static DeviceBuffer leakPlain(GpuMemoryPool pool) {
        return pool.allocate(MIB);
    }

    private static FallbackBuffer leakWithFallback(GpuMemoryPool pool) {
        return pool.allocateWithFallback(MIB);
    }

    private static Void close(MemoryBuffer buffer) {
        buffer.close();
        return null;
    }

    private static Void closeAgain(MemoryBuffer buffer) {
        buffer.close();
        return null;
    }

    /** On a thread of its own, so that the frames of the test runner are not on its stack. */
    private static <T> T apart(Callable<T> call) throws Exception {
        FutureTask<T> task = new FutureTask<>(call);
        Thread.ofPlatform().start(task).join();
        return task.get();
    }

    /** A report without line numbers, names of lambdas, and frames of the JDK. */
    private static String stable(String text) {
        return text.replaceAll("\n +at java.base/[^\n]*", "")
                .replaceAll(":\\d+\\)", ":*)")
                .replaceAll("lambda\\$[\\w$]+", "lambda");
    }

    /** A printed exception with the first frame of this test in each of its parts, and no other frame. */
    private static String places(Throwable complaint) {
        StringWriter text = new StringWriter();
        complaint.printStackTrace(new PrintWriter(text, true));
        StringBuilder places = new StringBuilder();
        boolean wanted = false;
        for (String line : text.toString().replaceAll(":\\d+\\)", ":*)").lines().toList()) {
            boolean frame = line.strip().startsWith("at ") || line.strip().startsWith("...");
            boolean named = line.contains("TrackingTest.leak") || line.contains("TrackingTest.close");
            if (!frame || (named && wanted)) {
                places.append(line).append('\n');
                wanted = !frame;
            }
        }
        return places.toString();
    }
}
