package dev.headroom.examples;

import dev.headroom.memory.DataType;
import dev.headroom.memory.DeviceTensor;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TensorSpec;
import dev.headroom.memory.sim.SimulatedBackend;
import java.util.ArrayList;
import java.util.List;

/**
 * Where the parts of a small model go when the card is too small for all of it: the weights first and on the card or nowhere,
 * then a key-value cache per layer, which may fall back to the host.
 *
 * <p>Card and host are simulated, so that the card is too small on every machine. With real ones, {@code GpuMemory.open()}
 * takes the place of the builder.
 */
final class WeightsAndKvCache {

    private static final long MIB = 1L << 20;
    private static final int LAYERS = 8;
    private static final int WIDTH = 1024;
    private static final int CONTEXT = 2048;

    private WeightsAndKvCache() {}

    public static void main(String[] args) {
        MemoryConfig inference =
                MemoryConfig.forInference().toBuilder().minFreeBytes(0).build();
        try (GpuMemory memory = GpuMemory.builder()
                .backend(SimulatedBackend.card(64 * MIB))
                .backend(SimulatedBackend.host(1024 * MIB))
                .config(inference)
                .open()) {
            load(memory.pool(memory.devices().getFirst()));
        }
    }

    private static void load(GpuMemoryPool pool) {
        List<DeviceTensor> tensors = new ArrayList<>();
        try {
            TensorSpec weights = TensorSpec.of(DataType.Q8_0, 4 * WIDTH, WIDTH); // 4.25 MiB
            TensorSpec cache = TensorSpec.of(DataType.F16, 2, CONTEXT, WIDTH / 2); // 4 MiB, keys and values
            for (int layer = 0; layer < LAYERS; layer++) {
                tensors.add(DeviceTensor.allocate(pool, weights.named("layer " + layer + " weights")));
            }
            for (int layer = 0; layer < LAYERS; layer++) {
                tensors.add(DeviceTensor.allocateWithFallback(pool, cache.named("layer " + layer + " cache")));
            }
            for (DeviceTensor tensor : tensors) {
                System.out.println(tensor.buffer().location() + " " + tensor.spec());
            }
            System.out.println(pool.stats().cpuFallbacks() + " of " + LAYERS
                    + " caches are on the host; the card is at " + pool.pressure());
        } finally {
            tensors.forEach(DeviceTensor::close);
        }
    }
}
