package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class AllocationTrackerTest {
    private final AtomicLong clock = new AtomicLong();
    private final AllocationTracker tracker = new AllocationTracker(clock::get);

    private static BufferMetadata buffer(long id, long size, long allocatedAtNanos) {
        return BufferMetadata.of(new BufferId(id), size, size, BufferLocation.GPU, allocatedAtNanos);
    }

    @Test
    void startsEmpty() {
        assertThat(tracker.all()).isEmpty();
        assertThat(tracker.count()).isZero();
        assertThat(tracker.totalBytes()).isZero();
        assertThat(tracker.peakBytes()).isZero();
    }

    @Test
    void tracksAndUntracks() {
        BufferMetadata first = buffer(1, 100, 0);
        BufferMetadata second = buffer(2, 50, 0);
        tracker.track(first);
        tracker.track(second);
        assertThat(tracker.count()).isEqualTo(2);
        assertThat(tracker.totalBytes()).isEqualTo(150);
        assertThat(tracker.get(first.id())).contains(first);
        assertThat(tracker.all()).containsExactly(first, second);

        assertThat(tracker.untrack(first.id())).contains(first);
        assertThat(tracker.untrack(first.id())).isEmpty();
        assertThat(tracker.get(first.id())).isEmpty();
        assertThat(tracker.count()).isEqualTo(1);
        assertThat(tracker.totalBytes()).isEqualTo(50);
        assertThat(tracker.peakBytes()).isEqualTo(150);
    }

    @Test
    void peakIsTheHighestTotalNotTheSum() {
        tracker.track(buffer(1, 100, 0));
        tracker.untrack(new BufferId(1));
        tracker.track(buffer(2, 60, 0));
        assertThat(tracker.peakBytes()).isEqualTo(100);
        tracker.track(buffer(3, 41, 0));
        assertThat(tracker.peakBytes()).isEqualTo(101);
    }

    @Test
    void whatLeakedStaysEnteredUntilItsMemoryIsBack() {
        BufferMetadata first = buffer(1, 100, 0);
        tracker.track(first);
        tracker.track(buffer(2, 50, 0));
        assertThat(tracker.markLeaked(first.id())).isTrue();
        assertThat(tracker.markLeaked(first.id())).as("once").isFalse();
        assertThat(tracker.markLeaked(new BufferId(3))).as("never entered").isFalse();
        assertThat(tracker.leaked()).containsExactly(first).isUnmodifiable();
        assertThat(tracker.leakedCount()).isEqualTo(1);
        assertThat(tracker.totalBytes()).isEqualTo(150);

        assertThat(tracker.untrack(first.id())).contains(first);
        assertThat(tracker.leaked()).isEmpty();
        assertThat(tracker.leakedCount()).isEqualTo(1);

        assertThat(tracker.markLeaked(new BufferId(2))).isTrue();
        tracker.clear();
        assertThat(tracker.leaked()).isEmpty();
        assertThat(tracker.leakedCount()).isEqualTo(2);
    }

    @Test
    void theListIsASnapshot() {
        tracker.track(buffer(1, 100, 0));
        List<BufferMetadata> snapshot = tracker.all();
        tracker.track(buffer(2, 100, 0));
        assertThat(snapshot).hasSize(1).isUnmodifiable();
    }

    @Test
    void refusesAnIdTwice() {
        tracker.track(buffer(1, 1024, 0));
        assertThatThrownBy(() -> tracker.track(buffer(1, 70, 0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("Buffer#1 is already tracked as Buffer#1: 1 KiB, 1024 elements, GPU");
        assertThat(tracker.totalBytes()).isEqualTo(1024);
        assertThat(tracker.peakBytes()).isEqualTo(1024);
        assertThat(tracker.get(new BufferId(1))).contains(buffer(1, 1024, 0));
    }

    @Test
    void refusesATotalThatOverflows() {
        tracker.track(buffer(1, Long.MAX_VALUE - 10, 0));
        assertThatThrownBy(() -> tracker.track(buffer(2, 11, 0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(
                        "sizeBytes of Buffer#2 is 11: allowed are 1 to 10 beside the tracked" + " 9223372036854775797");
        assertThat(tracker.count()).isEqualTo(1);
        tracker.track(buffer(2, 10, 0));
        assertThat(tracker.totalBytes()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void oldMeansStrictlyOlder() {
        BufferMetadata older = buffer(1, 1, 0);
        BufferMetadata exact = buffer(2, 1, 1);
        BufferMetadata younger = buffer(3, 1, 2);
        tracker.track(older);
        tracker.track(exact);
        tracker.track(younger);
        clock.set(1_001);
        assertThat(tracker.findOldAllocations(Duration.ofNanos(1_000))).containsExactly(older);
        assertThat(tracker.findOldAllocations(Duration.ofNanos(998))).containsExactly(older, exact, younger);
        assertThat(tracker.findOldAllocations(Duration.ofSeconds(Long.MAX_VALUE)))
                .isEmpty();
    }

    @Test
    void oldSurvivesAWrappingClock() {
        BufferMetadata beforeTheWrap = buffer(1, 1, Long.MAX_VALUE - 1);
        tracker.track(beforeTheWrap);
        clock.set(Long.MIN_VALUE + 8);
        assertThat(tracker.findOldAllocations(Duration.ofNanos(9))).containsExactly(beforeTheWrap);
        assertThat(tracker.findOldAllocations(Duration.ofNanos(10))).isEmpty();
    }

    @Test
    void refusesANegativeThreshold() {
        assertThatThrownBy(() -> tracker.findOldAllocations(Duration.ofSeconds(-1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("threshold is PT-1S: allowed are 0 or more");
    }

    @Test
    void clearKeepsThePeak() {
        tracker.track(buffer(1, 100, 0));
        tracker.clear();
        assertThat(tracker.count()).isZero();
        assertThat(tracker.totalBytes()).isZero();
        assertThat(tracker.peakBytes()).isEqualTo(100);
        assertThat(tracker.all()).isEmpty();
        assertThat(tracker.untrack(new BufferId(1))).isEmpty();
        assertThat(tracker.totalBytes()).isZero();
    }

    @Test
    void stampsWithItsClock() {
        clock.set(77);
        assertThat(tracker.nowNanos()).isEqualTo(77);
    }

    /**
     * Every thread holds one buffer for ever and churns another. All threads hold both at the barrier, so the peak is
     * known exactly: it can be neither missed nor exceeded.
     */
    @Test
    void figuresAreExactUnderConcurrency() throws Exception {
        int threads = 8;
        int rounds = 2_000;
        long held = 1_000;
        long churned = 10;
        CyclicBarrier allHoldBoth = new CyclicBarrier(threads);
        try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            List<Future<?>> workers = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                long first = 1 + (long) thread * (rounds + 1);
                workers.add(executor.submit(() -> {
                    tracker.track(buffer(first, held, 0));
                    for (int round = 1; round <= rounds; round++) {
                        tracker.track(buffer(first + round, churned, 0));
                        if (round == rounds / 2) {
                            allHoldBoth.await(1, TimeUnit.MINUTES); // a failed thread must not hang the rest
                        }
                        assertThat(tracker.untrack(new BufferId(first + round))).isPresent();
                    }
                    return null;
                }));
            }
            for (Future<?> worker : workers) {
                worker.get();
            }
        }
        assertThat(tracker.count()).isEqualTo(threads);
        assertThat(tracker.totalBytes()).isEqualTo(threads * held);
        assertThat(tracker.peakBytes()).isEqualTo(threads * (held + churned));
        assertThat(tracker.all()).hasSize(threads);
    }

    @Test
    void oneOfManyThreadsWinsAnId() throws Exception {
        int threads = 8;
        CyclicBarrier start = new CyclicBarrier(threads);
        int won = 0;
        try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
            List<Future<Boolean>> workers = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                workers.add(executor.submit(() -> {
                    start.await(1, TimeUnit.MINUTES);
                    try {
                        tracker.track(buffer(1, 10, 0));
                        return true;
                    } catch (IllegalArgumentException alreadyTracked) {
                        return false;
                    }
                }));
            }
            for (Future<Boolean> worker : workers) {
                won += worker.get() ? 1 : 0;
            }
        }
        assertThat(won).isEqualTo(1);
        assertThat(tracker.totalBytes()).isEqualTo(10);
    }
}
