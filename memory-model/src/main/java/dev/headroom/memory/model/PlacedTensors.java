package dev.headroom.memory.model;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.model.placement.LayerPlace;
import dev.headroom.memory.model.placement.Placement;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;

/**
 * The tensors of a file, each with the device a placement gives it. Immutable.
 *
 * {@snippet lang = java :
 * PlacedTensors placed = PlacedTensors.of(file, placement);
 * LoadedModel model = ModelLoader.builder(main).pools(placed.pools(poolsById)).fallback(false).build().load(file);
 * }
 *
 * <p>A tensor goes where its layer goes, by the number in {@code blk.N.}; an expert's where the layer's experts go. An
 * embedding that is the output matrix too is loaded once, where the output goes. What belongs to no layer and is no
 * embedding goes where the output goes.
 */
public final class PlacedTensors {

    private final Map<String, String> devices;
    private final Map<String, Long> bytes;

    private PlacedTensors(Map<String, String> devices, Map<String, Long> bytes) {
        this.devices = Collections.unmodifiableMap(devices);
        this.bytes = Collections.unmodifiableMap(bytes);
    }

    /**
     * Finds the device of every tensor.
     *
     * @param file the file
     * @param placement where its parts go
     * @return the tensors
     * @throws IllegalArgumentException if the placement has no room, or is one of a model with fewer layers
     */
    public static PlacedTensors of(GgufFile file, Placement placement) {
        if (!placement.fits()) {
            throw new IllegalArgumentException("the placement has no room for the model: " + placement.explain());
        }
        Map<String, String> devices = new LinkedHashMap<>();
        Map<String, Long> bytes = new LinkedHashMap<>();
        for (GgufTensor tensor : file.tensors()) {
            String device = deviceOf(file, tensor, placement);
            devices.put(tensor.name(), device);
            bytes.merge(device, tensor.byteSize(), Long::sum);
        }
        return new PlacedTensors(devices, bytes);
    }

    /**
     * The device of one tensor.
     *
     * @param tensor its name
     * @return the device's id
     * @throws IllegalArgumentException if the file has no such tensor
     */
    public String deviceOf(String tensor) {
        String device = devices.get(tensor);
        if (device == null) {
            throw new IllegalArgumentException("there is no tensor " + ModelFileException.quote(tensor));
        }
        return device;
    }

    /**
     * The bytes that go to each device: what to reserve before loading.
     *
     * @return bytes by the ids of devices that get any
     */
    public Map<String, Long> bytesByDevice() {
        return bytes;
    }

    /**
     * The pools to load into.
     *
     * @param pools a pool for every device that gets a tensor, by the device's id
     * @return what {@link ModelLoader.Builder#pools} takes, for this file
     * @throws IllegalArgumentException if a pool is missing
     */
    public TensorPools pools(Map<String, GpuMemoryPool> pools) {
        Map<String, GpuMemoryPool> known = Map.copyOf(pools);
        for (String device : bytes.keySet()) {
            if (!known.containsKey(device)) {
                throw new IllegalArgumentException(
                        "there is no pool for " + device + "; there are pools for " + new TreeSet<>(known.keySet()));
            }
        }
        return tensor -> {
            String device = deviceOf(tensor.name());
            return Objects.requireNonNull(known.get(device), device);
        };
    }

    private static String deviceOf(GgufFile file, GgufTensor tensor, Placement placement) {
        String output = placement.outputDeviceId().orElseThrow();
        TensorRole role = TensorRole.of(tensor.name());
        if (role.layer().isEmpty()) {
            boolean embedding = role.part() == TensorRole.Part.EMBEDDING && !GgufLayers.isTiedEmbedding(file, tensor);
            return embedding ? placement.embeddingDeviceId().orElseThrow() : output;
        }
        int layer = role.layer().getAsInt();
        if (layer >= placement.layers().size()) {
            throw new IllegalArgumentException("tensor %s belongs to layer %d, but the placement has %d layers"
                    .formatted(
                            ModelFileException.quote(tensor.name()),
                            layer,
                            placement.layers().size()));
        }
        LayerPlace place = placement.layers().get(layer);
        return role.part() == TensorRole.Part.EXPERTS ? place.expertDeviceId() : place.deviceId();
    }
}
