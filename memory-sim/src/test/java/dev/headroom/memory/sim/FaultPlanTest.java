package dev.headroom.memory.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverException.Kind;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.VirtualMemory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class FaultPlanTest {

    private final FaultPlan plan = new FaultPlan();
    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .faults(plan)
            .device(SimulatedDevice.builder("first").totalBytes(1 << 30).virtualMemory(4096))
            .device(SimulatedDevice.builder("second").totalBytes(1 << 30))
            .build();

    @Test
    void the_nth_call_fails_and_no_other() throws DriverException {
        plan.add(FaultRule.on("allocate").nth(3).failing(Kind.OUT_OF_MEMORY, 2));
        DeviceDriver driver = open(0);
        assertThat(outcomes(driver, 5)).containsExactly(true, true, false, true, true);
        assertThat(plan.fired()).isEqualTo(1);
    }

    @Test
    void a_failure_tells_what_drivers_tell() throws DriverException {
        plan.add(FaultRule.on("allocate").failing(Kind.UNEXPECTED, 999));
        DeviceDriver driver = open(0);
        DriverException failure = catchThrowableOfType(DriverException.class, () -> allocate(driver));
        assertThat(failure.kind()).isEqualTo(Kind.UNEXPECTED);
        assertThat(failure.nativeCode()).isEqualTo(999);
        assertThat(failure.call()).isEqualTo("allocate");
        assertThat(backend.device(0).ledger().liveBlocks()).isZero();
        assertThat(backend.device(0).memory().usedBytes()).isZero();
    }

    @Test
    void skip_and_times_bound_a_rule() throws DriverException {
        plan.add(FaultRule.on("alloc*").skip(1).times(2).failing(Kind.OUT_OF_MEMORY, 2));
        assertThat(outcomes(open(0), 5)).containsExactly(true, false, false, true, true);
    }

    @Test
    void globs_and_patterns_choose_operations() throws DriverException {
        plan.add(FaultRule.on("openQ?eue|signal").failing(Kind.UNEXPECTED, 1));
        plan.add(FaultRule.matching(Pattern.compile("all.*")).failing(Kind.OUT_OF_MEMORY, 2));
        DeviceDriver driver = open(0);
        assertThatThrownBy(driver::openQueue).isInstanceOf(DriverException.class);
        assertThatThrownBy(() -> allocate(driver)).isInstanceOf(DriverException.class);
        assertThatCode(() -> driver.budget(MemoryKind.DEVICE)).doesNotThrowAnyException();
    }

    @Test
    void a_rule_may_concern_one_device() throws DriverException {
        plan.add(FaultRule.on("allocate").onDevice(1).failing(Kind.OUT_OF_MEMORY, 2));
        assertThat(outcomes(open(0), 2)).containsExactly(true, true);
        assertThat(outcomes(open(1), 2)).containsExactly(false, false);
    }

    @Test
    void chance_repeats_with_its_seed() throws DriverException {
        plan.add(FaultRule.on("allocate").withProbability(0.5, 7).failing(Kind.OUT_OF_MEMORY, 2));
        List<Boolean> first = outcomes(open(0), 64);
        assertThat(first).contains(true, false);
        plan.clear();
        plan.add(FaultRule.on("allocate").withProbability(0.5, 7).failing(Kind.OUT_OF_MEMORY, 2));
        assertThat(outcomes(open(0), 64)).isEqualTo(first);
        plan.clear();
        plan.add(FaultRule.on("allocate").withProbability(0.5, 8).failing(Kind.OUT_OF_MEMORY, 2));
        assertThat(outcomes(open(0), 64)).isNotEqualTo(first);
    }

    @Test
    void a_sticky_loss_takes_the_whole_device_and_no_other() throws DriverException {
        plan.add(FaultRule.on("signal").onDevice(0).nth(2).sticky().failing(Kind.DEVICE_LOST, 719));
        DeviceDriver driver = open(0);
        DriverQueue queue = driver.openQueue();
        driver.signal(queue);
        assertThatThrownBy(() -> driver.signal(queue)).isInstanceOf(DriverException.class);
        assertThatThrownBy(() -> allocate(driver))
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DEVICE_LOST));
        assertThat(outcomes(open(1), 1)).containsExactly(true);
    }

    @Test
    void other_sticky_failures_stay_with_their_operation() throws DriverException {
        plan.add(FaultRule.on("allocate").nth(2).sticky().failing(Kind.UNEXPECTED, 700));
        DeviceDriver driver = open(0);
        assertThat(outcomes(driver, 4)).containsExactly(true, false, false, false);
        assertThatCode(driver::openQueue).doesNotThrowAnyException();
    }

    @Test
    void giving_back_fails_as_an_outcome() throws DriverException {
        plan.add(FaultRule.on("free|decommit|release").failing(Kind.UNEXPECTED, 1));
        DeviceDriver driver = open(0);
        assertThat(driver.free(allocate(driver)).isFreed()).isFalse();
        VirtualMemory memory = driver.virtualMemory().orElseThrow();
        DriverBlock range = memory.reserve(8192, MemoryKind.DEVICE);
        memory.commit(range, 0, 8192);
        assertThat(memory.decommit(range, 0, 4096).isFreed()).isFalse();
        assertThatThrownBy(() -> memory.commit(range, 0, 4096)).isInstanceOf(DriverMisuseException.class);
        assertThat(memory.release(range).isFreed()).isFalse();
        Ledger ledger = backend.device(0).ledger();
        assertThat(ledger.failedFrees()).isEqualTo(3);
        assertThat(ledger.quarantinedBytes()).isEqualTo(4096 + 8192);
        assertThat(ledger.liveBytes()).isZero();
        driver.close();
        assertThat(ledger.isEmpty()).isTrue();
        assertThat(ledger.quarantinedBytes()).isZero();
        assertThat(backend.device(0).memory().usedBytes()).isZero();
    }

    @Test
    void errors_may_come_out_of_a_driver() throws DriverException {
        plan.add(FaultRule.on("allocate").nth(1).throwing(() -> new UnsatisfiedLinkError("asked for")));
        plan.add(FaultRule.on("probe").throwing(() -> new IllegalStateException("asked for")));
        DeviceDriver driver = open(0);
        assertThatThrownBy(() -> allocate(driver)).isInstanceOf(UnsatisfiedLinkError.class);
        assertThatThrownBy(backend::probe).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void a_failing_probe_is_an_absent_backend() {
        plan.add(FaultRule.on("probe").failing(Kind.UNEXPECTED, 3));
        assertThat(backend.probe()).isInstanceOf(BackendProbe.Unavailable.class);
    }

    @Test
    void calls_may_take_time() throws DriverException {
        plan.add(FaultRule.on("allocate").delayedVirtually(Duration.ofSeconds(3)));
        plan.add(FaultRule.on("openQueue").delayed(Duration.ofMillis(1)));
        DeviceDriver driver = open(0);
        allocate(driver);
        assertThat(backend.clock().nowNanos()).isEqualTo(3_000_000_000L);
        driver.openQueue();
        assertThat(plan.fired()).isEqualTo(2);
    }

    @Test
    void calls_are_counted_and_every_one_of_them_can_be_made_to_fail() throws DriverException {
        workload(plan, backend);
        long calls = plan.calls();
        assertThat(calls).isEqualTo(9);
        assertThat(plan.calls("allocate|free")).isEqualTo(2);
        assertThat(plan.callsByOperation()).containsEntry("submit", 1L);
        plan.resetCalls();
        assertThat(plan.calls()).isZero();
        for (long n = 1; n <= calls; n++) {
            FaultPlan failing = new FaultPlan(FaultRule.on("*").nth(n).failing(Kind.UNEXPECTED, n));
            SimulatedBackend fresh = SimulatedBackend.builder("sim")
                    .faults(failing)
                    .device(SimulatedDevice.builder("card").totalBytes(1 << 30))
                    .build();
            try {
                workload(failing, fresh);
            } catch (DriverException e) {
                assertThat(e.nativeCode()).isEqualTo(n);
            }
            assertThat(failing.fired()).isEqualTo(1);
            assertThat(fresh.device(0).ledger().isEmpty())
                    .as("after failing call %d: %s", n, fresh.device(0).ledger().describe())
                    .isTrue();
            fresh.requireNoViolations();
        }
    }

    private static void workload(FaultPlan plan, SimulatedBackend backend) throws DriverException {
        try (DeviceDriver driver = backend.open(backend.device(0).device());
                DriverQueue queue = driver.openQueue()) {
            DriverBlock block = allocate(driver);
            try {
                driver.submit(new Fill(block, 0, 10, (byte) 1), queue);
                driver.await(queue, driver.signal(queue), Duration.ofSeconds(1));
            } finally {
                while (plan.calls("closeQueue") == 0 && !backend.clock().isIdle()) {
                    backend.clock().runUntilIdle();
                }
                driver.free(block);
            }
        }
    }

    private DeviceDriver open(int index) throws DriverException {
        return backend.open(backend.device(index).device());
    }

    private static DriverBlock allocate(DeviceDriver driver) throws DriverException {
        return driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "test"));
    }

    private static List<Boolean> outcomes(DeviceDriver driver, int count) {
        List<Boolean> outcomes = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            try {
                allocate(driver);
                outcomes.add(true);
            } catch (DriverException e) {
                outcomes.add(false);
            }
        }
        return outcomes;
    }
}
