package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.headroom.memory.GenericMemoryPool.Pooled;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GenericMemoryPoolTest {

    private static final long MIB = 1 << 20;
    private static final long GIB = 1 << 30;

    private final List<String> closed = new ArrayList<>();
    private final GenericMemoryPool<String> pool = poolOf(2);

    private GenericMemoryPool<String> poolOf(int maxPooled) {
        return GenericMemoryPool.of(MemoryConfig.builder().maxPooled(maxPooled).build(), closed::add);
    }

    /** What a caller does on a miss, and then gives back. */
    private void pooled(String buffer, long byteSize) {
        pool.recordAllocation(byteSize);
        pool.returnBuffer(buffer, byteSize);
    }

    // Rounding.

    @ParameterizedTest
    @CsvSource({
        "0, 1",
        "1, 1",
        "2, 2",
        "3, 4",
        "4, 4",
        "5, 8",
        "1000, 1024",
        "1024, 1024",
        "1025, 2048",
        "4611686018427387903, 4611686018427387904",
        "4611686018427387904, 4611686018427387904"
    })
    void sizesRoundUpToAPowerOfTwo(long byteSize, long bucket) {
        assertThat(GenericMemoryPool.roundUpPowerOf2(byteSize)).isEqualTo(bucket);
    }

    @Test
    void sizesWithoutAPowerOfTwoAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GenericMemoryPool.roundUpPowerOf2(-1))
                .withMessage("byteSize is -1: allowed are 0 to 4611686018427387904 bytes");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GenericMemoryPool.roundUpPowerOf2((1L << 62) + 1))
                .withMessage("byteSize is 4611686018427387905: allowed are 0 to 4611686018427387904 bytes");
    }

    // Taking.

    @Test
    void aMissGivesNothingAndIsCounted() {
        assertThat(pool.tryGet(100)).isEmpty();
        assertThat(pool.stats()).isEqualTo(new MemoryStats(0, 0, 0, 0, 0, 1, 0, 0));
    }

    @Test
    void aReturnedBufferServesTheNextRequestOfItsSize() {
        pooled("a", 1000);
        assertThat(pool.tryGet(1000)).contains(new Pooled<>("a", 1000));
        assertThat(pool.stats()).isEqualTo(new MemoryStats(1000, 1000, 0, 1000, 1, 0, 0, 0));
        assertThat(pool.pooledCount()).isZero();
    }

    @Test
    void theExactBucketComesFirstThenLargerOnesAscending() {
        pooled("4096", 4096);
        pooled("2048", 2048);
        pooled("1024", 1024);
        assertThat(pool.tryGet(600)).contains(new Pooled<>("1024", 1024));
        assertThat(pool.tryGet(600)).contains(new Pooled<>("2048", 2048));
        assertThat(pool.tryGet(600)).contains(new Pooled<>("4096", 4096));
        assertThat(pool.tryGet(600)).isEmpty();
        assertThat(pool.stats().poolHits()).isEqualTo(3);
        assertThat(pool.stats().poolMisses()).isEqualTo(1);
    }

    @Test
    void aBufferIsNeverSmallerThanAskedFor() {
        pooled("1000", 1000);
        assertThat(pool.tryGet(1024)).as("both belong to the bucket 1024").isEmpty();
        assertThat(pool.tryGet(1001)).isEmpty();
        pooled("1020", 1020);
        assertThat(pool.tryGet(1010)).contains(new Pooled<>("1020", 1020));
        assertThat(pool.tryGet(1000)).contains(new Pooled<>("1000", 1000));
    }

    @Test
    void smallerBucketsAreNotSearched() {
        pooled("512", 512);
        assertThat(pool.tryGet(513)).isEmpty();
        assertThat(pool.ceilingMisses()).isZero();
    }

    @Test
    void nothingIsAsLittleAsOneByte() {
        pooled("one", 1);
        assertThat(pool.tryGet(0)).contains(new Pooled<>("one", 1));
    }

    @Test
    void theWasteCeilingIsTwiceTheSizeOr20MiBMore() {
        pooled("gib", GIB);
        assertThat(pool.tryGet(1)).as("1 byte takes no gibibyte").isEmpty();
        assertThat(pool.ceilingMisses()).isEqualTo(1);
        assertThat(pool.tryGet(GIB / 2 - 1)).isEmpty();
        assertThat(pool.ceilingMisses()).isEqualTo(2);
        assertThat(pool.tryGet(GIB / 2)).contains(new Pooled<>("gib", GIB));

        pooled("spare", 20 * MIB + 1);
        assertThat(pool.tryGet(0)).isEmpty();
        assertThat(pool.ceilingMisses()).isEqualTo(3);
        assertThat(pool.tryGet(1)).contains(new Pooled<>("spare", 20 * MIB + 1));
        assertThat(pool.stats().poolMisses()).as("each is a miss too").isEqualTo(3);
    }

    // Returning.

    @Test
    void inUseFallsAlsoWhenTheBucketIsFull() {
        for (int i = 0; i < 3; i++) {
            pool.recordAllocation(1024);
        }
        pool.returnBuffer("a", 1024);
        pool.returnBuffer("b", 1024);
        assertThat(closed).isEmpty();
        pool.returnBuffer("c", 1024);
        assertThat(closed).containsExactly("c");
        assertThat(pool.stats())
                .as("the dropped one counts nowhere")
                .isEqualTo(new MemoryStats(2048, 0, 2048, 3072, 0, 0, 0, 0));
    }

    @Test
    void eachBucketHasABoundOfItsOwn() {
        pooled("a", 1024);
        pooled("b", 600);
        pooled("c", 2048);
        assertThat(pool.pooledCount()).isEqualTo(3);
        pooled("d", 513);
        assertThat(closed).containsExactly("d");
    }

    @Test
    void aPoolThatKeepsNothingClosesEverything() {
        GenericMemoryPool<String> none = poolOf(0);
        none.recordAllocation(10);
        none.returnBuffer("a", 10);
        assertThat(closed).containsExactly("a");
        assertThat(none.stats()).isEqualTo(new MemoryStats(0, 0, 0, 10, 0, 0, 0, 0));
    }

    @Test
    void returningMoreThanIsInUseIsRefused() {
        pool.recordAllocation(100);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.returnBuffer("a", 101))
                .withMessage("101 bytes returned, but only 100 are in use: return a buffer once, with the size it was"
                        + " recorded with");
        assertThat(pool.stats().inUseBytes()).isEqualTo(100);
        assertThat(pool.pooledCount()).isZero();
        assertThat(closed).isEmpty();
    }

    @Test
    void returningTwiceIsRefused() {
        pool.recordAllocation(100);
        pool.recordAllocation(100);
        pool.returnBuffer("a", 100);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.returnBuffer("a", 100))
                .withMessage("the buffer is in the pool already: return it once");
        assertThat(pool.stats().inUseBytes()).isEqualTo(100);
        assertThat(pool.pooledCount()).isEqualTo(1);
    }

    @Test
    void sizesOutOfRangeAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.recordAllocation(0))
                .withMessage("byteSize is 0: allowed are 1 to 4611686018427387904 bytes");
        assertThatIllegalArgumentException().isThrownBy(() -> pool.returnBuffer("a", 0));
        assertThatIllegalArgumentException().isThrownBy(() -> pool.tryGet(-1));
        assertThat(pool.stats()).isEqualTo(MemoryStats.EMPTY);
        pool.recordAllocation(1L << 62);
        assertThatIllegalArgumentException()
                .as("the sum has to stay a long")
                .isThrownBy(() -> pool.recordAllocation(1L << 62))
                .withMessage("byteSize is 4611686018427387904: allowed are 1 to 4611686018427387903 bytes");
        pool.recordAllocation((1L << 62) - 1);
        assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(Long.MAX_VALUE);
    }

    // Clearing.

    @Test
    void shrinkGivesTheIdleBytesAndEmptiesThePool() {
        pooled("a", 1000);
        pooled("b", 3000);
        pool.recordAllocation(500);
        assertThat(pool.shrink()).isEqualTo(4000);
        assertThat(closed).containsExactlyInAnyOrder("a", "b");
        assertThat(pool.pooledCount()).isZero();
        assertThat(pool.stats()).isEqualTo(new MemoryStats(500, 500, 0, 3000, 0, 0, 0, 0));
        assertThat(pool.shrink()).isZero();
    }

    @Test
    void clearEmptiesThePoolAndKeepsTheCounts() {
        pooled("a", 1000);
        pool.tryGet(5000);
        pool.recordCpuFallback();
        pool.clear();
        assertThat(closed).containsExactly("a");
        assertThat(pool.stats()).isEqualTo(new MemoryStats(0, 0, 0, 1000, 0, 1, 1, 0));
    }

    @Test
    void aCloserThatThrowsDoesNotSaveTheOthers() {
        GenericMemoryPool<String> failing = GenericMemoryPool.of(MemoryConfig.defaults(), buffer -> {
            closed.add(buffer);
            throw new IllegalStateException("cannot close " + buffer);
        });
        for (String name : List.of("a", "b")) {
            failing.recordAllocation(10);
            failing.recordAllocation(10);
            failing.returnBuffer(name, 10);
        }
        assertThatIllegalStateException()
                .isThrownBy(failing::shrink)
                .withMessage("cannot close b")
                .satisfies(first -> assertThat(first.getSuppressed())
                        .singleElement()
                        .satisfies(second -> assertThat(second).hasMessage("cannot close a")));
        assertThat(closed).containsExactly("b", "a");
        assertThat(failing.stats().pooledBytes()).isZero();
        assertThat(failing.stats().inUseBytes()).isEqualTo(20);
    }

    @Test
    void theCloserRunsWithoutTheLock() throws Exception {
        CountDownLatch otherThreadDone = new CountDownLatch(1);
        AtomicInteger seen = new AtomicInteger(-1);
        AtomicReference<GenericMemoryPool<String>> self = new AtomicReference<>();
        self.set(GenericMemoryPool.of(MemoryConfig.defaults(), buffer -> {
            // Another thread needs the lock while this one closes.
            Thread.ofPlatform().start(() -> {
                seen.set(self.get().pooledCount());
                otherThreadDone.countDown();
            });
            try {
                otherThreadDone.await();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }));
        self.get().recordAllocation(10);
        self.get().returnBuffer("a", 10);
        self.get().shrink();
        assertThat(seen).hasValue(0);
    }

    // Figures.

    @Test
    void totalIsInUsePlusPooledAndTakingRaisesThePeak() {
        pooled("a", 1000);
        pool.recordAllocation(600);
        assertThat(pool.stats()).isEqualTo(new MemoryStats(1600, 600, 1000, 1000, 0, 0, 0, 0));
        pool.tryGet(900);
        assertThat(pool.stats()).isEqualTo(new MemoryStats(1600, 1600, 0, 1600, 1, 0, 0, 0));
    }

    @Test
    void fallbacksAreCounted() {
        pool.recordCpuFallback();
        pool.recordCpuFallback();
        assertThat(pool.stats().cpuFallbacks()).isEqualTo(2);
    }

    @Test
    void activeBuffersAreThoseOfTheTracker() {
        pool.recordAllocation(10);
        assertThat(pool.tracker()).isEmpty();
        assertThat(pool.stats().activeBuffers()).isZero();

        GenericMemoryPool<String> tracking =
                GenericMemoryPool.of(MemoryConfig.builder().tracking(true).build(), closed::add);
        AllocationTracker tracker = tracking.tracker().orElseThrow();
        BufferId id = BufferId.next();
        tracker.track(BufferMetadata.of(id, 10, 10, BufferLocation.GPU, tracker.nowNanos()));
        assertThat(tracking.stats().activeBuffers()).isEqualTo(1);
        tracker.untrack(id);
        assertThat(tracking.stats().activeBuffers()).isZero();
    }

    @Test
    void manyThreadsGetEveryBufferToThemselvesAndTheBooksAgree() throws Exception {
        int threads = 8;
        int rounds = 3000;
        AtomicLong made = new AtomicLong();
        AtomicLong dropped = new AtomicLong();
        GenericMemoryPool<AtomicInteger> shared =
                GenericMemoryPool.of(MemoryConfig.builder().maxPooled(4).build(), buffer -> dropped.incrementAndGet());
        CountDownLatch start = new CountDownLatch(1);
        try (var executor = Executors.newFixedThreadPool(threads)) {
            List<Future<Void>> all = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                SplittableRandom random = new SplittableRandom(t);
                all.add(executor.submit((Callable<Void>) () -> {
                    start.await();
                    for (int i = 0; i < rounds; i++) {
                        long wanted = 1 + random.nextLong(5000);
                        var reused = shared.tryGet(wanted);
                        AtomicInteger owners = reused.map(Pooled::buffer).orElseGet(AtomicInteger::new);
                        long size = reused.map(Pooled::byteSize).orElse(wanted);
                        if (reused.isEmpty()) {
                            made.incrementAndGet();
                            shared.recordAllocation(size);
                        }
                        assertThat(size).isGreaterThanOrEqualTo(wanted);
                        assertThat(owners.incrementAndGet()).isEqualTo(1);
                        owners.decrementAndGet();
                        shared.returnBuffer(owners, size);
                        if (i % 1000 == 999) {
                            shared.shrink();
                        }
                    }
                    return null;
                }));
            }
            start.countDown();
            for (Future<Void> each : all) {
                each.get();
            }
        }
        shared.validate();
        MemoryStats stats = shared.stats();
        assertThat(stats.inUseBytes()).isZero();
        assertThat(stats.poolHits() + stats.poolMisses()).isEqualTo((long) threads * rounds);
        assertThat(stats.poolMisses()).isEqualTo(made.get());
        assertThat(dropped.get() + shared.pooledCount()).isEqualTo(made.get());
    }
}
