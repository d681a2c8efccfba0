package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What happens to several threads when one of them fails or is told to stop, step by step. */
class ChunkLoopTest {

    private static final long MIB = 1L << 20;
    private static final int CHUNKS = 100;

    private final Thread caller = Thread.currentThread();
    private final List<Long> reported = new ArrayList<>();
    private final AtomicInteger opened = new AtomicInteger();
    private final AtomicInteger closed = new AtomicInteger();
    private final AtomicInteger processed = new AtomicInteger();
    private final AtomicBoolean callerIsDone = new AtomicBoolean();

    /** What a thread does with a piece. */
    @FunctionalInterface
    private interface Step {
        void run() throws IOException;
    }

    /** Finishes the piece before with each piece, as a device with engines of its own does. */
    private final class Late implements ChunkLoop.Worker {
        private final Step step;
        private long begun;

        Late(Step step) {
            this.step = step;
            opened.incrementAndGet();
        }

        @Override
        public long process(TensorChunk chunk) throws IOException {
            processed.incrementAndGet();
            step.run();
            long arrived = begun;
            begun = chunk.byteSize();
            return arrived;
        }

        @Override
        public long finish() {
            return begun;
        }

        @Override
        public void close() {
            closed.incrementAndGet();
            if (isCaller()) {
                callerIsDone.set(true);
            }
        }
    }

    private static List<TensorChunk> chunks() {
        return TensorChunk.cut(
                GgufWriter.builder()
                        .tensor("only", DataType.F32, CHUNKS * MIB)
                        .build()
                        .tensors(),
                4 * MIB);
    }

    private void run(int threads, BooleanSupplier cancelled, Step step) throws IOException {
        new ChunkLoop(
                        chunks(),
                        4 * CHUNKS * MIB,
                        LoadProgress.Stage.COPY,
                        (_, done, _, _) -> reported.add(done),
                        cancelled)
                .run(threads, () -> new Late(step));
    }

    private boolean isCaller() {
        return Thread.currentThread().equals(caller);
    }

    /** Until the caller waits for the others to end, which it does when it has said that there is nothing more to do. */
    private void awaitCallerToStop() {
        while (!callerIsDone.get() || caller.getState() != Thread.State.WAITING) {
            Thread.yield();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 5, 64})
    void theReportsRiseToTheExactSum(int threads) throws IOException {
        run(threads, () -> false, () -> {});
        assertThat(reported).isSorted().last().isEqualTo(4 * CHUNKS * MIB);
        assertThat(processed).hasValue(CHUNKS);
        assertThat(closed).hasValue(opened.get());
    }

    @Test
    void theFirstFailureIsThrownWithTheOthersSuppressed() {
        int threads = 3;
        CountDownLatch all = new CountDownLatch(threads);
        IOException first = new IOException("first");
        assertThatThrownBy(() -> run(threads, () -> false, () -> {
                    arrive(all);
                    if (isCaller()) {
                        throw first;
                    }
                    awaitCallerToStop();
                    throw new IllegalStateException("later");
                }))
                .isSameAs(first);
        assertThat(first.getSuppressed())
                .hasSize(2)
                .allSatisfy(later -> assertThat(later).hasMessage("later"));
        assertThat(processed).as("nobody begins another piece").hasValue(threads);
        assertThat(closed).hasValue(threads);
    }

    @Test
    void aFailureOfAnotherThreadStopsTheCaller() {
        CountDownLatch both = new CountDownLatch(2);
        Set<Thread> others = ConcurrentHashMap.newKeySet();
        IllegalStateException first = new IllegalStateException("first");
        assertThatThrownBy(() -> run(2, () -> false, () -> {
                    if (!isCaller()) {
                        others.add(Thread.currentThread());
                        arrive(both);
                        throw first;
                    }
                    arrive(both);
                    others.forEach(ChunkLoopTest::join);
                }))
                .isSameAs(first);
        assertThat(processed).as("the caller ends the piece it is at").hasValue(2);
        assertThat(first.getSuppressed()).isEmpty();
        assertThat(closed).hasValue(2);
    }

    @Test
    void callingOffStopsAllThreads() {
        int threads = 4;
        CountDownLatch all = new CountDownLatch(threads);
        AtomicInteger looks = new AtomicInteger();
        assertThatExceptionOfType(LoadCancelledException.class)
                .isThrownBy(() -> run(threads, () -> looks.incrementAndGet() > 1, () -> {
                    arrive(all);
                    if (!isCaller()) {
                        awaitCallerToStop();
                    }
                }))
                .matches(cancelled -> !cancelled.byInterrupt());
        assertThat(processed).hasValue(threads);
        assertThat(closed).hasValue(threads);
        assertThat(reported).hasSize(1);
    }

    private static void arrive(CountDownLatch latch) {
        latch.countDown();
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
