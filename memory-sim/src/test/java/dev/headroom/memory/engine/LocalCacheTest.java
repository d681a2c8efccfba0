package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.LocalCache;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A store of freed memory that one thread owns. */
class LocalCacheTest {

    private static final long KIB = 1024;
    private static final long MIB = 1L << 20;
    private static final int WARM_UP = 20_000;
    private static final int PAIRS = 10_000;

    private final SimulatedBackend card = SimulatedBackend.card(1L << 30);
    private final GpuMemory memory = GpuMemory.builder().backend(card).open();
    private final PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());

    @AfterEach
    void everythingGoesBack() {
        if (!pool.isClosed()) {
            pool.validate();
        }
        memory.close();
        assertThat(ledger().liveBytes()).isZero();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 4 * KIB, 64 * KIB, MIB, 16 * MIB + 1})
    void aPairMakesNoDriverCallAndNoGarbage(long byteSize) {
        try (LocalCache cache = pool.localCache()) {
            pairs(cache, byteSize, WARM_UP);
            long calls = ledger().totalCalls();
            long hits = pool.stats().poolHits();
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long allocated = threads.getCurrentThreadAllocatedBytes();
            pairs(cache, byteSize, PAIRS);
            allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
            assertThat(allocated / PAIRS).as("bytes on the Java heap per pair").isZero();
            assertThat(ledger().totalCalls()).isEqualTo(calls);
            assertThat(pool.stats().poolHits()).isEqualTo(hits + PAIRS);
        }
    }

    @Test
    void whatLiesThereIsFreeAndGoesBackAtTheEnd() {
        try (LocalCache cache = pool.localCache()) {
            pairs(cache, 64 * KIB, 10);
            assertThat(atHand()).isEqualTo(64 * KIB);
            assertThat(pool.stats().inUseBytes()).isZero();
            assertThat(pool.stats().activeBuffers()).isZero();
            pool.validate();
        }
        assertThat(atHand()).isZero();
        assertThat(pool.shrink()).isPositive();
        assertThat(ledger().liveBytes()).isZero();
    }

    @Test
    void itIsBounded() {
        try (LocalCache cache = pool.localCache()) {
            long most =
                    pool.heaps().primary().blocks().localTable().mostBytes() + (1L << 30) / 128; // and what all share
            List<Long> open = new ArrayList<>();
            for (int round = 0; round < 4; round++) {
                for (int i = 0; i < 200; i++) {
                    open.add(cache.allocate((1 + i % 7) * 128 * KIB));
                }
                open.forEach(cache::free);
                open.clear();
                assertThat(atHand()).isBetween(1L, most);
            }
        }
    }

    @Test
    void onlyItsOwnerMayUseIt() throws InterruptedException {
        try (LocalCache cache = pool.localCache()) {
            long id = cache.allocate(KIB);
            AtomicReference<Throwable> failure = new AtomicReference<>();
            Thread.ofPlatform()
                    .name("another")
                    .uncaughtExceptionHandler((_, thrown) -> failure.set(thrown))
                    .start(() -> {
                        pool.ids().free(id); // anybody may, there
                        long ignored = cache.allocate(KIB);
                    })
                    .join();
            assertThat(failure.get())
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("local cache of " + Thread.currentThread().getName() + ", " + pool
                            + " ids was used by another: make one for each thread");
            assertThatIllegalArgumentException().isThrownBy(() -> cache.free(id));
        }
    }

    @Test
    void aClosedOneIsRefused() {
        LocalCache cache = pool.localCache();
        long id = cache.allocate(KIB);
        cache.close();
        cache.close();
        assertThatIllegalStateException()
                .isThrownBy(() -> cache.allocate(KIB))
                .withMessageEndingWith("was used after it was closed");
        cache.free(id); // goes to the pool
        assertThat(pool.stats().inUseBytes()).isZero();
        assertThat(atHand()).isZero();
    }

    @Test
    void aClosedPoolHandsNothingOut() {
        LocalCache cache = pool.localCache();
        pairs(cache, KIB, 10);
        long id = cache.allocate(2 * KIB);
        memory.close();
        assertThatThrownBy(() -> cache.allocate(KIB)).isInstanceOf(BufferClosedException.class);
        cache.free(id);
        cache.close();
        assertThatThrownBy(pool::localCache).isInstanceOf(BufferClosedException.class);
    }

    @Test
    void aLostDeviceHandsNothingOut() {
        try (LocalCache cache = pool.localCache()) {
            pairs(cache, KIB, 10);
            long id = cache.allocate(2 * KIB);
            card.device(0).lose();
            assertThatThrownBy(pool::budget).isInstanceOf(DeviceLostException.class);
            assertThatThrownBy(() -> cache.allocate(KIB)).isInstanceOf(DeviceLostException.class);
            assertThatThrownBy(() -> pool.ids().allocate(KIB)).isInstanceOf(DeviceLostException.class);
            cache.free(id);
        }
    }

    /** Its owner gets what lies there in other sizes before the device is asked for more. */
    @Test
    void itsOwnMemoryServesLargerRequests() {
        try (LocalCache cache = pool.localCache()) {
            List<Long> open = new ArrayList<>();
            for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 8; i++) {
                    open.add(cache.allocate(128 * KIB));
                }
                open.forEach(cache::free);
                open.clear();
            }
            assertThat(atHand()).isPositive();
            long held = pool.stats().totalAllocatedBytes();
            cache.free(cache.allocate(held));
            assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(held);
        }
    }

    @Test
    void othersThatAreShortAskItBack() throws InterruptedException {
        try (LocalCache cache = pool.localCache()) {
            pairs(cache, 128 * KIB, 10);
            assertThat(atHand()).isPositive();
            Thread.ofPlatform()
                    .start(() -> assertThat(pool.shrink()).isNotNegative())
                    .join();
            assertThat(atHand()).as("its owner has not called since").isPositive();
            cache.free(cache.allocate(KIB));
            assertThat(atHand()).isZero();
        }
    }

    @Test
    void whatAThreadLeavesBehindIsInherited() throws InterruptedException {
        Thread.ofPlatform().start(() -> pairs(pool.localCache(), 128 * KIB, 10)).join();
        assertThat(atHand()).isEqualTo(128 * KIB);
        assertThat(pool.shrink()).isPositive();
        assertThat(atHand()).isZero();
        assertThat(ledger().liveBytes()).isZero();
    }

    @Test
    void threadsWithCachesOfTheirOwnLoseNothing() throws InterruptedException {
        CountDownLatch start = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        for (int i = 0; i < 6; i++) {
            int number = i;
            Thread thread = Thread.ofPlatform()
                    .uncaughtExceptionHandler((_, thrown) -> failure.set(thrown))
                    .unstarted(() -> {
                        try (LocalCache cache = pool.localCache()) {
                            start.await();
                            for (int step = 0; step < 5000; step++) {
                                cache.free(cache.allocate((1 + (step + number) % 5) * 64 * KIB));
                                if (step % 500 == 499) {
                                    long ignored = pool.shrink();
                                }
                            }
                        } catch (InterruptedException e) {
                            throw new IllegalStateException(e);
                        }
                    });
            thread.start();
            threads.add(thread);
        }
        start.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(failure.get()).isNull();
        assertThat(atHand()).isZero();
        assertThat(pool.stats().activeBuffers()).isZero();
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    private static void pairs(LocalCache cache, long byteSize, int count) {
        for (int i = 0; i < count; i++) {
            cache.free(cache.allocate(byteSize));
        }
    }

    private long atHand() {
        return pool.heaps().primary().blocks().figures().cachedBytes();
    }

    private Ledger ledger() {
        return card.device(0).ledger();
    }
}
