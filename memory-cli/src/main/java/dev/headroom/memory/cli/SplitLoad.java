package dev.headroom.memory.cli;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Selection;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufLayers;
import dev.headroom.memory.model.GgufTensor;
import dev.headroom.memory.model.PlacedTensors;
import dev.headroom.memory.model.TensorPools;
import dev.headroom.memory.model.placement.DeviceShare;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.model.placement.PlacementRequest;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * A load over several pools, for a model that no single device has room for.
 *
 * @param placement where its parts go
 * @param tensors   the device of every tensor
 * @param main      the first device that gets any, and is not the host
 */
record SplitLoad(Placement placement, PlacedTensors tensors, GpuDevice main) {

    /**
     * Finds a split, where that is better than what was selected: devices alone are better than the host, and anything is
     * better than nothing. Where only the host was asked for there is none.
     */
    static Optional<SplitLoad> find(
            GpuMemory memory,
            GgufFile file,
            Selection selection,
            ToLongFunction<GpuDevice> learned,
            boolean hostAllowed) {
        boolean hostHasAll = selection
                .chosen()
                .filter(device -> device.deviceClass() == DeviceClass.HOST)
                .isPresent();
        GgufLayers layers = GgufLayers.of(file);
        if (layers.layers().isEmpty() || (selection.chosen().isPresent() && !hostHasAll)) {
            return Optional.empty();
        }
        PlacementMachine places = PlacementMachine.of(memory, selection, learned);
        // A pool grows in blocks, and the rest of a block may be too small for the next tensor.
        long margin =
                file.tensors().stream().mapToLong(GgufTensor::byteSize).max().orElse(0);
        PlacementMachine machine = new PlacementMachine(
                places.devices().stream()
                        .map(device -> device.withMargin(margin))
                        .toList(),
                // The host is to hold a rest, so that what was learned of whole loads says nothing.
                hostAllowed && !hostHasAll ? places.host().map(host -> host.withOverhead(0)) : Optional.empty());
        // Weights only, and all of them on devices as far as they fit: that is what loading is asked for.
        PlacementRequest request = PlacementRequest.of(
                        layers.toModel()
                                .embedding(layers.embeddingBytes(), false)
                                .build(),
                        machine)
                .with(PlacementPolicy.defaults());
        Placement placement = PlacementPlanner.plan(request);
        if (!placement.fits() || placement.kind() == PlacementKind.HOST) {
            return Optional.empty();
        }
        String first = placement.shares().getFirst().deviceId();
        return Optional.of(new SplitLoad(placement, PlacedTensors.of(file, placement), device(memory, first)));
    }

    /** The pools of the devices that get a part, opened on first use. */
    TensorPools pools(GpuMemory memory) {
        Map<String, GpuMemoryPool> pools = new HashMap<>();
        for (DeviceShare share : placement.shares()) {
            pools.put(share.deviceId(), memory.pool(device(memory, share.deviceId())));
        }
        return tensors.pools(pools);
    }

    private static GpuDevice device(GpuMemory memory, String id) {
        return memory.devices().stream()
                .filter(device -> device.id().equals(id))
                .findFirst()
                .orElseThrow();
    }
}
