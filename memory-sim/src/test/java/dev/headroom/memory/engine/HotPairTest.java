package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a buffer costs that comes and goes, in exact counters: they show a loss without a quiet machine. */
class HotPairTest {

    private static final long KIB = 1024;
    private static final long MIB = 1L << 20;
    private static final int WARM_UP = 200;
    private static final int PAIRS = 10_000;

    private final SimulatedBackend card = SimulatedBackend.card(64L << 30);
    private final GpuMemory memory = GpuMemory.builder().backend(card).open();
    private final PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());

    @AfterEach
    void everythingGoesBack() {
        memory.close();
        assertThat(ledger().liveBytes()).isZero();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 256, 4 * KIB, 64 * KIB, MIB, 16 * MIB})
    void aPairMakesNoDriverCallAndNoGarbageButItsBuffer(long byteSize) {
        pairs(byteSize, WARM_UP);
        long calls = ledger().totalCalls();
        MemoryStats before = pool.stats();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        pairs(byteSize, PAIRS);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        assertThat(ledger().totalCalls()).isEqualTo(calls);
        assertThat(pool.stats().poolHits()).isEqualTo(before.poolHits() + PAIRS);
        assertThat(allocated / PAIRS).as("bytes on the Java heap per pair").isLessThanOrEqualTo(40);
    }

    /** Sizes above what is kept at hand go the longer way through the book, which makes no garbage either. */
    @Test
    void theBookMakesNoGarbage() {
        long large = BufferCache.MOST_BUFFER_BYTES + 1;
        pairs(large, WARM_UP);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        pairs(large, PAIRS);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        assertThat(allocated / PAIRS).isLessThanOrEqualTo(40);
    }

    @Test
    void nothingIsKeptAtHandWhereNothingMayBePooled() {
        MemoryConfig config = MemoryConfig.builder().maxPooled(0).build();
        try (GpuMemory other = GpuMemory.builder()
                .backend(SimulatedBackend.card(1L << 30))
                .config(config)
                .open()) {
            PoolEngine plain = (PoolEngine) other.pool(other.devices().getFirst());
            for (int i = 0; i < WARM_UP; i++) {
                plain.allocate(KIB).close();
            }
            assertThat(plain.heaps().primary().blocks().figures().cachedBytes()).isZero();
            assertThat(plain.heaps().primary().blocks().cacheHits()).isZero();
        }
    }

    @Test
    void whatIsAtHandCountsAsFree() {
        pairs(64 * KIB, WARM_UP);
        assertThat(atHand()).isEqualTo(64 * KIB);
        MemoryStats stats = pool.stats();
        assertThat(stats.inUseBytes()).isZero();
        assertThat(stats.activeBuffers()).isZero();
        assertThat(stats.pooledBytes()).isEqualTo(stats.totalAllocatedBytes());
        pool.validate();
    }

    @Test
    void whatIsAtHandGoesBackToTheDriver() {
        pairs(64 * KIB, WARM_UP);
        assertThat(atHand()).isPositive();
        assertThat(pool.shrink()).isPositive();
        assertThat(atHand()).isZero();
        assertThat(ledger().liveBytes()).isZero();
    }

    /** Nothing is refused, and nothing more taken, while what lies at hand would do once it is joined. */
    @Test
    void whatIsAtHandServesLargerRequestsBeforeMoreIsTaken() {
        List<DeviceBuffer> all = new ArrayList<>();
        for (int round = 0; round < 100; round++) {
            for (int i = 0; i < 8; i++) {
                all.add(pool.allocate(MIB));
            }
            all.forEach(DeviceBuffer::close);
            all.clear();
        }
        assertThat(atHand()).as("8 pieces side by side").isEqualTo(8 * MIB);
        long held = pool.stats().totalAllocatedBytes();
        try (DeviceBuffer whole = pool.allocate(held)) {
            assertThat(whole.byteSize()).isEqualTo(held);
            assertThat(pool.stats().totalAllocatedBytes()).as("none was taken").isEqualTo(held);
        }
    }

    /** Frees on one thread and allocations on another: what the first keeps is bounded, the rest comes round. */
    @Test
    void memoryDoesNotDriftToTheThreadThatFrees() throws InterruptedException {
        List<DeviceBuffer> parcel = new ArrayList<>();
        for (int round = 0; round < 200; round++) {
            for (int i = 0; i < 64; i++) {
                parcel.add(pool.allocate(MIB));
            }
            Thread consumer = Thread.ofPlatform().start(() -> parcel.forEach(DeviceBuffer::close));
            consumer.join();
            parcel.clear();
        }
        assertThat(pool.stats().peakBytes()).isLessThanOrEqualTo(256 * MIB);
        assertThat(pool.stats().totalAllocatedBytes()).isLessThanOrEqualTo(256 * MIB);
    }

    @Test
    void virtualThreadsLeaveNoResidue() throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 10_000; i++) {
            threads.add(Thread.ofVirtual().start(() -> pairs(4 * KIB, 10)));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        long stripes = 4L * Runtime.getRuntime().availableProcessors();
        long most = stripes * MemoryConfig.defaults().maxPooledPerBucket() * 4 * KIB;
        assertThat(atHand()).isLessThanOrEqualTo(most);
        assertThat(pool.stats().activeBuffers()).isZero();
        pool.validate();
    }

    private void pairs(long byteSize, int count) {
        for (int i = 0; i < count; i++) {
            pool.allocate(byteSize).close();
        }
    }

    private Ledger ledger() {
        return card.device(0).ledger();
    }

    private long atHand() {
        return pool.heaps().primary().blocks().figures().cachedBytes();
    }
}
