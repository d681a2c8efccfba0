package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.DataType;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorRebalancerTest {

    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    private final SimulatedBackend cards = SimulatedBackend.builder("cuda")
            .device(SimulatedDevice.builder("first").totalBytes(64 * MIB).hostVisibleMemory())
            .device(SimulatedDevice.builder("second").totalBytes(64 * MIB))
            .build();
    private final SimulatedBackend host = SimulatedBackend.host(256 * MIB);
    private final GpuMemory memory = GpuMemory.builder()
            .backend(cards)
            .backend(host)
            .config(MemoryConfig.builder()
                    .fraction(1)
                    .minFreeBytes(0)
                    .waitTimeout(Duration.ZERO)
                    .build())
            .open();
    private final Map<String, GpuMemoryPool> pools = new HashMap<>();
    private Path path;
    private GgufFile file;
    private LoadedModel model;

    @BeforeEach
    void load() throws IOException {
        path = folder.resolve("model.gguf");
        GgufWriter.builder()
                .tensor("blk.0.ffn_up.weight", DataType.F32, 256, 4096)
                .tensor("blk.0.attn_q.weight", DataType.F32, 256, 1024)
                .tensor("blk.1.ffn_up.weight", DataType.F32, 256, 8192)
                .tensor("blk.1.attn_q.weight", DataType.F32, 256, 2048)
                .tensor("output.weight", DataType.F32, 256, 4096)
                .build()
                .write(path, new SyntheticWeights(3), WriteProgress.none());
        file = GgufFile.read(path);
        memory.devices().forEach(device -> pools.put(device.id(), memory.pool(device)));
        model = ModelLoader.of(pools.get("cuda:0")).load(file);
    }

    @AfterEach
    void nothingIsLost() throws IOException {
        byte[] all = Files.readAllBytes(path);
        for (GgufTensor tensor : file.tensors()) {
            byte[] found = new byte[(int) tensor.byteSize()];
            model.buffer(tensor.name()).read(0, MemorySegment.ofArray(found));
            int start = (int) tensor.fileOffset();
            assertThat(Arrays.equals(all, start, start + found.length, found, 0, found.length))
                    .as(tensor.name())
                    .isTrue();
        }
        model.close();
        pools.values().forEach(pool -> assertThat(pool.stats().activeBuffers()).isZero());
        memory.close();
        cards.requireNoViolations();
        host.requireNoViolations();
    }

    private TensorRebalancer rebalancer(TensorAffinity affinity) {
        return TensorRebalancer.of(model, pools, affinity);
    }

    private long bytesOn(String device) {
        return pools.get(device).stats().inUseBytes();
    }

    @Test
    void tensorsGoWhereTheyWouldRatherLie() {
        TensorAffinity affinity = TensorAffinity.none()
                .with("blk.0.*", "cuda:0")
                .with("blk.*.ffn_*.weight", "cpu:0")
                .with("output.weight", "cuda:1");
        assertThat(affinity.deviceOf("blk.0.ffn_up.weight")).contains("cuda:0");
        assertThat(affinity.deviceOf("blk.1.ffn_up.weight")).contains("cpu:0");
        assertThat(affinity.deviceOf("blk.1.attn_q.weight")).isEmpty();
        assertThat(affinity.deviceOf("output.weight.more")).isEmpty();
        MoveReport report = rebalancer(affinity).apply();
        assertThat(report.moved()).containsExactly("blk.1.ffn_up.weight", "output.weight");
        assertThat(report.movedBytes()).isEqualTo(12 * MIB);
        assertThat(report.refused()).isEmpty();
        assertThat(bytesOn("cuda:0")).isEqualTo(7 * MIB);
        assertThat(bytesOn("cuda:1")).isEqualTo(4 * MIB);
        assertThat(bytesOn("cpu:0")).isEqualTo(8 * MIB);
        assertThat(rebalancer(affinity).apply().moved()).as("all are there now").isEmpty();
    }

    @Test
    void roomIsMadeWithTheLeastReluctantFirst() {
        TensorAffinity affinity =
                TensorAffinity.none().with("blk.1.ffn_up.weight", "cuda:0").with("blk.0.attn_q.weight", "cpu:0");
        MoveReport report = rebalancer(affinity).free("cuda:0", 5 * MIB, "cpu:0");
        assertThat(report.moved()).containsExactly("blk.0.attn_q.weight", "blk.0.ffn_up.weight");
        assertThat(report.movedBytes()).isEqualTo(5 * MIB);
        report = rebalancer(affinity).free("cuda:0", 100 * MIB, "cpu:0");
        assertThat(report.moved()).containsExactly("output.weight", "blk.1.attn_q.weight", "blk.1.ffn_up.weight");
        assertThat(bytesOn("cuda:0")).isZero();
        assertThat(pools.get("cuda:0").shrink()).isPositive();
        assertThat(rebalancer(affinity).free("cuda:0", 1, "cpu:0").movedBytes()).isZero();
    }

    @Test
    void aTensorInUseStays() {
        DeviceBuffer used = model.buffer("output.weight").asGpu().orElseThrow();
        try (HostView view = used.map()) {
            MoveReport report =
                    rebalancer(TensorAffinity.none().with("output.*", "cpu:0")).apply();
            assertThat(view.segment().byteSize()).isEqualTo(4 * MIB);
            assertThat(report.moved()).isEmpty();
            assertThat(report.refused()).singleElement().satisfies(refusal -> {
                assertThat(refusal.tensor()).isEqualTo("output.weight");
                assertThat(refusal.reason()).contains("is in use: close its views");
            });
        }
        assertThat(rebalancer(TensorAffinity.none())
                        .move("output.weight", "cpu:0")
                        .moved())
                .containsExactly("output.weight");
    }

    @Test
    void whatTheTargetHasNoRoomForStays() {
        cards.device(1).occupy(60 * MIB);
        MoveReport report =
                rebalancer(TensorAffinity.none().with("*", "cuda:1")).apply();
        assertThat(report.moved()).containsExactly("blk.0.ffn_up.weight");
        assertThat(report.refused()).hasSize(4);
        assertThat(bytesOn("cuda:0")).isEqualTo(15 * MIB);
    }

    /** 19 MiB of tensors and 45 MiB of something else fill the device; the largest tensor is as large as what is wanted. */
    @Test
    void aFullPoolCanPushTensorsAway() {
        GpuMemoryPool pool = pools.get("cuda:0");
        try (DeviceBuffer block = pool.allocate(32 * MIB);
                DeviceBuffer rest = pool.allocate(13 * MIB)) {
            assertThat(block.byteSize() + rest.byteSize()).isEqualTo(45 * MIB);
            assertThatExceptionOfType(DeviceOutOfMemoryException.class).isThrownBy(() -> pool.allocate(8 * MIB));
            PressureListener listener = rebalancer(TensorAffinity.none()).relieving("cuda:0", "cpu:0");
            pool.addPressureListener(listener);
            try (DeviceBuffer more = pool.allocate(8 * MIB)) {
                assertThat(more.byteSize()).isEqualTo(8 * MIB);
                assertThat(bytesOn("cpu:0")).isEqualTo(8 * MIB);
            } finally {
                pool.removePressureListener(listener);
            }
        }
    }

    @Test
    void wrongArgumentsAreRefused() {
        TensorRebalancer rebalancer =
                rebalancer(TensorAffinity.none().with("blk.*", "cuda:0").with("*", "cuda:7"));
        assertThatIllegalArgumentException()
                .isThrownBy(rebalancer::apply)
                .withMessage("there is no pool for cuda:7; there are pools for [cpu:0, cuda:0, cuda:1]");
        assertThatIllegalArgumentException().isThrownBy(() -> rebalancer.move("none", "cuda:0"));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> rebalancer.free("cuda:0", 1, "cuda:0"))
                .withMessage("tensors cannot be moved from cuda:0 to itself");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> rebalancer.free("cuda:0", 0, "cpu:0"))
                .withMessage("bytes is 0: must be above 0");
    }
}
