package dev.headroom.memory.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.TransferCommand.Fill;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class VirtualClockTest {

    private static final Duration SECOND = Duration.ofSeconds(1);

    @Test
    void events_happen_in_the_order_of_their_time_then_of_their_planning() {
        VirtualClock clock = VirtualClock.manual();
        List<String> seen = new ArrayList<>();
        clock.after(Duration.ofNanos(20), () -> seen.add("late at " + clock.nowNanos()));
        clock.after(Duration.ofNanos(10), () -> seen.add("first at " + clock.nowNanos()));
        clock.after(Duration.ofNanos(10), () -> {
            seen.add("second at " + clock.nowNanos());
            clock.after(Duration.ZERO, () -> seen.add("planned by an event at " + clock.nowNanos()));
        });
        clock.advance(Duration.ofNanos(9));
        assertThat(seen).isEmpty();
        clock.advance(Duration.ofNanos(100));
        assertThat(seen).containsExactly("first at 10", "second at 10", "planned by an event at 10", "late at 20");
        assertThat(clock.nowNanos()).isEqualTo(109);
        assertThat(clock.isIdle()).isTrue();
    }

    @Test
    void running_until_idle_takes_as_long_as_the_last_event() {
        VirtualClock clock = VirtualClock.manual();
        clock.after(SECOND, () -> clock.after(SECOND, () -> {}));
        assertThat(clock.runUntilIdle()).isEqualTo(Duration.ofSeconds(2));
        assertThat(clock.runUntilIdle()).isZero();
    }

    @Test
    void the_clock_may_wrap() {
        VirtualClock clock = VirtualClock.manual().startingAt(Long.MAX_VALUE - 5);
        List<Integer> seen = new ArrayList<>();
        clock.after(Duration.ofNanos(10), () -> seen.add(2));
        clock.after(Duration.ofNanos(3), () -> seen.add(1));
        clock.advance(Duration.ofNanos(20));
        assertThat(seen).containsExactly(1, 2);
        assertThat(clock.nowNanos()).isEqualTo(Long.MIN_VALUE + 14);
    }

    @Test
    void time_does_not_run_backwards() {
        assertThatThrownBy(() -> VirtualClock.manual().advance(Duration.ofNanos(-1)))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void work_takes_its_time_on_a_manual_clock() throws DriverException {
        VirtualClock clock = VirtualClock.manual();
        SimulatedBackend backend = backend(clock);
        DeviceDriver driver = backend.open(backend.device(0).device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
        DriverQueue first = driver.openQueue();
        DriverQueue second = driver.openQueue();
        driver.submit(new Fill(block, 0, 1024, (byte) 1), first);
        long half = driver.signal(first);
        driver.submit(new Fill(block, 0, 1024, (byte) 2), first);
        long all = driver.signal(first);
        driver.submit(new Fill(block, 2048, 1024, (byte) 3), second);
        long beside = driver.signal(second);
        // One command takes 100 ns and one more for each byte; queues run side by side.
        clock.advance(Duration.ofNanos(1123));
        assertThat(driver.completed(first)).isZero();
        clock.advance(Duration.ofNanos(1));
        assertThat(driver.completed(first)).isEqualTo(half);
        assertThat(driver.completed(second)).isEqualTo(beside);
        assertThat(driver.await(first, all, Duration.ZERO)).isFalse();
        clock.runUntilIdle();
        assertThat(clock.nowNanos()).isEqualTo(2248);
        assertThat(driver.completed(first)).isEqualTo(all);
    }

    @Test
    void a_waiting_queue_starts_when_the_other_is_done() throws DriverException {
        VirtualClock clock = VirtualClock.manual();
        SimulatedBackend backend = backend(clock);
        DeviceDriver driver = backend.open(backend.device(0).device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
        DriverQueue first = driver.openQueue();
        DriverQueue second = driver.openQueue();
        driver.submit(new Fill(block, 0, 1000, (byte) 1), first);
        driver.waitFor(second, first, driver.signal(first));
        driver.submit(new Fill(block, 0, 400, (byte) 2), second);
        long done = driver.signal(second);
        clock.advance(Duration.ofNanos(1599));
        assertThat(driver.completed(second)).isZero();
        clock.advance(Duration.ofNanos(1));
        assertThat(driver.completed(second)).isEqualTo(done);
    }

    @Test
    void waiting_passes_the_time_of_an_automatic_clock_up_to_the_timeout() throws DriverException {
        VirtualClock clock = VirtualClock.automatic();
        SimulatedBackend backend = backend(clock);
        DeviceDriver driver = backend.open(backend.device(0).device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
        SimulatedQueue stream = backend.device(0).newQueue();
        stream.submit(SimulatedKernel.lasting(Duration.ofDays(1)).writing(block, 0, 1));
        assertThat(stream.synchronize(SECOND)).isFalse();
        assertThat(clock.nowNanos()).isEqualTo(SECOND.toNanos());
        assertThat(stream.synchronize(Duration.ofDays(2))).isTrue();
        assertThat(clock.nowNanos()).isEqualTo(Duration.ofDays(1).toNanos());
    }

    @Test
    void polling_gets_on_with_an_automatic_clock() throws DriverException {
        SimulatedBackend backend = backend(VirtualClock.automatic());
        DeviceDriver driver = backend.open(backend.device(0).device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
        DriverQueue queue = driver.openQueue();
        driver.submit(new Fill(block, 0, 4096, (byte) 1), queue);
        long value = driver.signal(queue);
        int looks = 1;
        while (driver.completed(queue) < value) {
            looks++;
        }
        assertThat(looks).isEqualTo(5);
    }

    @Test
    void another_thread_ends_a_wait_on_a_manual_clock() throws Exception {
        VirtualClock clock = VirtualClock.manual();
        SimulatedBackend backend = backend(clock);
        DeviceDriver driver = backend.open(backend.device(0).device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
        DriverQueue queue = driver.openQueue();
        driver.submit(new Fill(block, 0, 4096, (byte) 1), queue);
        long value = driver.signal(queue);
        Thread advancing = Thread.ofVirtual().start(clock::runUntilIdle);
        assertThat(driver.await(queue, value, Duration.ofSeconds(30))).isTrue();
        advancing.join();
    }

    @Test
    void an_interrupt_ends_a_wait_and_stays() throws DriverException {
        SimulatedBackend backend = backend(VirtualClock.manual());
        DeviceDriver driver = backend.open(backend.device(0).device());
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
        DriverQueue queue = driver.openQueue();
        driver.submit(new Fill(block, 0, 4096, (byte) 1), queue);
        long value = driver.signal(queue);
        Thread.currentThread().interrupt();
        assertThat(driver.await(queue, value, Duration.ofDays(1))).isFalse();
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void a_failing_kernel_hurts_nobody_else() {
        SimulatedBackend backend = backend(VirtualClock.automatic());
        SimulatedQueue stream = backend.device(0).newQueue();
        stream.submit(SimulatedKernel.lasting(SECOND).doing(_ -> {
            throw new IllegalStateException("asked for");
        }));
        assertThat(stream.synchronize(Duration.ofSeconds(2))).isTrue();
        assertThat(backend.violations()).extracting(Violation::type).containsExactly(Violation.Type.KERNEL_FAILED);
        assertThatThrownBy(backend::requireNoViolations)
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("asked for");
    }

    private static SimulatedBackend backend(VirtualClock clock) {
        return SimulatedBackend.builder("sim")
                .clock(clock)
                .device(SimulatedDevice.builder("card").speed(Duration.ofNanos(100), 1_000_000_000))
                .build();
    }
}
