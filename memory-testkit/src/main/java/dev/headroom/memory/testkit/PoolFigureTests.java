package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PressureListener;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** The part of {@link PoolContract} about amounts: figures, limits, and what happens when memory runs short. */
abstract class PoolFigureTests extends PoolLifeTests {

    // Figures.

    @Test
    void the_figures_add_up() {
        assertThat(pool.stats().activeBuffers()).isZero();
        Deque<DeviceBuffer> live = new ArrayDeque<>();
        long inUse = 0;
        long peak = 0;
        for (int i = 1; i <= 60; i++) {
            if (i % 3 == 0) {
                DeviceBuffer oldest = live.removeFirst();
                inUse -= oldest.byteSize();
                oldest.close();
            } else {
                live.add(pool.allocate(i * 1000L));
                inUse += i * 1000L;
            }
            MemoryStats stats = pool.stats();
            assertThat(stats.totalAllocatedBytes()).isEqualTo(stats.inUseBytes() + stats.pooledBytes());
            assertThat(stats.inUseBytes()).isGreaterThanOrEqualTo(inUse);
            assertThat(stats.totalAllocatedBytes()).isLessThanOrEqualTo(LIMIT_BYTES);
            assertThat(stats.activeBuffers()).isEqualTo(live.size());
            assertThat(stats.peakBytes()).isGreaterThanOrEqualTo(Math.max(peak, stats.inUseBytes()));
            assertThat(stats.poolHits() + stats.poolMisses()).isEqualTo(i - i / 3);
            peak = stats.peakBytes();
        }
        live.forEach(DeviceBuffer::close);
        assertThat(pool.stats().inUseBytes()).isZero();
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void the_second_time_is_a_hit() {
        pool.allocate(10_000).close();
        MemoryStats first = pool.stats();
        assertThat(first.poolMisses()).isEqualTo(1);
        pool.allocate(10_000).close();
        assertThat(pool.stats().poolHits()).isEqualTo(1);
        assertThat(pool.stats().poolMisses()).isEqualTo(1);
        assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(first.totalAllocatedBytes());
    }

    @Test
    void shrinking_gives_all_idle_memory_back() {
        List<DeviceBuffer> live = new ArrayList<>();
        for (int i = 1; i <= 30; i++) {
            live.add(pool.allocate(i * 10_000L));
        }
        live.forEach(DeviceBuffer::close);
        assertThat(pool.awaitIdle(Duration.ofSeconds(30))).isTrue();
        long held = pool.stats().totalAllocatedBytes();
        assertThat(held).isPositive();
        assertThat(pool.shrink()).isEqualTo(held);
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
        assertThat(pool.shrink()).isZero();
        pool.allocate(1).close();
        pool.clearPool();
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
    }

    @Test
    void the_limit_holds_to_the_byte_and_memory_up_to_it_is_granted() {
        List<DeviceBuffer> live = new ArrayList<>();
        DeviceOutOfMemoryException refusal = null;
        while (refusal == null) {
            try {
                live.add(pool.allocate(MIB));
                assertThat(pool.stats().totalAllocatedBytes()).isLessThanOrEqualTo(LIMIT_BYTES);
            } catch (DeviceOutOfMemoryException e) {
                refusal = e;
            }
        }
        assertThat(live.size() * MIB).isGreaterThanOrEqualTo(LIMIT_BYTES / 4 * 3);
        assertThat(refusal.figures().requestedBytes()).isEqualTo(MIB);
        assertThat(refusal.figures().inUseBytes()).isGreaterThanOrEqualTo(live.size() * MIB);
        assertThat(refusal).hasMessageContaining(pool.device().id());
        // A failed request leaves everything as it was.
        assertThat(pool.stats().activeBuffers()).isEqualTo(live.size());
        live.removeLast().close();
        live.add(pool.allocate(MIB));
        live.forEach(DeviceBuffer::close);
        try (DeviceBuffer whole = pool.allocate(LIMIT_BYTES / 4 * 3)) {
            assertThat(whole.byteSize()).isEqualTo(LIMIT_BYTES / 4 * 3);
        }
    }

    @Test
    void budget_and_pressure_agree() {
        MemoryBudget budget = pool.budget();
        assertThat(pool.totalMemory()).isEqualTo(budget.totalBytes()).isPositive();
        assertThat(pool.freeMemory().isPresent()).isEqualTo(budget.freeBytes().isPresent());
        assertThat(pool.usableBytes()).isBetween(0L, LIMIT_BYTES);
        assertThat(pool.pressure()).isEqualTo(MemoryPressure.LOW);
        List<DeviceBuffer> live = fill(MIB);
        double share = pool.stats().totalAllocatedBytes() / (double) LIMIT_BYTES;
        assertThat(pool.pressure()).isEqualTo(MemoryPressure.of(share));
        live.forEach(DeviceBuffer::close);
    }

    @Test
    void the_tracker_knows_every_open_buffer() {
        AllocationTracker tracker = pool.tracker().orElseThrow();
        assertThat(tracker.count()).isZero();
        DeviceBuffer tagged = pool.allocate(AllocationRequest.of(1000).tagged("weights"));
        DeviceBuffer plain = pool.allocate(24);
        assertThat(tracker.count()).isEqualTo(2);
        assertThat(tracker.totalBytes()).isEqualTo(1024);
        BufferMetadata known = tracker.get(tagged.id()).orElseThrow();
        assertThat(known.tag()).contains("weights");
        assertThat(known.sizeBytes()).isEqualTo(1000);
        assertThat(known.location()).isEqualTo(tagged.location());
        tagged.close();
        assertThat(tracker.get(tagged.id())).isEmpty();
        plain.close();
        assertThat(tracker.count()).isZero();
        assertThat(tracker.peakBytes()).isEqualTo(1024);
    }

    @Test
    void ids_are_unique() {
        try (DeviceBuffer first = pool.allocate(10);
                DeviceBuffer second = pool.allocate(10)) {
            assertThat(first.id()).isEqualTo(first.id()).isNotEqualTo(second.id());
        }
    }

    @Test
    void a_pool_knows_its_place() {
        assertThat(memory.pool(pool.device())).isSameAs(pool);
        assertThat(pool.backendName()).isEqualTo(pool.device().backend());
        try (DeviceBuffer buffer = pool.allocate(1)) {
            assertThat(buffer.pool()).isSameAs(pool);
            assertThat(buffer.deviceAccessible()).isTrue();
            assertThat(buffer.location())
                    .isEqualTo(pool.backendName().equals("cpu") ? BufferLocation.CPU : BufferLocation.GPU);
        }
    }

    @Test
    void sizes_taken_in_advance_are_hits() {
        reopen(config().preAllocation(List.of(100_000L, 200_000L)).build());
        assertThat(pool.stats().pooledBytes()).isGreaterThanOrEqualTo(300_000);
        MemoryStats before = pool.stats();
        DeviceBuffer first = pool.allocate(200_000);
        DeviceBuffer second = pool.allocate(100_000);
        assertThat(pool.stats().poolMisses()).isEqualTo(before.poolMisses());
        assertThat(pool.stats().poolHits()).isEqualTo(before.poolHits() + 2);
        first.close();
        second.close();
    }

    // Shortage.

    @Test
    void a_full_device_falls_back_and_says_so() {
        requireFallback();
        List<DeviceBuffer> live = fill(MIB);
        try (FallbackBuffer buffer = pool.allocateWithFallback(2 * MIB)) {
            assertThat(buffer.isCpuFallback()).isTrue();
            assertThat(buffer.isGpu()).isFalse();
            assertThat(buffer.location()).isEqualTo(BufferLocation.CPU);
            assertThat(buffer.deviceAccessible()).isFalse();
            assertThat(buffer.asGpu()).isEmpty();
            assertThat(buffer.asCpu()).isPresent();
            assertThat(pool.stats().cpuFallbacks()).isEqualTo(1);
            roundTrip(buffer, BytePattern.of(1, 1));
            live.forEach(DeviceBuffer::close);
            assertThat(pool.awaitIdle(Duration.ofSeconds(30))).isTrue();
            buffer.moveTo(pool);
            assertThat(buffer.isCpuFallback()).isFalse();
            assertThat(buffer.isGpu()).isTrue();
            require(buffer, BytePattern.of(1, 1));
        }
        FallbackBuffer direct = pool.allocateWithFallback(2 * MIB);
        assertThat(direct.isCpuFallback()).isFalse();
        assertThat(pool.stats().cpuFallbacks()).isEqualTo(1);
        DeviceBuffer taken = (direct.isGpu() ? direct.takeGpu() : direct.takeCpu()).orElseThrow();
        assertThat(direct.isEmpty()).isTrue();
        direct.close();
        roundTrip(taken, BytePattern.of(2, 2));
        taken.close();
    }

    @Test
    void fallback_can_be_refused() {
        List<DeviceBuffer> live = fill(MIB);
        assertThatThrownBy(() ->
                        pool.allocateWithFallback(AllocationRequest.of(2 * MIB).withoutFallback()))
                .isInstanceOf(DeviceOutOfMemoryException.class);
        live.forEach(DeviceBuffer::close);
        reopen(config().cpuFallback(false).build());
        List<DeviceBuffer> more = fill(MIB);
        assertThatThrownBy(() -> pool.allocateWithFallback(2 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        assertThat(pool.stats().cpuFallbacks()).isZero();
        more.forEach(DeviceBuffer::close);
    }

    @Test
    void listeners_are_asked_once_per_request_and_may_free() {
        List<DeviceBuffer> live = fill(MIB);
        AtomicInteger asked = new AtomicInteger();
        PressureListener listener = (GpuMemoryPool shortPool, MemoryPressure pressure, long wanted) -> {
            asked.incrementAndGet();
            assertThat(wanted).isPositive();
            live.removeLast().close();
            return MIB;
        };
        PressureListener broken = (GpuMemoryPool shortPool, MemoryPressure pressure, long wanted) -> {
            throw new IllegalStateException("a listener of the contract that always fails");
        };
        pool.addPressureListener(broken);
        pool.addPressureListener(listener);
        live.add(pool.allocate(MIB));
        assertThat(asked).hasValue(1);
        pool.removePressureListener(listener);
        assertThatThrownBy(() -> pool.allocate(MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        assertThat(asked).hasValue(1);
        live.forEach(DeviceBuffer::close);
    }

    /** Takes buffers until the pool refuses. */
    private List<DeviceBuffer> fill(long byteSize) {
        List<DeviceBuffer> live = new ArrayList<>();
        try {
            while (true) {
                live.add(pool.allocate(byteSize));
            }
        } catch (DeviceOutOfMemoryException e) {
            return live;
        }
    }
}
