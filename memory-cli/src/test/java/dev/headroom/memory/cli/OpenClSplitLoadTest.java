package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.BackendStatus;
import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufLayers;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelLoader;
import dev.headroom.memory.model.PlacedTensors;
import dev.headroom.memory.model.SyntheticWeights;
import dev.headroom.memory.model.WriteProgress;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model of eight layers of 1 MiB over an OpenCL device with a limit and the host; skipped where there is no OpenCL. */
class OpenClSplitLoadTest {

    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    @Test
    void overTheDeviceAndTheHost() throws IOException {
        Path path = folder.resolve("eight.gguf");
        GgufWriter.Builder builder = GgufWriter.builder();
        for (int i = 0; i < 8; i++) {
            builder.tensor("blk." + i + ".attn_q.weight", DataType.F32, 512, 512);
        }
        builder.build().write(path, new SyntheticWeights(5), WriteProgress.none());
        GgufFile file = GgufFile.read(path);
        MemoryConfig config = MemoryConfig.builder().limitBytes(6 * MIB).build();
        try (GpuMemory memory = GpuMemory.builder().config(config).open()) {
            GpuMemoryPool device = memory.pool(device(memory, "opencl"));
            GpuMemoryPool host = memory.pool(device(memory, "cpu"));
            PlacementMachine machine = PlacementMachine.of(
                    PlacementDevice.of(host.device().id(), memory.usableBytes(host.device())),
                    PlacementDevice.of(device.device().id(), memory.usableBytes(device.device())));
            Placement placement = PlacementPlanner.plan(
                    PlacementRequest.of(GgufLayers.of(file).toModel().build(), machine));
            assertThat(placement.kind()).as(placement.explain()).isEqualTo(PlacementKind.PARTLY_ON_HOST);
            assertThat(placement.layersOn(device.device().id())).isEqualTo(6);
            PlacedTensors placed = PlacedTensors.of(file, placement);
            ModelLoader loader = ModelLoader.builder(device)
                    .pools(placed.pools(
                            Map.of(device.device().id(), device, host.device().id(), host)))
                    .fallback(false)
                    .verify(true)
                    .build();
            try (LoadedModel model = loader.load(file)) {
                assertThat(model.stats().verified()).isTrue();
                assertThat(device.stats().inUseBytes()).isEqualTo(6 * MIB);
                assertThat(host.stats().inUseBytes()).isEqualTo(2 * MIB);
            }
        }
    }

    private static GpuDevice device(GpuMemory memory, String backend) {
        for (BackendStatus status : memory.backends()) {
            if (status.name().equals(backend) && status.reason().isPresent()) {
                System.out.println(
                        backend + " is not tested: " + status.reason().get());
                abort(status.reason().get());
            }
        }
        return memory.devices().stream()
                .filter(device -> device.backend().equals(backend))
                .findFirst()
                .orElseThrow();
    }
}
