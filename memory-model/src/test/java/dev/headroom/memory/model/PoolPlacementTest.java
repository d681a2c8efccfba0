package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DataType;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.model.placement.PlacementRequest;
import dev.headroom.memory.model.placement.SplitMode;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.KindTraits;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A plan that says the model fits is carried out to the last tensor, on the devices it names. */
class PoolPlacementTest {

    private static final long KIB = 1L << 10;
    private static final long TOTAL = 1L << 30;
    private static final int CASES = 500;
    private static final int MANY = 5000;

    /** Of so many plans one is loaded with all bytes; of the others the buffers are allocated as a loader does. */
    private static final int LOADED = 20;

    /** Blocks of a few hundred KiB are too small to copy through. */
    private static final KindTraits STAGING =
            KindTraits.hostVisible(KindTraits.Placement.HOST, 4 * KIB, 4 * KIB, TOTAL);

    @TempDir
    Path folder;

    private static MemoryConfig config() {
        return MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .waitTimeout(Duration.ZERO)
                .build();
    }

    private GgufFile model(Random random, boolean data) throws IOException {
        GgufWriter.Builder model = GgufWriter.builder();
        boolean tied = random.nextInt(3) == 0;
        model.tensor("token_embd.weight", DataType.F32, 1 + random.nextInt(60_000));
        int layers = 1 + random.nextInt(12);
        String feedForward = random.nextInt(4) == 0 ? "ffn_up_exps.weight" : "ffn_up.weight";
        boolean even = random.nextBoolean();
        int first = 1 + random.nextInt(120_000);
        for (int i = 0; i < layers; i++) {
            model.tensor("blk." + i + ".attn_norm.weight", DataType.F32, 1 + random.nextInt(500))
                    .tensor("blk." + i + ".attn_q.weight", DataType.F32, even ? first : 1 + random.nextInt(60_000))
                    .tensor("blk." + i + "." + feedForward, DataType.F32, even ? first : 1 + random.nextInt(120_000));
        }
        model.tensor("output_norm.weight", DataType.F32, 1 + random.nextInt(500));
        if (!tied) {
            model.tensor("output.weight", DataType.F32, 1 + random.nextInt(60_000));
        }
        Path path = folder.resolve("model.gguf");
        if (data) {
            model.build().write(path, new SyntheticWeights(random.nextInt()), WriteProgress.none());
        } else {
            model.build().writeSparse(path);
        }
        return GgufFile.read(path);
    }

    private static SimulatedBackend cards(Random random) {
        SimulatedBackend.Builder cards = SimulatedBackend.builder("cuda");
        for (int i = random.nextInt(3); i >= 0; i--) {
            SimulatedDevice.Builder card =
                    SimulatedDevice.builder("card " + i).totalBytes(TOTAL).granularity(256L << random.nextInt(10));
            if (random.nextInt(4) > 0) {
                card.maxBlockBytes((2 + random.nextInt(30)) * 128 * KIB)
                        .kind(MemoryKind.UPLOAD, STAGING)
                        .kind(MemoryKind.READBACK, STAGING);
            }
            if (random.nextInt(4) == 0) {
                card.virtualMemory((4 * KIB) << random.nextInt(6));
            }
            cards.device(card);
        }
        return cards.build();
    }

    private static PlacementMachine machine(GpuMemory memory, Random random) {
        List<PlacementDevice> devices = new ArrayList<>();
        Optional<PlacementDevice> host = Optional.empty();
        for (var device : memory.devices()) {
            PlacementDevice place = PlacementDevice.of(device.id(), memory.usableBytes(device))
                    .withMargin(random.nextInt(3) == 0 ? random.nextLong(200 * KIB) : 0);
            if (device.backend().equals("cpu")) {
                host = Optional.of(place);
            } else {
                devices.add(place);
            }
        }
        return new PlacementMachine(devices, random.nextInt(4) == 0 ? Optional.empty() : host);
    }

    @Test
    void whatFitsByPlanIsLoadedWithoutAFallback() throws IOException {
        tryOut(0, CASES);
    }

    @Test
    @Tag("long")
    void onThousandsOfMachines() throws IOException {
        int bySum = tryOut(CASES, MANY);
        assertThat(bySum)
                .as("cases in which the sums fit and the blocks do not")
                .isPositive();
    }

    private int tryOut(int from, int to) throws IOException {
        Map<PlacementKind, Integer> seen = new EnumMap<>(PlacementKind.class);
        int bySum = 0;
        int moreThanSum = 0;
        for (long seed = from; seed < to; seed++) {
            Random random = new Random(seed);
            GgufFile file = model(random, seed % LOADED == 0);
            SimulatedBackend cards = cards(random);
            SimulatedBackend host = SimulatedBackend.host(TOTAL);
            for (SimulatedDevice card : cards.devices()) {
                card.occupy(TOTAL - random.nextLong(file.tensorBytes() + 512 * KIB));
            }
            host.device(0).occupy(TOTAL - random.nextLong(2 * file.tensorBytes()));
            PlacementPolicy policy =
                    new PlacementPolicy(SplitMode.values()[random.nextInt(3)], true, OptionalInt.empty());
            try (GpuMemory memory = GpuMemory.builder()
                    .backend(cards)
                    .backend(host)
                    .config(config())
                    .open()) {
                Map<String, GpuMemoryPool> pools = new HashMap<>();
                memory.devices().forEach(device -> pools.put(device.id(), memory.pool(device)));
                PlacementMachine machine = machine(memory, random);
                PoolPlacement plan = PoolPlacement.plan(file, machine, policy, pools::get);
                seen.merge(plan.placement().kind(), 1, Integer::sum);
                if (!plan.placement().fits()) {
                    Placement sums = PlacementPlanner.plan(
                            PlacementRequest.of(GgufLayers.of(file).toLoad().build(), machine)
                                    .with(policy));
                    bySum += sums.fits() ? 1 : 0;
                    continue;
                }
                carryOut("seed " + seed, memory, file, machine, plan, pools, seed % LOADED == 0);
                moreThanSum += plan.takenBytes().equals(plan.tensors().bytesByDevice()) ? 0 : 1;
            }
            cards.requireNoViolations();
            host.requireNoViolations();
        }
        assertThat(seen).containsKeys(PlacementKind.values());
        assertThat(moreThanSum).isGreaterThan((to - from) / 2);
        return bySum;
    }

    private static void carryOut(
            String which,
            GpuMemory memory,
            GgufFile file,
            PlacementMachine machine,
            PoolPlacement plan,
            Map<String, GpuMemoryPool> pools,
            boolean load)
            throws IOException {
        plan.takenBytes().forEach((id, bytes) -> {
            PlacementDevice place = machine.devices().stream()
                    .filter(device -> device.id().equals(id))
                    .findFirst()
                    .or(machine::host)
                    .orElseThrow();
            assertThat(bytes).as(which).isLessThanOrEqualTo(place.usableBytes() - place.marginBytes());
        });
        assertThat(plan.placement().shares()).as(which).allMatch(share -> share.spareBytes() >= 0);
        List<FallbackBuffer> buffers = new ArrayList<>();
        try (Reservation reservation = plan.reserve(memory)) {
            TensorPools targets = plan.pools(reservation);
            if (load) {
                try (LoadedModel model = ModelLoader.builder(pools.get("cuda:0"))
                        .pools(targets)
                        .verify(true)
                        .build()
                        .load(file)) {
                    assertThat(model.stats().fallbackBuffers()).as(which).isZero();
                }
                return;
            }
            for (GgufTensor tensor : file.tensors()) {
                buffers.add(targets.poolOf(tensor).allocateWithFallback(AllocationRequest.of(tensor.byteSize())));
            }
        }
        for (int i = 0; i < buffers.size(); i++) {
            FallbackBuffer buffer = buffers.get(i);
            assertThat(buffer.isCpuFallback()).as(which).isFalse();
            assertThat(buffer.asGpu()
                            .or(buffer::asCpu)
                            .orElseThrow()
                            .pool()
                            .device()
                            .id())
                    .as(which)
                    .isEqualTo(plan.tensors().deviceOf(file.tensors().get(i).name()));
        }
        plan.takenBytes()
                .forEach((id, bytes) -> assertThat(pools.get(id).stats().totalAllocatedBytes())
                        .as(which)
                        .isLessThanOrEqualTo(bytes));
        buffers.forEach(FallbackBuffer::close);
    }

    /** Two matrices of 3 MiB to a block of 8 MiB: four do not fit into 13 MiB, though their sum does. */
    @Test
    void theSumIsNotEnough() throws IOException {
        GgufWriter.Builder model = GgufWriter.builder();
        for (int i = 0; i < 4; i++) {
            model.tensor("blk." + i + ".attn_q.weight", DataType.F32, 768 * KIB);
        }
        Path path = folder.resolve("four.gguf");
        model.build().writeSparse(path);
        GgufFile file = GgufFile.read(path);
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("card")
                        .totalBytes(TOTAL)
                        .granularity(1024 * KIB)
                        .maxBlockBytes(8 * 1024 * KIB))
                .build();
        cards.device(0).occupy(TOTAL - 13 * 1024 * KIB);
        SimulatedBackend host = SimulatedBackend.host(TOTAL);
        try (GpuMemory memory = GpuMemory.builder()
                .backend(cards)
                .backend(host)
                .config(config())
                .open()) {
            PlacementMachine machine = PlacementMachine.of(
                    PlacementDevice.of("cpu:0", TOTAL), PlacementDevice.of("cuda:0", 13 * 1024 * KIB));
            PoolPlacement plan = PoolPlacement.plan(file, machine, PlacementPolicy.defaults(), id -> pool(memory, id));
            assertThat(plan.placement().layersOn("cuda:0")).isEqualTo(3);
            assertThat(plan.takenBytes()).containsEntry("cuda:0", 11 * 1024 * KIB);
            assertThat(plan.placement().shares().getFirst().marginBytes())
                    .as("nobody asked for one")
                    .isZero();
            PoolPlacement none = PoolPlacement.plan(
                    file, machine, PlacementPolicy.defaults().withoutHostLayers(), id -> pool(memory, id));
            assertThat(none.placement().fits()).isFalse();
            assertThat(none.takenBytes()).isEmpty();
            assertThatIllegalStateException()
                    .isThrownBy(none::tensors)
                    .withMessageStartingWith("the placement has no room for the model: no room");
        }
    }

    private static GpuMemoryPool pool(GpuMemory memory, String id) {
        return memory.pool(memory.devices().stream()
                .filter(device -> device.id().equals(id))
                .findFirst()
                .orElseThrow());
    }

    /** A matrix no block of the first card can hold goes to the second, with all else that is its layer's. */
    @Test
    void aTensorThatIsTooLargeForADeviceGoesElsewhere() throws IOException {
        Path path = folder.resolve("large.gguf");
        GgufWriter.builder()
                .tensor("blk.0.attn_q.weight", DataType.F32, 768 * KIB)
                .build()
                .writeSparse(path);
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("small blocks")
                        .totalBytes(TOTAL / 2)
                        .maxBlockBytes(2 * 1024 * KIB))
                .device(SimulatedDevice.builder("large blocks").totalBytes(TOTAL))
                .build();
        try (GpuMemory memory =
                GpuMemory.builder().backend(cards).config(config()).open()) {
            PoolPlacement plan = PoolPlacement.plan(
                    GgufFile.read(path),
                    PlacementMachine.ofDevices(
                            PlacementDevice.of("cuda:0", TOTAL / 2), PlacementDevice.of("cuda:1", TOTAL)),
                    PlacementPolicy.defaults(),
                    id -> pool(memory, id));
            assertThat(plan.tensors().deviceOf("blk.0.attn_q.weight")).isEqualTo("cuda:1");
        }
    }
}
