package dev.headroom.examples;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelLoader;
import dev.headroom.memory.model.MoveReport;
import dev.headroom.memory.model.PoolPlacement;
import dev.headroom.memory.model.SyntheticWeights;
import dev.headroom.memory.model.TensorAffinity;
import dev.headroom.memory.model.TensorRebalancer;
import dev.headroom.memory.model.WriteProgress;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A model of eight layers over two cards and the host by plan, and tensors moved between them later: those that would rather lie
 * elsewhere, and as many as another needs room for.
 *
 * <p>The cards are simulated ones, so that the model is too large for them on every machine: 512 MiB of each are kept free.
 */
final class SplitAndRebalance {

    private static final long MIB = 1L << 20;

    private SplitAndRebalance() {}

    public static void main(String[] args) throws IOException {
        Path path = Files.createTempFile("eight-layers", ".gguf");
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("larger card").totalBytes(524 * MIB))
                .device(SimulatedDevice.builder("smaller card").totalBytes(520 * MIB))
                .build();
        try (GpuMemory memory = GpuMemory.builder()
                .backend(cards)
                .backend(SimulatedBackend.host(2048 * MIB))
                .open()) {
            run(memory, model(path));
        } finally {
            Files.deleteIfExists(path);
        }
    }

    private static void run(GpuMemory memory, GgufFile file) throws IOException {
        Map<String, GpuMemoryPool> pools = new HashMap<>();
        Map<String, PlacementDevice> places = new HashMap<>();
        for (GpuDevice device : memory.devices()) {
            pools.put(device.id(), memory.pool(device));
            places.put(device.id(), PlacementDevice.of(device.id(), memory.usableBytes(device)));
        }
        PlacementDevice host = places.remove("cpu:0");
        PlacementMachine machine = new PlacementMachine(places.values().stream().toList(), Optional.ofNullable(host));

        PoolPlacement plan = PoolPlacement.plan(file, machine, PlacementPolicy.defaults(), id -> pool(memory, id));
        System.out.println(plan.placement().explain());
        try (Reservation reservation = plan.reserve(memory);
                LoadedModel model = ModelLoader.builder(pool(memory, "cuda:0"))
                        .pools(plan.pools(reservation))
                        .fallback(false)
                        .verify(true)
                        .build()
                        .load(file)) {
            System.out.println("loaded, " + model.stats().fallbackBuffers() + " of "
                    + model.stats().tensors() + " tensors fell back");

            TensorAffinity affinity = TensorAffinity.none().with("blk.*.ffn_up.weight", "cpu:0");
            TensorRebalancer rebalancer = TensorRebalancer.of(model, pools, affinity);
            print("to free 3 MiB", rebalancer.free("cuda:0", 3 * MIB, "cpu:0"));
            print("by name", rebalancer.apply());
            print("by hand", rebalancer.move("blk.0.attn_q.weight", "cuda:1"));
        }
    }

    private static GpuMemoryPool pool(GpuMemory memory, String id) {
        return memory.devices().stream()
                .filter(device -> device.id().equals(id))
                .findFirst()
                .map(memory::pool)
                .orElseThrow();
    }

    private static void print(String why, MoveReport moves) {
        System.out.println(why + ": " + moves.moved().size() + " moved, " + ByteSize.format(moves.movedBytes()) + "; "
                + moves.refused().size() + " refused");
    }

    /** Layers of 1 MiB and 2 MiB. */
    private static GgufFile model(Path path) throws IOException {
        GgufWriter.Builder model = GgufWriter.builder();
        for (int layer = 0; layer < 8; layer++) {
            model.tensor("blk." + layer + ".attn_q.weight", DataType.F32, 512, 512)
                    .tensor("blk." + layer + ".ffn_up.weight", DataType.F32, 512, 1024);
        }
        model.build().write(path, new SyntheticWeights(1), WriteProgress.none());
        return GgufFile.read(path);
    }
}
