package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DriverException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** One thread finds out that the device is lost while another one waits: its bytes have not come, and it must say so. */
class LossWhileWaitingTest {

    private static final long MIB = 1L << 20;

    private final SimulatedBackend backend = SimulatedBackend.card(1024 * MIB);

    @Test
    void a_copy_that_is_waited_for_fails() {
        try (GpuMemory memory = open();
                Arena arena = Arena.ofShared()) {
            PoolEngine pool = pool(memory);
            DeviceBuffer buffer = pool.allocate(MIB);
            loseWhileAnswering("await", pool.session());
            MemorySegment bytes = arena.allocate(MIB);
            assertThatThrownBy(() -> buffer.write(0, bytes)).isInstanceOf(DeviceLostException.class);
        }
    }

    @Test
    void the_future_of_a_copy_fails() {
        try (GpuMemory memory = open();
                Arena arena = Arena.ofShared()) {
            PoolEngine pool = pool(memory);
            DeviceBuffer buffer = pool.allocate(MIB);
            loseWhileAnswering("completed|await", pool.session());
            CompletableFuture<Void> read = buffer.readAsync(0, arena.allocate(MIB));
            assertThatThrownBy(() -> read.get(20, TimeUnit.SECONDS))
                    .isInstanceOf(ExecutionException.class)
                    .hasCauseInstanceOf(DeviceLostException.class);
        }
    }

    private GpuMemory open() {
        return GpuMemory.builder().backend(backend).clock(backend.clock()).open();
    }

    private static PoolEngine pool(GpuMemory memory) {
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }

    /** The next answer fails, and by the time it does the other thread has been told of the loss. */
    private void loseWhileAnswering(String operations, DeviceSession session) {
        backend.faults().add(FaultRule.on(operations).nth(1).throwing(() -> {
            session.lose(new DriverException(DriverException.Kind.DEVICE_LOST, 0, "submit", "told to another thread"));
            return new IllegalStateException("no answer");
        }));
    }
}
