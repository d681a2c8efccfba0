package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.sim.SimulatedBackend;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Blocks of one size, from many threads: no block has two owners, and the figures add up at the end. */
class FixedBlockThreadsTest {

    private static final int MOST = 8 * 64;

    private final SimulatedBackend cuda = backend("cuda", card("RTX", 64 * MIB));
    private final GpuMemory memory =
            open(whole().toBuilder().waitTimeout(Duration.ofSeconds(2)).build(), cuda);
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
    private final FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(4096), 64, MOST);
    private final AtomicIntegerArray owners = new AtomicIntegerArray(MOST);
    private final Queue<Throwable> failures = new ConcurrentLinkedQueue<>();

    @AfterEach
    void nothingIsLeft() {
        blocks.close();
        assertThat(pool.stats().inUseBytes()).isZero();
        memory.close();
        cuda.requireNoViolations();
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void threadsTakeAndFreeWhileSlabsComeAndGo(boolean virtual) throws InterruptedException {
        int threads = virtual ? 64 : 6;
        int rounds = virtual ? 400 : 8000;
        AtomicInteger running = new AtomicInteger(threads);
        List<Thread> all = new ArrayList<>();
        for (int id = 1; id <= threads; id++) {
            int own = id;
            all.add(start(virtual, () -> {
                try {
                    churn(own, rounds, MOST / threads);
                } finally {
                    running.decrementAndGet();
                }
            }));
        }
        all.add(start(false, () -> {
            while (running.get() > 0) {
                blocks.shrink();
                Thread.onSpinWait();
            }
        }));
        join(all);
        FixedBlockStats end = blocks.stats();
        assertThat(end.inUseBlocks()).isZero();
        assertThat(end.waitingBlocks()).isZero();
        blocks.validate();
        assertThat(blocks.shrink()).isEqualTo(end.byteSize());
    }

    /** One thread takes and another frees: the usual way of a scheduler and a worker. */
    @Test
    void anotherThreadFrees() throws InterruptedException {
        Queue<Integer> parcel = new ConcurrentLinkedQueue<>();
        int count = 50_000;
        Thread taker = start(false, () -> {
            for (int i = 0; i < count; i++) {
                parcel.add(take(1));
                while (parcel.size() > MOST / 2) {
                    Thread.yield();
                }
            }
        });
        Thread giver = start(false, () -> {
            for (int freed = 0; freed < count; ) {
                Integer block = parcel.poll();
                if (block != null) {
                    give(block, 1);
                    freed++;
                } else {
                    Thread.yield();
                }
            }
        });
        join(List.of(taker, giver));
        assertThat(blocks.stats().inUseBlocks()).isZero();
        assertThat(blocks.stats().slabs()).isLessThanOrEqualTo(MOST / 64);
        blocks.validate();
    }

    /** However many threads free the same block, one of them does. */
    @RepeatedTest(20)
    void oneOfManyFreesWins() throws InterruptedException {
        int[] all = new int[200];
        blocks.allocate(all, 0, all.length);
        AtomicInteger done = new AtomicInteger();
        CountDownLatch go = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            boolean many = i == 3;
            threads.add(start(false, () -> {
                go.await();
                for (int k = 0; k < all.length; k += many ? 8 : 1) {
                    try {
                        if (many) {
                            blocks.free(all, k, 8);
                            done.addAndGet(8);
                        } else {
                            blocks.free(all[k]);
                            done.incrementAndGet();
                        }
                    } catch (IllegalArgumentException e) {
                        // another thread was first
                    }
                }
                return null;
            }));
        }
        go.countDown();
        join(threads);
        assertThat(done).hasValue(200);
        assertThat(blocks.stats().inUseBlocks()).isZero();
        blocks.validate();
    }

    /** Nobody is refused while what others hold and what they want fits together. */
    @Test
    void nobodyIsRefusedWhatFits() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            int own = i + 1;
            threads.add(start(i % 2 == 0, () -> {
                int[] target = new int[MOST / 8];
                for (int round = 0; round < 300; round++) {
                    blocks.allocate(target, 0, target.length);
                    own(target, 0, own);
                    own(target, own, 0);
                    blocks.free(target, 0, target.length);
                }
                return null;
            }));
        }
        join(threads);
        assertThat(blocks.stats().inUseBlocks()).isZero();
        blocks.validate();
    }

    @RepeatedTest(10)
    void aCloseComesAtAnyMoment() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            threads.add(start(false, () -> {
                int[] some = new int[40];
                CompletableFuture<Void> use = new CompletableFuture<>();
                try {
                    while (true) {
                        blocks.allocate(some, 0, some.length);
                        blocks.freeAfter(use, some);
                        use.complete(null);
                        blocks.free(blocks.allocate());
                    }
                } catch (BufferClosedException e) {
                    return null;
                } finally {
                    use.complete(null);
                }
            }));
        }
        Thread.sleep(2);
        blocks.close();
        join(threads);
        blocks.validate();
        pool.shrink();
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    private void churn(int own, int rounds, int most) {
        SplittableRandom random = new SplittableRandom(own);
        int[] held = new int[most];
        int count = 0;
        for (int i = 0; i < rounds; i++) {
            int many = random.nextInt(1, 5);
            if (random.nextBoolean() && count + many <= most) {
                blocks.allocate(held, count, many);
                for (int k = count; k < count + many; k++) {
                    assertThat(owners.compareAndSet(held[k], 0, own)).isTrue();
                }
                count += many;
            } else if (count + 1 <= most && random.nextInt(3) == 0) {
                held[count++] = take(own);
            } else if (count > 0) {
                give(held[--count], own);
            }
        }
        while (count > 0) {
            give(held[--count], own);
        }
    }

    private void own(int[] all, int from, int to) {
        for (int block : all) {
            assertThat(owners.compareAndSet(block, from, to)).isTrue();
        }
    }

    private int take(int own) {
        int block = blocks.allocate();
        assertThat(owners.compareAndSet(block, 0, own))
                .as("block %s has no other owner", block)
                .isTrue();
        return block;
    }

    private void give(int block, int own) {
        assertThat(owners.compareAndSet(block, own, 0)).isTrue();
        blocks.free(block);
    }

    private interface Work {
        Object run() throws InterruptedException;
    }

    private Thread start(boolean virtual, Runnable work) {
        return start(virtual, () -> {
            work.run();
            return null;
        });
    }

    private Thread start(boolean virtual, Work work) {
        Runnable guarded = () -> {
            try {
                work.run();
            } catch (Throwable e) {
                failures.add(e);
            }
        };
        return virtual ? Thread.ofVirtual().start(guarded) : Thread.ofPlatform().start(guarded);
    }

    private void join(List<Thread> threads) throws InterruptedException {
        for (Thread thread : threads) {
            assertThat(thread.join(Duration.ofSeconds(60))).isTrue();
        }
        assertThat(failures).isEmpty();
    }
}
