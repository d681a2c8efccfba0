package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a pool takes when it opens. */
class PreAllocationTest {

    private static final long MIB = 1L << 20;
    private static final List<Long> SIZES = List.of(100 * MIB, 200 * MIB, 100 * MIB);

    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .device(SimulatedDevice.builder("card").totalBytes(1 << 30).withoutContents())
            .build();

    @AfterEach
    void nothingIsLeft() {
        backend.requireNoViolations();
        assertThat(backend.device(0).ledger().isEmpty()).as(backend.toString()).isTrue();
    }

    private GpuMemory open(MemoryConfig.Builder config) {
        return GpuMemory.builder()
                .backend(backend)
                .config(config.fraction(1)
                        .minFreeBytes(0)
                        .waitTimeout(Duration.ZERO)
                        .build())
                .open();
    }

    private static GpuMemoryPool pool(GpuMemory memory) {
        return memory.pool(memory.devices().getFirst());
    }

    @Test
    void itIsTakenAtOpenAndServesWithoutTheDriver() {
        try (GpuMemory memory = open(MemoryConfig.builder().preAllocation(SIZES))) {
            assertThat(backend.faults().calls("allocate"))
                    .as("before the pool opens")
                    .isZero();
            GpuMemoryPool pool = pool(memory);
            assertThat(backend.device(0).ledger().liveBytes()).isEqualTo(400 * MIB);
            assertThat(backend.faults().calls("allocate")).isEqualTo(3);
            assertThat(pool.stats())
                    .as("idle, and nobody asked for it")
                    .isEqualTo(new MemoryStats(400 * MIB, 0, 400 * MIB, 0, 0, 0, 0, 0));
            assertThat(pool.report().idle().bytes()).isEqualTo(400 * MIB);
            List<DeviceBuffer> buffers = new ArrayList<>();
            SIZES.forEach(size -> buffers.add(pool.allocate(size)));
            assertThat(backend.faults().calls("allocate")).isEqualTo(3);
            assertThat(pool.stats().poolHits()).isEqualTo(3);
            assertThat(pool.stats().poolMisses()).isZero();
            assertThat(pool.stats().pooledBytes()).isZero();
            buffers.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void sizesWithoutTheSwitchTakeNothing() {
        MemoryConfig on = MemoryConfig.builder().preAllocation(SIZES).build();
        MemoryConfig off = new MemoryConfig(
                1,
                true,
                0,
                on.tracking(),
                on.reclaimLeaked(),
                on.eventSampling(),
                on.pressureInterval(),
                on.maxPooledPerBucket(),
                false,
                SIZES,
                on.limitBytes(),
                on.fallbackLimitBytes(),
                on.stagingBytes(),
                on.waitTimeout(),
                on.closeTimeout(),
                on.growthBytes(),
                on.releaseThresholdBytes(),
                on.profile(),
                on.idleTrimAfter(),
                on.outOfMemoryReport());
        assertThat(on.preAllocate()).isTrue();
        try (GpuMemory memory = open(off.toBuilder())) {
            pool(memory);
            assertThat(backend.device(0).ledger().liveBytes()).isZero();
        }
    }

    @Test
    void whatCannotBeHadIsNamedAndNothingIsLeft() {
        try (GpuMemory memory = open(MemoryConfig.builder().preAllocation(List.of(600 * MIB, 500 * MIB)))) {
            DeviceOutOfMemoryException refusal =
                    catchThrowableOfType(DeviceOutOfMemoryException.class, () -> pool(memory));
            assertThat(refusal)
                    .hasMessageStartingWith("sim:0 (card): 500 MiB wanted, but only 424 MiB more can be had");
            assertThat(refusal.figures().requestedBytes()).isEqualTo(500 * MIB);
            assertThat(backend.device(0).ledger().isEmpty()).isTrue();
            assertThat(memory.usableBytes(memory.devices().getFirst())).isEqualTo(1 << 30);
            backend.requireNoViolations();
            assertThat(catchThrowableOfType(DeviceOutOfMemoryException.class, () -> pool(memory)))
                    .as("a second try fails in the same way")
                    .hasMessage(refusal.getMessage());
        }
    }

    @Test
    void whatCanNeverBeHadIsNamedToo() {
        try (GpuMemory memory = open(MemoryConfig.builder().preAllocation(List.of(MIB, 2048 * MIB)))) {
            AllocationTooLargeException refusal =
                    catchThrowableOfType(AllocationTooLargeException.class, () -> pool(memory));
            assertThat(refusal).hasMessageStartingWith("sim:0 (card): 2 GiB wanted, but a single allocation");
            assertThat(backend.device(0).ledger().isEmpty()).isTrue();
        }
    }

    @Test
    void itGoesWithBlockClassesToo() {
        try (GpuMemory memory = open(MemoryConfig.builder()
                .preAllocation(List.of(1000L, 1000L, 64L << 10))
                .profile(PoolProfile.blockClasses(64 * MIB)))) {
            GpuMemoryPool pool = pool(memory);
            long calls = backend.faults().calls("allocate");
            List<DeviceBuffer> buffers = List.of(pool.allocate(1000), pool.allocate(1000), pool.allocate(64 << 10));
            assertThat(backend.faults().calls("allocate")).isEqualTo(calls);
            buffers.forEach(DeviceBuffer::close);
        }
    }
}
