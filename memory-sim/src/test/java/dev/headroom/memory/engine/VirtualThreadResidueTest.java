package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Ten thousand virtual threads that make pairs and end: as they should, interrupted, or by an exception in the middle. Nothing of
 * them is left: not in the pool, not with the driver, not on the Java heap.
 */
class VirtualThreadResidueTest {

    private static final long KIB = 1024;
    private static final long CARD_BYTES = 1L << 30;
    /** What all caches of a heap keep at most, as promised in decision 0020. */
    private static final long MOST_AT_HAND = CARD_BYTES / 128;

    private static final int THREADS = 10_000;
    private static final int PAIRS = 12;
    private static final long[] SIZES = {256, 4 * KIB, 16 * KIB, 60 * KIB, 256 * KIB};

    /** Far less than a word for each thread: what the collector and the JIT leave between two looks. */
    private static final long NOISE_BYTES = 4L * THREADS;

    private static final int LOOKS = 5;
    private static final int ROUNDS = 4;

    private final SimulatedBackend card = SimulatedBackend.card(CARD_BYTES);
    private final GpuMemory memory = GpuMemory.builder().backend(card).open();
    private final PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
    private final AtomicLong served = new AtomicLong();
    private final ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();

    /** What a thread ends with that is to end abruptly. */
    private static final class Abrupt extends RuntimeException {
        private static final long serialVersionUID = 1;
        private static final Abrupt HERE = new Abrupt();

        private Abrupt() {
            super("on purpose", null, false, false);
        }
    }

    @AfterEach
    void everythingGoesBack() {
        memory.close();
        assertThat(ledger().isEmpty()).as(ledger().describe()).isTrue();
    }

    @Test
    void nothingIsLeftOfTenThousandThreads() throws InterruptedException {
        runThreads();
        requireNothingInThePool();
        assertThat(leastGrowth())
                .as("bytes more on the Java heap after " + THREADS + " more threads")
                .isLessThanOrEqualTo(NOISE_BYTES);
        assertThat(pool.shrink()).isPositive();
        assertThat(ledger().liveBytes()).as("nothing is held from the driver").isZero();
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
        assertThat(atHand()).isZero();
    }

    /** What more threads leave on the Java heap, in the round that left least: what threads leave would be there in each. */
    private long leastGrowth() throws InterruptedException {
        long least = Long.MAX_VALUE;
        for (int round = 0; round < ROUNDS && least > NOISE_BYTES; round++) {
            long before = usedHeap(Long.MAX_VALUE);
            runThreads();
            requireNothingInThePool();
            least = Math.min(least, usedHeap(before + NOISE_BYTES) - before);
        }
        System.out.println(THREADS + " virtual threads left " + least + " bytes on the Java heap");
        return least;
    }

    private void requireNothingInThePool() {
        assertThat(failures).isEmpty();
        MemoryStats stats = pool.stats();
        assertThat(stats.activeBuffers()).isZero();
        assertThat(stats.inUseBytes()).isZero();
        assertThat(stats.poolHits() + stats.poolMisses()).as("requests served").isEqualTo(served.get());
        assertThat(stats.pooledBytes()).isEqualTo(stats.totalAllocatedBytes()).isEqualTo(ledger().liveBytes());
        assertThat(atHand()).as("at hand").isPositive().isLessThanOrEqualTo(MOST_AT_HAND);
        pool.validate();
    }

    private void runThreads() throws InterruptedException {
        List<Thread> threads = new ArrayList<>(THREADS);
        for (int i = 0; i < THREADS; i++) {
            int number = i;
            Thread thread = Thread.ofVirtual().unstarted(() -> {
                try {
                    makePairs(number);
                } catch (Abrupt e) {
                    throw e; // the thread ends with it
                } catch (Throwable e) {
                    failures.add(e);
                }
            });
            thread.setUncaughtExceptionHandler((_, _) -> {});
            threads.add(thread);
            thread.start();
            if (number % 5 == 0) {
                thread.interrupt();
            }
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void makePairs(int number) {
        for (int pair = 0; pair < PAIRS; pair++) {
            try (DeviceBuffer buffer = pool.allocate(SIZES[(number + pair / 4) % SIZES.length])) {
                served.incrementAndGet();
                if (number % 7 == 0 && pair == PAIRS / 2) {
                    throw Abrupt.HERE;
                }
                if (number % 3 == 0) {
                    Thread.yield(); // another carrier, and other stripes, may be next
                }
                assertThat(buffer.byteSize()).isPositive();
            }
        }
    }

    /** What lives on the Java heap: the least of some looks, or the first that is little enough. */
    private static long usedHeap(long enough) {
        long least = Long.MAX_VALUE;
        for (int look = 0; look < LOOKS && (look < 3 || least > enough); look++) {
            System.gc();
            least = Math.min(
                    least,
                    ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
        }
        return least;
    }

    private Ledger ledger() {
        return card.device(0).ledger();
    }

    private long atHand() {
        return pool.heaps().primary().blocks().figures().cachedBytes();
    }
}
