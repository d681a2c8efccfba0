package dev.headroom.memory.model.workspace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.model.LogCapture;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Level;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class WorkspaceTest {

    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;

    /** 64 MiB of weights and 4 MiB per row: 2112 MiB for the 512 rows a large card takes. */
    private static final WorkspaceLayer LAYER = new WorkspaceLayer(32, 1 << 20, QuantizationType.I2S);

    private static final WorkspacePlanner PLANNER = WorkspacePlanner.standard();

    private final FaultPlan faults = new FaultPlan();
    private final SimulatedBackend card = SimulatedBackend.builder("cuda")
            .device(SimulatedDevice.builder("card").totalBytes(24 * GIB).withoutContents())
            .device(SimulatedDevice.builder("small").totalBytes(8 * GIB).withoutContents())
            .faults(faults)
            .build();
    private final SimulatedDevice device = card.device(0);
    private final GpuMemory memory = GpuMemory.builder()
            .backend(card)
            .config(MemoryConfig.builder()
                    .fraction(1)
                    .minFreeBytes(0)
                    .waitTimeout(Duration.ZERO)
                    .build())
            .open();
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());

    @AfterEach
    void nothingIsLeft() {
        assertThat(pool.stats().activeBuffers()).isZero();
        memory.close();
        card.requireNoViolations();
        assertThat(device.ledger().isEmpty()).as(device.ledger().describe()).isTrue();
    }

    @Test
    void aWorkspaceIsRealMemory() {
        try (Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            assertThat(workspace.plan().batchSize()).isEqualTo(512);
            assertThat(workspace.plan().workspaceBytes()).isEqualTo(2112 * MIB);
            assertThat(workspace.buffer().byteSize()).isEqualTo(2112 * MIB);
            assertThat(device.ledger().liveBytes()).isEqualTo(2112 * MIB);
            assertThat(workspace).hasToString("Workspace[2214592512 bytes, batch 512 on cuda:0]");
        }
    }

    @Test
    void withRoomItStays() {
        try (Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            DeviceBuffer before = workspace.buffer();
            assertThat(workspace.shrinkUnderPressure()).isZero();
            assertThat(workspace.buffer()).isSameAs(before);
        }
    }

    /** The other program leaves 1500 MiB available: 1136 MiB spare are 284 rows, and 60 % of it is 900 MiB. */
    @Test
    void underPressureBytesGoBackToTheDriver() {
        try (LogCapture log = new LogCapture();
                Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            DeviceBuffer before = workspace.buffer();
            leaveAvailable(1500 * MIB);
            assertThat(workspace.shrinkUnderPressure()).isEqualTo(1212 * MIB);
            assertThat(workspace.plan().workspaceBytes()).isEqualTo(900 * MIB);
            assertThat(workspace.plan().batchSize()).isEqualTo(284);
            assertThat(workspace.plan().fittingBatch()).isEqualTo(209);
            assertThat(workspace.buffer().byteSize()).isEqualTo(900 * MIB);
            assertThat(device.ledger().liveBytes()).isEqualTo(900 * MIB);
            assertThat(device.ledger().calls("free")).isEqualTo(1);
            assertThatExceptionOfType(BufferClosedException.class).isThrownBy(() -> before.fill(0, 1, (byte) 0));
            assertThat(log.messages(Level.WARNING))
                    .containsExactly("workspace on cuda:0 shrinks from 2.06 GiB to 900 MiB: 1.46 GiB was available");
            assertThat(workspace.shrinkUnderPressure()).as("enough is left now").isZero();
        }
    }

    @Test
    void itNeverGrowsAgain() {
        try (LogCapture log = new LogCapture();
                Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            leaveAvailable(1500 * MIB);
            workspace.shrinkUnderPressure();
            device.occupy(0);
            assertThat(workspace.shrinkUnderPressure()).isZero();
            assertThat(workspace.plan().workspaceBytes()).isEqualTo(900 * MIB);
            leaveAvailable(800 * MIB);
            assertThat(workspace.shrinkUnderPressure()).isEqualTo(420 * MIB);
            assertThat(device.ledger().liveBytes()).isEqualTo(480 * MIB);
            assertThat(log.messages(Level.WARNING)).hasSize(2);
        }
    }

    @Test
    void whereNoSmallerOneIsOfUseItStaysAndSaysSo() {
        try (LogCapture log = new LogCapture();
                Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            DeviceBuffer before = workspace.buffer();
            leaveAvailable(80 * MIB);
            assertThat(workspace.shrinkUnderPressure()).isZero();
            assertThat(workspace.buffer()).isSameAs(before);
            assertThat(log.messages(Level.WARNING))
                    .containsExactly("workspace on cuda:0 stays at 2.06 GiB although memory is short: cuda:0 has too"
                            + " little memory: the layer's weights and the smallest workspace need 80 MiB, and 80 MiB is"
                            + " available; free memory there, use another device, or lower minWorkspaceBytes");
        }
    }

    @Test
    void aRefusalWhileShrinkingClosesItAndLeaksNothing() {
        try (LogCapture log = new LogCapture();
                Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            leaveAvailable(1500 * MIB);
            faults.add(FaultRule.on("allocate").sticky().failing(DriverException.Kind.OUT_OF_MEMORY, 2));
            assertThatExceptionOfType(WorkspaceAllocationFailedException.class)
                    .isThrownBy(workspace::shrinkUnderPressure)
                    .withMessageStartingWith("cuda:0: a workspace of 900 MiB was refused: ")
                    .matches(e -> e.requestedBytes() == 900 * MIB && e.minimumRequiredBytes() == 16 * MIB);
            assertThat(device.ledger().liveBytes()).isZero();
            assertThatExceptionOfType(BufferClosedException.class)
                    .isThrownBy(workspace::buffer)
                    .withMessage("the workspace is closed");
            assertThat(workspace).hasToString("Workspace[CLOSED on cuda:0]");
            assertThat(log.messages(Level.WARNING)).noneMatch(line -> line.contains("shrinks"));
        }
    }

    /** The driver refuses once, so the pool asks its listener, on the thread that shrinks and in the middle of that. */
    @Test
    @SuppressWarnings("try") // closing it there is what is tested
    void closingItWhileItShrinksLeaksNothing() {
        List<String> seen = new ArrayList<>();
        try (LogCapture log = new LogCapture();
                Workspace workspace = Workspace.open(pool, PLANNER, LAYER)) {
            pool.addPressureListener((_, _, _) -> {
                assertThatIllegalStateException()
                        .isThrownBy(workspace::buffer)
                        .withMessage("the workspace is being made smaller by another thread; try again");
                assertThat(workspace.shrinkUnderPressure()).isZero();
                seen.add(workspace.toString());
                workspace.close();
                return 1;
            });
            leaveAvailable(1500 * MIB);
            faults.add(FaultRule.on("allocate").times(1).failing(DriverException.Kind.OUT_OF_MEMORY, 2));
            workspace.shrinkUnderPressure();
            assertThat(seen).containsExactly("Workspace[SHRINKING on cuda:0]");
            assertThatExceptionOfType(BufferClosedException.class).isThrownBy(workspace::buffer);
            assertThat(pool.stats().activeBuffers()).isZero();
            assertThat(log.messages(Level.SEVERE)).isEmpty();
        }
    }

    @Test
    void aRefusedWorkspaceIsNotOpened() {
        try (DeviceBuffer other = pool.allocate(100 * MIB)) {
            faults.add(FaultRule.on("allocate").sticky().failing(DriverException.Kind.OUT_OF_MEMORY, 2));
            assertThatExceptionOfType(WorkspaceAllocationFailedException.class)
                    .isThrownBy(() -> Workspace.open(pool, PLANNER, LAYER))
                    .withMessageStartingWith("cuda:0: a workspace of 2.06 GiB was refused: ")
                    .withRootCauseInstanceOf(DriverException.class);
            assertThat(other.byteSize()).isEqualTo(100 * MIB);
        }
    }

    @Test
    void closingTwiceDoesNothing() {
        Workspace workspace = Workspace.open(pool, PLANNER, LAYER);
        workspace.close();
        workspace.close();
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(workspace::plan);
        assertThatExceptionOfType(BufferClosedException.class).isThrownBy(workspace::shrinkUnderPressure);
    }

    @Test
    void eachDeviceHasItsOwnFigures() {
        GpuMemoryInfo large = GpuMemoryInfo.query(memory, memory.devices().get(0));
        GpuMemoryInfo small = GpuMemoryInfo.query(memory, memory.devices().get(1));
        assertThat(large).isEqualTo(GpuMemoryInfo.of(24 * GIB, 24 * GIB, "cuda:0"));
        assertThat(small).isEqualTo(GpuMemoryInfo.of(8 * GIB, 8 * GIB, "cuda:1"));
        assertThat(GpuMemoryInfo.query(pool)).isEqualTo(large);
    }

    @Test
    void aDriverThatDoesNotAnswerIsATypedError() {
        faults.add(FaultRule.on("budget").sticky().failing(DriverException.Kind.UNEXPECTED, 999));
        assertThatExceptionOfType(GpuMemoryQueryException.class)
                .isThrownBy(() -> Workspace.open(pool, PLANNER, LAYER))
                .withMessageStartingWith("the memory of cuda:0 cannot be queried: ")
                .matches(e -> e.deviceId().equals("cuda:0"));
        assertThatExceptionOfType(GpuMemoryQueryException.class)
                .isThrownBy(() -> GpuMemoryInfo.query(memory, memory.devices().get(1)))
                .matches(e -> e.deviceId().equals("cuda:1"));
    }

    /** Sets what the other program holds, so that so much is available beside the tenth that is set aside. */
    private void leaveAvailable(long bytes) {
        long ours = device.memory().usedBytes();
        long reserved = 24 * GIB / 10;
        device.occupy(24 * GIB - ours - reserved - bytes);
    }
}
