package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.VirtualClock;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Two pools of one memory: what one has closed and its device still works on, the other one waits for. */
class SiblingPendingTest {

    private static final long MIB = 1L << 20;

    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .waitTimeout(Duration.ofMillis(200))
            .build();

    private final PhysicalMemory vram = PhysicalMemory.of(16 * MIB);

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 50})
    void work_that_ends_in_time_is_waited_for(int millis) {
        try (GpuMemory memory = open(VirtualClock.automatic(), Duration.ofMillis(millis))) {
            PoolEngine other = pool(memory, 0);
            closeOverWork(other);
            PoolEngine pool = pool(memory, 1);
            pool.allocate(12 * MIB).close();
            assertThat(pool.yields(Rung.WAIT) + pool.yields(Rung.SIBLINGS)).isEqualTo(1);
            assertThat(other.stats().totalAllocatedBytes()).isZero();
        }
    }

    @Test
    void work_that_does_not_end_is_waited_for_only_so_long() {
        VirtualClock clock = VirtualClock.manual();
        try (GpuMemory memory = open(clock, Duration.ofHours(1))) {
            closeOverWork(pool(memory, 0));
            PoolEngine pool = pool(memory, 1);
            assertThatThrownBy(() -> pool.allocate(12 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
            clock.runUntilIdle();
            pool.allocate(12 * MIB).close();
        }
    }

    private GpuMemory open(VirtualClock clock, Duration work) {
        return GpuMemory.builder()
                .config(CONFIG)
                .clock(clock)
                .backend(backend("one", clock, work))
                .backend(backend("two", clock, work))
                .open();
    }

    private SimulatedBackend backend(String name, VirtualClock clock, Duration work) {
        return SimulatedBackend.builder(name)
                .clock(clock)
                .device(SimulatedDevice.builder("card").memory(vram).speed(work, 1L << 30))
                .build();
    }

    private static PoolEngine pool(GpuMemory memory, int number) {
        return (PoolEngine) memory.pool(memory.devices().get(number));
    }

    private static void closeOverWork(PoolEngine pool) {
        try (DeviceBuffer from = pool.allocate(4 * MIB);
                DeviceBuffer to = pool.allocate(4 * MIB)) {
            from.copyToAsync(0, to, 0, 4 * MIB);
        }
    }
}
