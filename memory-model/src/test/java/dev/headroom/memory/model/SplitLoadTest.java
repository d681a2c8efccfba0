package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.DataType;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.model.placement.PlacementRequest;
import dev.headroom.memory.model.placement.SplitMode;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A plan carried out: a model of eight layers over three devices, and over a device and the host. */
class SplitLoadTest {

    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    private final FaultPlan faults = new FaultPlan();
    private final SimulatedBackend cards = SimulatedBackend.builder("cuda")
            .device(SimulatedDevice.builder("first").totalBytes(256 * MIB))
            .device(SimulatedDevice.builder("second").totalBytes(256 * MIB))
            .device(SimulatedDevice.builder("third").totalBytes(256 * MIB))
            .faults(faults)
            .build();
    private final SimulatedBackend host = SimulatedBackend.host(512 * MIB);
    private final Map<String, GpuMemoryPool> pools = new LinkedHashMap<>();
    private GpuMemory memory;
    private Path path;
    private GgufFile file;

    @BeforeEach
    void makeModel() throws IOException {
        path = folder.resolve("eight.gguf");
        file = write(path, "ffn_up.weight", true);
        memory = GpuMemory.builder()
                .backend(cards)
                .backend(host)
                .config(MemoryConfig.builder()
                        .fraction(1)
                        .minFreeBytes(0)
                        .waitTimeout(Duration.ZERO)
                        .build())
                .open();
        memory.devices().forEach(device -> pools.put(device.id(), memory.pool(device)));
    }

    /** Eight layers of 1.5 MiB and a little. */
    private static GgufFile write(Path path, String feedForward, boolean output) throws IOException {
        GgufWriter.Builder model = GgufWriter.builder().tensor("token_embd.weight", DataType.F16, 256, 1000);
        for (int layer = 0; layer < 8; layer++) {
            String prefix = "blk." + layer + ".";
            model.tensor(prefix + "attn_norm.weight", DataType.F32, 256)
                    .tensor(prefix + "attn_q.weight", DataType.Q8_0, 256, 777)
                    .tensor(prefix + feedForward, DataType.F32, 256, 1300 + layer);
        }
        model.tensor("output_norm.weight", DataType.F32, 256);
        if (output) {
            model.tensor("output.weight", DataType.F16, 256, 1000);
        }
        model.build().write(path, new SyntheticWeights(11), WriteProgress.none());
        return GgufFile.read(path);
    }

    @AfterEach
    void nothingIsLeft() {
        pools.values().forEach(pool -> assertThat(pool.stats().activeBuffers()).isZero());
        memory.close();
        cards.requireNoViolations();
        host.requireNoViolations();
        cards.devices()
                .forEach(card -> assertThat(card.ledger().isEmpty())
                        .as(card.ledger().describe())
                        .isTrue());
    }

    private Placement plan(SplitMode mode, long... usableMib) {
        PlacementDevice[] devices = new PlacementDevice[usableMib.length];
        for (int i = 0; i < usableMib.length; i++) {
            devices[i] = PlacementDevice.of("cuda:" + i, usableMib[i] * MIB);
        }
        PlacementMachine machine = PlacementMachine.of(PlacementDevice.of("cpu:0", 512 * MIB), devices);
        PlacementPolicy policy = new PlacementPolicy(mode, true, OptionalInt.empty());
        return PlacementPlanner.plan(
                PlacementRequest.of(GgufLayers.of(file).toModel().build(), machine)
                        .with(policy));
    }

    private ModelLoader loader(Placement placement) {
        return ModelLoader.builder(pools.get("cuda:0"))
                .pools(PlacedTensors.of(file, placement).pools(pools))
                .fallback(false)
                .verify(true)
                .build();
    }

    private void assertEveryByte(LoadedModel model, PlacedTensors placed) throws IOException {
        byte[] all = Files.readAllBytes(path);
        for (GgufTensor tensor : file.tensors()) {
            byte[] found = new byte[(int) tensor.byteSize()];
            model.buffer(tensor.name()).read(0, MemorySegment.ofArray(found));
            int start = (int) tensor.fileOffset();
            assertThat(Arrays.equals(all, start, start + found.length, found, 0, found.length))
                    .as(tensor.name())
                    .isTrue();
            assertThat(deviceOf(model, tensor.name())).as(tensor.name()).isEqualTo(placed.deviceOf(tensor.name()));
        }
    }

    private static String deviceOf(LoadedModel model, String tensor) {
        return model.buffer(tensor)
                .asGpu()
                .or(model.buffer(tensor)::asCpu)
                .orElseThrow()
                .pool()
                .device()
                .id();
    }

    @ParameterizedTest
    @EnumSource(SplitMode.class)
    void eightLayersOverThreeDevices(SplitMode mode) throws IOException {
        Placement placement = plan(mode, 6, 5, 5);
        assertThat(placement.kind()).isEqualTo(PlacementKind.SPLIT);
        PlacedTensors placed = PlacedTensors.of(file, placement);
        try (LoadedModel model = loader(placement).load(file)) {
            assertThat(model.stats().verified()).isTrue();
            assertThat(placed.bytesByDevice()).containsOnlyKeys("cuda:0", "cuda:1", "cuda:2", "cpu:0");
            placement
                    .shares()
                    .forEach(share ->
                            assertThat(placed.bytesByDevice()).containsEntry(share.deviceId(), share.usedBytes()));
            assertEveryByte(model, placed);
        }
    }

    @Test
    void overADeviceAndTheHost() throws IOException {
        Placement placement = plan(SplitMode.BALANCED, 7);
        assertThat(placement.kind()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
        assertThat(placement.layersOn("cuda:0")).isEqualTo(4);
        try (LoadedModel model = loader(placement).load(file)) {
            assertEveryByte(model, PlacedTensors.of(file, placement));
            assertThat(model.stats().fallbackBuffers())
                    .as("placed on the host, not fallen back to it")
                    .isZero();
            assertThat(model.buffer("token_embd.weight").isGpu()).isFalse();
            assertThat(model.buffer("blk.0.attn_q.weight").isGpu()).isFalse();
            assertThat(model.buffer("blk.7.attn_q.weight").isGpu()).isTrue();
        }
    }

    @Test
    void expertsAreLoadedToTheHost() throws IOException {
        path = folder.resolve("experts.gguf");
        file = write(path, "ffn_up_exps.weight", true);
        Placement placement = plan(SplitMode.BALANCED, 7);
        assertThat(placement.kind()).isEqualTo(PlacementKind.EXPERTS_ON_HOST);
        try (LoadedModel model = loader(placement).load(file)) {
            assertEveryByte(model, PlacedTensors.of(file, placement));
            assertThat(deviceOf(model, "blk.0.ffn_up_exps.weight")).isEqualTo("cpu:0");
            assertThat(deviceOf(model, "blk.0.attn_q.weight")).isEqualTo("cuda:0");
            assertThat(deviceOf(model, "blk.7.ffn_up_exps.weight")).isEqualTo("cuda:0");
        }
    }

    @Test
    void aTiedEmbeddingIsLoadedWhereTheOutputGoes() throws IOException {
        path = folder.resolve("tied.gguf");
        file = write(path, "ffn_up.weight", false);
        long embedding = file.tensor("token_embd.weight").orElseThrow().byteSize();
        GgufLayers layers = GgufLayers.of(file);
        assertThat(layers.embeddingBytes()).isEqualTo(embedding);
        assertThat(layers.outputBytes()).isEqualTo(embedding + 1024);
        Placement placement = plan(SplitMode.BALANCED, 200);
        assertThat(PlacedTensors.of(file, placement).bytesByDevice()).isEqualTo(Map.of("cuda:0", file.tensorBytes()));
    }

    /** The bytes of every device are set aside before the first is taken. */
    @Test
    void aPlanCanBeReserved() throws IOException {
        Placement placement = plan(SplitMode.BALANCED, 6, 7, 5);
        PlacedTensors placed = PlacedTensors.of(file, placement);
        Map<GpuDevice, Long> bytes = new HashMap<>();
        memory.devices().stream()
                .filter(device -> placed.bytesByDevice().containsKey(device.id()))
                .forEach(device -> bytes.put(device, placed.bytesByDevice().get(device.id())));
        try (Reservation reservation = memory.reserve(bytes)) {
            Map<String, GpuMemoryPool> reserved = new HashMap<>();
            reservation.devices().forEach(device -> reserved.put(device.id(), reservation.pool(device)));
            try (LoadedModel model = ModelLoader.builder(pools.get("cuda:0"))
                    .pools(placed.pools(reserved))
                    .verify(true)
                    .build()
                    .load(file)) {
                assertEveryByte(model, placed);
                assertThat(reservation.remainingBytes(memory.devices().getFirst()))
                        .isZero();
            }
        }
    }

    @Test
    void aDeviceThatIsFullHalfWayUndoesAll() {
        Placement placement = plan(SplitMode.BALANCED, 6, 7, 5);
        cards.device(2).occupy(255 * MIB);
        assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                .isThrownBy(() -> loader(placement).load(file));
        assertNothingAllocated();
    }

    @ParameterizedTest
    @EnumSource(value = DriverException.Kind.class, names = "DEVICE_LOST", mode = EnumSource.Mode.EXCLUDE)
    void aFailureOnOneDeviceUndoesAll(DriverException.Kind kind) {
        Placement placement = plan(SplitMode.BALANCED, 6, 7, 5);
        faults.add(FaultRule.on("submit").onDevice(1).skip(3).sticky().failing(kind, 999));
        faults.add(FaultRule.on("map").onDevice(1).skip(3).sticky().failing(kind, 999));
        assertThatExceptionOfType(GpuMemoryException.class)
                .isThrownBy(() -> loader(placement).load(file));
        assertNothingAllocated();
    }

    private void assertNothingAllocated() {
        for (GpuMemoryPool pool : pools.values()) {
            assertThat(pool.stats().activeBuffers()).isZero();
            assertThat(pool.awaitIdle(Duration.ofSeconds(10))).isTrue(); // copies that were under way
            pool.shrink(); // collects what was closed while a copy was under way
            assertThat(pool.stats().inUseBytes()).isZero();
            assertThat(pool.stats().totalAllocatedBytes()).isZero();
        }
    }

    @Test
    void aPlanOfAnotherModelIsRefusedBeforeAnythingIsAllocated() throws IOException {
        Placement placement = plan(SplitMode.BALANCED, 6, 7, 5);
        Path other = folder.resolve("nine.gguf");
        GgufWriter.builder()
                .tensor("blk.8.attn_q.weight", DataType.F32, 4)
                .build()
                .write(other, new SyntheticWeights(1), WriteProgress.none());
        GgufFile nine = GgufFile.read(other);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> PlacedTensors.of(nine, placement))
                .withMessage("tensor \"blk.8.attn_q.weight\" belongs to layer 8, but the placement has 8 layers");
        PlacedTensors placed = PlacedTensors.of(file, placement);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> loader(placement).load(nine))
                .withMessage("there is no tensor \"blk.8.attn_q.weight\"");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> placed.pools(Map.of("cuda:0", pools.get("cuda:0"))))
                .withMessageEndingWith("; there are pools for [cuda:0]");
        Placement nowhere = PlacementPlanner.plan(PlacementRequest.of(
                GgufLayers.of(file).toModel().build(), new PlacementMachine(List.of(), Optional.empty())));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> PlacedTensors.of(file, nowhere))
                .withMessageStartingWith("the placement has no room for the model: no room");
        assertThat(cards.device(0).ledger().calls("allocate")).isZero();
    }

    @Test
    void rolesGoByTheName() {
        assertThat(TensorRole.of("blk.12.attn_q.weight"))
                .isEqualTo(new TensorRole(TensorRole.Part.LAYER, OptionalInt.of(12)));
        assertThat(TensorRole.of("dec.blk.3.cross_attn_q.weight").layer()).hasValue(3);
        for (String experts : List.of("ffn_up_exps.weight", "ffn_gate_up_exps.weight", "ffn_down.7.weight")) {
            assertThat(TensorRole.of("blk.0." + experts).part()).isEqualTo(TensorRole.Part.EXPERTS);
        }
        for (String always : List.of("ffn_up_shexp.weight", "ffn_gate_inp.weight", "ffn_up.weight", "ssm_in.weight")) {
            assertThat(TensorRole.of("blk.0." + always).part()).isEqualTo(TensorRole.Part.LAYER);
        }
        for (String embedding : List.of("token_embd.weight", "per_layer_token_embd.weight", "position_embd.weight")) {
            assertThat(TensorRole.of(embedding).part()).isEqualTo(TensorRole.Part.EMBEDDING);
        }
        for (String other :
                List.of("output.weight", "output_norm.weight", "rope_freqs.weight", "blk.70000.x", "blk.x.y")) {
            assertThat(TensorRole.of(other)).isEqualTo(new TensorRole(TensorRole.Part.OUTPUT, OptionalInt.empty()));
        }
    }
}
