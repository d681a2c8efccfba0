package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** What a close does when work will not end, or nobody can tell: it leaves memory alone rather than take it from under work. */
class CloseOverWorkTest {

    private static final int SIZE = 900 << 10;
    private static final Duration WORK = Duration.ofSeconds(1000);
    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .waitTimeout(Duration.ofMillis(100))
            .closeTimeout(Duration.ofMillis(100))
            .build();

    private final VirtualClock clock = VirtualClock.manual();
    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .clock(clock)
            .device(card("one card"))
            .device(card("other card"))
            .build();

    private static SimulatedDevice.Builder card(String name) {
        return SimulatedDevice.builder(name).totalBytes(16 << 20).speed(WORK, 1L << 30);
    }

    @Test
    void memory_another_device_writes_to_is_left_alone() {
        try (GpuMemory memory = open()) {
            PoolEngine target = pool(memory, 0);
            DeviceBuffer there = target.allocate(SIZE);
            pool(memory, 1).allocate(SIZE).copyToAsync(0, there, 0, SIZE);
            target.allocate(SIZE).close();
            target.close();
            assertThat(target.isAbandoned()).isTrue();
            assertThatThrownBy(() -> target.allocate(SIZE)).isInstanceOf(BufferClosedException.class);
        }
        requireLeftAlone(2);
    }

    @Test
    void memory_another_device_has_written_to_is_given_back() {
        try (GpuMemory memory = open()) {
            PoolEngine target = pool(memory, 0);
            DeviceBuffer there = target.allocate(SIZE);
            pool(memory, 1).allocate(SIZE).copyToAsync(0, there, 0, SIZE);
            clock.advance(WORK.multipliedBy(2));
            target.close();
            assertThat(target.isAbandoned()).isFalse();
        }
        requireLeftAlone(0);
    }

    @Test
    void memory_of_a_device_that_is_still_working_is_left_alone_and_its_backend_stays_open() {
        try (GpuMemory memory = open()) {
            PoolEngine pool = pool(memory, 0);
            DeviceBuffer buffer = pool.allocate(SIZE);
            pool.allocate(SIZE).copyToAsync(0, buffer, 0, SIZE);
        }
        requireLeftAlone(1);
        assertThat(backend.faults().calls("closeBackend")).isZero();
    }

    @Test
    void memory_of_a_device_that_does_not_answer_is_left_alone_while_work_may_be_under_way() {
        try (GpuMemory memory = open()) {
            PoolEngine pool = pool(memory, 0);
            DeviceBuffer buffer = pool.allocate(SIZE);
            pool.allocate(SIZE).copyToAsync(0, buffer, 0, SIZE);
            backend.faults().add(FaultRule.on("await*|completed").failing(DriverException.Kind.UNEXPECTED, 999));
        }
        requireLeftAlone(1);
    }

    @Test
    void memory_of_a_device_that_does_not_answer_is_given_back_if_nothing_was_under_way() {
        try (GpuMemory memory = open()) {
            pool(memory, 0).allocate(SIZE);
            backend.faults().add(FaultRule.on("await*|completed").failing(DriverException.Kind.UNEXPECTED, 999));
        }
        requireLeftAlone(0);
        assertThat(backend.faults().calls("awaitIdle")).isEqualTo(DeviceSession.ASKED);
    }

    private GpuMemory open() {
        return GpuMemory.builder().config(CONFIG).backend(backend).open();
    }

    private static PoolEngine pool(GpuMemory memory, int index) {
        return (PoolEngine) memory.pool(memory.devices().get(index));
    }

    /** What is left shows when its work ends: nothing was taken from under it. */
    private void requireLeftAlone(int drivers) {
        clock.runUntilIdle();
        backend.requireNoViolations();
        assertThat(backend.devices().stream()
                        .mapToInt(device -> device.ledger().openDrivers())
                        .sum())
                .isEqualTo(drivers);
    }
}
