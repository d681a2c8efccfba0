package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.sim.Violation;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Kernels of the user's: declared they are safe, undeclared they are caught. Shows that the simulation can tell. */
class UsersQueueTest {

    private static final int SIZE = 100_000;

    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .device(SimulatedDevice.builder("card").totalBytes(1 << 30))
            .build();
    private final GpuMemory memory = GpuMemory.builder()
            .config(MemoryConfig.builder().limitBytes(64 << 20).build())
            .backend(backend)
            .clock(backend.clock())
            .open();
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
    private final SimulatedQueue stream = backend.device(0).newQueue();

    @AfterEach
    void close() {
        memory.close();
        assertThat(backend.device(0).ledger().isEmpty())
                .as(backend.device(0).ledger().describe())
                .isTrue();
    }

    @Test
    void a_declared_kernel_sees_our_copies_and_is_seen_by_them() {
        try (DeviceBuffer buffer = pool.allocate(SIZE)) {
            byte[] bytes = new byte[SIZE];
            BytePattern.of(1, 1).writeTo(MemorySegment.ofArray(bytes));
            assertThat(buffer.writeAsync(0, MemorySegment.ofArray(bytes))).isNotNull();
            buffer.waitOn(stream);
            launch(buffer, 2);
            QueueFence fence = buffer.usedOn(stream);
            buffer.read(0, MemorySegment.ofArray(bytes));
            BytePattern.of(2, 2).requireIn(MemorySegment.ofArray(bytes));
            assertThat(fence.isDone()).isTrue();
        }
        backend.requireNoViolations();
    }

    @Test
    void memory_a_declared_kernel_works_on_is_not_handed_out() {
        DeviceBuffer buffer = pool.allocate(SIZE);
        launch(buffer, 3);
        buffer.usedOn(stream);
        stream.close();
        buffer.close();
        for (int i = 0; i < 10; i++) {
            try (DeviceBuffer other = pool.allocate(SIZE)) {
                other.fill(0, SIZE, (byte) i);
            }
        }
        pool.shrink();
        backend.requireNoViolations();
    }

    @Test
    void an_undeclared_kernel_is_caught() {
        DeviceBuffer buffer = pool.allocate(SIZE);
        launch(buffer, 4);
        buffer.close();
        assertThatThrownBy(() -> {
                    DeviceBuffer other = pool.allocate(SIZE);
                    other.fill(0, SIZE, (byte) 1);
                })
                .isInstanceOf(IllegalStateException.class);
        assertThat(backend.violations()).extracting(Violation::type).containsExactly(Violation.Type.QUEUE_RACE);
        assertThat(stream.synchronize(Duration.ofDays(1))).isTrue();
    }

    private void launch(DeviceBuffer buffer, int generation) {
        try (PinnedRange range = ((PinnedRange.Source) buffer).pin()) {
            stream.submit(SimulatedKernel.lasting(Duration.ofSeconds(1))
                    .writing(range)
                    .doing(operands -> BytePattern.of(generation, generation).writeTo(operands.getFirst())));
        }
    }
}
