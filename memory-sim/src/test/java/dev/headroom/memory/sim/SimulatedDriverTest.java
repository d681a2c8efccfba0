package dev.headroom.memory.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.sim.Violation.Type;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SimulatedDriverTest {

    private static final long KIB = 1024;
    private static final Duration LONG = Duration.ofSeconds(10);

    private final Arena arena = Arena.ofShared();
    private SimulatedBackend backend = SimulatedBackend.card(1 << 30);

    @AfterEach
    void closeArena() {
        arena.close();
    }

    @Test
    void what_is_written_is_read() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 4096);
        DriverQueue queue = driver.openQueue();
        MemorySegment source = arena.allocate(100);
        source.fill((byte) 7);
        run(driver, queue, new Copy(new InHost(source), new InBlock(block, 10), 100));
        MemorySegment target = arena.allocate(102);
        run(driver, queue, new Copy(new InBlock(block, 9), new InHost(target), 102));
        assertThat(target.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo(SimulatedDevice.FRESH_POISON);
        assertThat(target.get(ValueLayout.JAVA_BYTE, 1)).isEqualTo((byte) 7);
        assertThat(target.get(ValueLayout.JAVA_BYTE, 100)).isEqualTo((byte) 7);
        assertThat(target.get(ValueLayout.JAVA_BYTE, 101)).isEqualTo(SimulatedDevice.FRESH_POISON);
        queue.close();
        assertThat(driver.free(block).isFreed()).isTrue();
        driver.close();
        backend.close();
        backend.requireNoViolations();
        assertThat(backend.device(0).ledger().isEmpty()).isTrue();
        assertThat(backend.device(0).memory().usedBytes()).isZero();
    }

    @Test
    void untouched_memory_costs_nothing() throws DriverException {
        backend = SimulatedBackend.card(1L << 40);
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 1L << 39);
        DriverQueue queue = driver.openQueue();
        run(driver, queue, new Fill(block, (1L << 39) - 5, 5, (byte) 1));
        assertThat(backend.device(0).ledger().liveBytes()).isEqualTo(1L << 39);
        driver.free(block);
    }

    @Test
    void memory_runs_out_to_the_byte() throws DriverException {
        DeviceDriver driver = open();
        backend.device(0).occupy((1 << 30) - 8192);
        allocate(driver, 8192);
        assertThatThrownBy(() -> allocate(driver, 4096))
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY));
    }

    @Test
    void figures_of_free_memory_take_every_form() throws DriverException {
        assertThat(freeAfterTaking(FreeFigure.measured())).isEqualTo((1 << 30) - (1 << 20));
        assertThat(freeAfterTaking(FreeFigure.unknown())).isEqualTo(-1);
        assertThat(freeAfterTaking(FreeFigure.lagging())).isEqualTo((1 << 30) - 64 * KIB);
        assertThat(freeAfterTaking(FreeFigure.offBy(-4096))).isEqualTo((1 << 30) - (1 << 20) - 4096);
        assertThat(freeAfterTaking(FreeFigure.constant(5))).isEqualTo(5);
    }

    private long freeAfterTaking(FreeFigure figure) throws DriverException {
        backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").totalBytes(1 << 30).freeFigure(figure))
                .build();
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 1 << 20);
        run(driver, driver.openQueue(), new Fill(block, 0, 10, (byte) 1));
        return driver.budget(MemoryKind.DEVICE).freeBytes().orElse(-1);
    }

    @Test
    void devices_built_on_one_memory_share_it() throws DriverException {
        PhysicalMemory vram = PhysicalMemory.of(1 << 20);
        SimulatedBackend first = SimulatedBackend.builder("one")
                .device(SimulatedDevice.builder("card").memory(vram))
                .build();
        SimulatedBackend second = SimulatedBackend.builder("two")
                .device(SimulatedDevice.builder("card").memory(vram))
                .build();
        assertThat(first.device(0).device().physicalId())
                .isEqualTo(second.device(0).device().physicalId());
        allocate(first.open(first.device(0).device()), 1 << 19);
        assertThat(second.budget(second.device(0).device()).freeBytes()).hasValue(1 << 19);
    }

    @Test
    void a_mapping_is_the_memory_and_dies_with_its_close() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.UPLOAD, "staging"));
        HostMapping mapping = driver.map(block, 1024, 2048, MapAccess.READ_WRITE);
        MemorySegment segment = mapping.segment();
        segment.fill((byte) 3);
        MemorySegment target = arena.allocate(1);
        run(driver, driver.openQueue(), new Copy(new InBlock(block, 3071), new InHost(target), 1));
        assertThat(target.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 3);
        mapping.close();
        assertThatThrownBy(() -> segment.get(ValueLayout.JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
        driver.free(block);
    }

    @Test
    void without_coherence_only_what_is_flushed_arrives() throws DriverException {
        backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").withoutCoherence())
                .build();
        DeviceDriver driver = open();
        DriverQueue queue = driver.openQueue();
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.UPLOAD, "staging"));
        MemorySegment target = arena.allocate(1);
        try (HostMapping mapping = driver.map(block, 0, 4096, MapAccess.READ_WRITE)) {
            mapping.segment().fill((byte) 3);
            run(driver, queue, new Copy(new InBlock(block, 0), new InHost(target), 1));
            assertThat(target.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo(SimulatedDevice.FRESH_POISON);
            mapping.flush();
            run(driver, queue, new Copy(new InBlock(block, 0), new InHost(target), 1));
            assertThat(target.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 3);
            run(driver, queue, new Fill(block, 0, 4096, (byte) 9));
            mapping.invalidate();
            assertThat(mapping.segment().get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 9);
        }
    }

    @Test
    void recommitted_memory_reads_as_poison() throws DriverException {
        backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").virtualMemory(64 * KIB))
                .build();
        DeviceDriver driver = open();
        VirtualMemory ranges = driver.virtualMemory().orElseThrow();
        DriverBlock range = ranges.reserve(1 << 20, MemoryKind.DEVICE);
        Ledger ledger = backend.device(0).ledger();
        assertThat(ledger.liveBytes()).isZero();
        ranges.commit(range, 128 * KIB, 128 * KIB);
        assertThat(ledger.committedBytes()).isEqualTo(128 * KIB);
        DriverQueue queue = driver.openQueue();
        run(driver, queue, new Fill(range, 128 * KIB, 128 * KIB, (byte) 1));
        assertThat(ranges.decommit(range, 192 * KIB, 64 * KIB).isFreed()).isTrue();
        ranges.commit(range, 192 * KIB, 64 * KIB);
        MemorySegment target = arena.allocate(2);
        run(driver, queue, new Copy(new InBlock(range, 192 * KIB - 1), new InHost(target), 2));
        assertThat(target.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 1);
        assertThat(target.get(ValueLayout.JAVA_BYTE, 1)).isEqualTo(SimulatedDevice.FREED_POISON);
        assertViolation(Type.COMMITMENT, () -> ranges.commit(range, 128 * KIB, 64 * KIB));
        assertViolation(Type.COMMITMENT, () -> ranges.decommit(range, 0, 64 * KIB));
        assertViolation(Type.COMMITMENT, () -> driver.submit(new Fill(range, 0, 10, (byte) 1), queue));
        assertThat(ranges.release(range).isFreed()).isTrue();
        assertThat(backend.device(0).memory().usedBytes()).isZero();
        assertThat(ledger.liveBytes()).isZero();
    }

    @Test
    void misuse_is_recorded_and_thrown() throws DriverException {
        DeviceDriver driver = open();
        DeviceDriver other = open();
        DriverQueue queue = driver.openQueue();
        DriverBlock block = allocate(driver, 4096);
        assertViolation(Type.BAD_ARGUMENT, () -> allocate(driver, 100));
        assertViolation(
                Type.BAD_ARGUMENT,
                () -> driver.allocate(new BlockRequest(4096, 256, MemoryKind.UNIFIED, "there is none")));
        assertViolation(Type.BAD_ARGUMENT, () -> driver.map(block, 0, 10, MapAccess.READ));
        assertViolation(Type.BAD_ARGUMENT, () -> driver.await(queue, 1, LONG));
        assertViolation(Type.OUT_OF_RANGE, () -> driver.submit(new Fill(block, 4090, 7, (byte) 1), queue));
        assertViolation(Type.FOREIGN_OBJECT, () -> other.free(block));
        assertViolation(
                Type.HOST_SEGMENT,
                () -> driver.submit(
                        new Copy(new InHost(MemorySegment.ofArray(new byte[5])), new InBlock(block, 0), 5), queue));
        driver.submit(new Fill(block, 0, 10, (byte) 1), queue);
        assertViolation(Type.CLOSED_IN_USE, () -> driver.free(block));
        assertViolation(Type.CLOSED_IN_USE, queue::close);
        driver.awaitIdle(LONG);
        driver.free(block);
        assertViolation(Type.DOUBLE_CLOSE, () -> driver.free(block));
        assertViolation(Type.USE_AFTER_CLOSE, () -> driver.submit(new Fill(block, 0, 7, (byte) 1), queue));
        assertViolation(Type.LEFT_BEHIND, driver::close);
        assertViolation(Type.LEFT_BEHIND, backend::close);
        queue.close();
        driver.close();
        other.close();
        assertThat(backend.violations()).hasSize(13);
    }

    @Test
    void queues_race_unless_one_waits_for_the_other() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 4096);
        DriverQueue first = driver.openQueue();
        DriverQueue second = driver.openQueue();
        driver.submit(new Fill(block, 0, 100, (byte) 1), first);
        long done = driver.signal(first);
        driver.submit(new Fill(block, 100, 100, (byte) 1), second);
        assertViolation(Type.QUEUE_RACE, () -> driver.submit(new Fill(block, 50, 100, (byte) 1), second));
        driver.waitFor(second, first, done);
        driver.submit(new Fill(block, 50, 100, (byte) 2), second);
        assertThat(driver.awaitIdle(LONG)).isTrue();
    }

    @Test
    void order_is_passed_on_through_a_third_queue() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 4096);
        DriverQueue first = driver.openQueue();
        DriverQueue second = driver.openQueue();
        DriverQueue third = driver.openQueue();
        driver.submit(new Fill(block, 0, 100, (byte) 1), first);
        driver.waitFor(second, first, driver.signal(first));
        driver.waitFor(third, second, driver.signal(second));
        driver.submit(new Fill(block, 0, 100, (byte) 2), third);
        assertThat(driver.await(third, driver.signal(third), LONG)).isTrue();
        backend.requireNoViolations();
    }

    @Test
    void a_kernel_holds_its_memory() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 4096);
        DriverQueue queue = driver.openQueue();
        SimulatedQueue stream = backend.device(0).newQueue();
        stream.submit(SimulatedKernel.lasting(Duration.ofSeconds(1))
                .writing(block, 0, 4096)
                .doing(operands -> operands.getFirst().fill((byte) 42)));
        assertViolation(Type.CLOSED_IN_USE, () -> driver.free(block));
        assertViolation(Type.QUEUE_RACE, () -> driver.submit(new Fill(block, 0, 1, (byte) 1), queue));
        DriverFence fence = driver.record(stream);
        stream.close();
        assertThat(fence.done()).isFalse();
        driver.waitFor(queue, fence);
        MemorySegment target = arena.allocate(4096);
        run(driver, queue, new Copy(new InBlock(block, 0), new InHost(target), 4096));
        assertThat(fence.done()).isTrue();
        assertThat(target.get(ValueLayout.JAVA_BYTE, 4095)).isEqualTo((byte) 42);
        fence.close();
        driver.free(block);
        assertThat(backend.clock().nowNanos()).isGreaterThanOrEqualTo(1_000_000_000);
    }

    @Test
    void a_users_queue_waits_for_ours() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 4096);
        DriverQueue queue = driver.openQueue();
        SimulatedQueue stream = backend.device(0).newQueue();
        driver.submit(new Fill(block, 0, 4096, (byte) 1), queue);
        SimulatedKernel kernel = SimulatedKernel.lasting(Duration.ZERO).reading(block, 0, 10);
        assertViolation(Type.QUEUE_RACE, () -> stream.submit(kernel));
        driver.hold(stream, queue, driver.signal(queue));
        stream.submit(kernel);
        assertThat(stream.synchronize(LONG)).isTrue();
    }

    @Test
    void reads_of_bytes_nobody_wrote_are_noticed() throws DriverException {
        backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").watchingUnwrittenReads())
                .build();
        DeviceDriver driver = open();
        DriverQueue queue = driver.openQueue();
        DriverBlock block = allocate(driver, 4096);
        DriverBlock copy = allocate(driver, 4096);
        MemorySegment target = arena.allocate(100);
        run(driver, queue, new Fill(block, 0, 100, (byte) 1));
        run(driver, queue, new Copy(new InBlock(block, 0), new InBlock(copy, 0), 200));
        run(driver, queue, new Copy(new InBlock(copy, 0), new InHost(target), 100));
        backend.requireNoViolations();
        run(driver, queue, new Copy(new InBlock(copy, 1), new InHost(target), 100));
        assertThat(backend.violations()).extracting(Violation::type).containsExactly(Type.UNWRITTEN_READ);
    }

    @Test
    void a_block_that_cannot_be_freed_is_set_aside() throws DriverException {
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 4096);
        backend.faults().add(FaultRule.on("free").nth(1).failing(DriverException.Kind.UNEXPECTED, 999));
        assertThat(driver.free(block).failure())
                .hasValueSatisfying(failure -> assertThat(failure.nativeCode()).isEqualTo(999));
        Ledger ledger = backend.device(0).ledger();
        assertThat(ledger.liveBlocks()).isZero();
        assertThat(ledger.failedFrees()).isEqualTo(1);
        assertThat(ledger.quarantinedBytes()).isEqualTo(4096);
        assertThat(backend.device(0).memory().usedBytes()).isEqualTo(4096);
        assertViolation(Type.QUARANTINE_TOUCHED, () -> driver.free(block));
        driver.close();
        assertThat(backend.device(0).memory().usedBytes()).isZero();
    }

    @Test
    void a_lost_device_fails_until_it_recovers_and_old_drivers_for_ever() throws DriverException {
        DeviceDriver driver = open();
        DriverQueue queue = driver.openQueue();
        DriverBlock block = allocate(driver, 4096);
        driver.submit(new Fill(block, 0, 4096, (byte) 1), queue);
        backend.device(0).lose();
        assertLost(() -> driver.completed(queue));
        assertLost(() -> backend.open(backend.device(0).device()));
        assertThat(driver.free(block).isFreed()).isFalse();
        assertThat(backend.device(0).callsSinceLoss()).containsEntry("completed", 1L);
        backend.device(0).recover();
        assertLost(() -> allocate(driver, 4096));
        DeviceDriver fresh = open();
        allocate(fresh, 4096);
        driver.close();
        queue.close();
        assertThat(backend.device(0).ledger().openDrivers()).isEqualTo(1);
        assertThat(backend.device(0).ledger().liveQueues()).isZero();
        backend.requireNoViolations();
    }

    @Test
    void without_contents_books_are_kept_all_the_same() throws DriverException {
        backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card")
                        .totalBytes(1L << 50)
                        .speed(Duration.ZERO, Long.MAX_VALUE)
                        .withoutContents())
                .build();
        DeviceDriver driver = open();
        DriverBlock block = allocate(driver, 1L << 45);
        run(driver, driver.openQueue(), new Fill(block, 0, 1L << 45, (byte) 1));
        assertThat(driver.free(block).isFreed()).isTrue();
    }

    private DeviceDriver open() throws DriverException {
        return backend.open(backend.device(0).device());
    }

    private static DriverBlock allocate(DeviceDriver driver, long byteSize) throws DriverException {
        return driver.allocate(new BlockRequest(byteSize, 256, MemoryKind.DEVICE, "test"));
    }

    private static void run(DeviceDriver driver, DriverQueue queue, TransferCommand command) throws DriverException {
        driver.submit(command, queue);
        assertThat(driver.await(queue, driver.signal(queue), LONG)).isTrue();
    }

    private void assertViolation(Type type, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        DriverMisuseException.class,
                        e -> assertThat(e.violation().type()).isEqualTo(type));
        assertThat(backend.violations().getLast().type()).isEqualTo(type);
    }

    private static void assertLost(ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(DriverException.Kind.DEVICE_LOST));
    }
}
