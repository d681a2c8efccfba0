package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Turns a draft into an answer with figures. */
final class PlacementBuilder {

    private final PlacementModel model;
    private final List<LayerPlace> layers = new ArrayList<>();
    private final String embedding;
    private final String output;

    private PlacementBuilder(Draft draft, List<PlacementDevice> devices, Optional<PlacementDevice> host) {
        ItemSequence items = draft.items();
        model = items.model();
        String hostId = host.map(PlacementDevice::id).orElse("");
        String embeddingHome = hostId;
        String outputHome = hostId;
        for (int i = 0; i < items.size(); i++) {
            ItemSequence.Item item = items.item(i);
            int index = draft.home(i);
            String home = index == Draft.HOST ? hostId : devices.get(index).id();
            if (i == 0 && items.hasEmbedding()) {
                embeddingHome = home;
            } else if (i == items.size() - 1 && items.hasOutput()) {
                outputHome = home;
            }
            for (int layer = item.firstLayer(); layer < item.firstLayer() + item.layers(); layer++) {
                boolean expertsAside =
                        layer < items.hostExperts() && model.layers().get(layer).expertBytes() > 0;
                layers.add(new LayerPlace(layer, home, expertsAside ? hostId : home));
            }
        }
        embedding = embeddingHome;
        output = outputHome;
    }

    static Placement of(Draft draft, List<PlacementDevice> devices, Optional<PlacementDevice> host, SplitMode split) {
        PlacementBuilder builder = new PlacementBuilder(draft, devices, host);
        List<DeviceShare> shares = new ArrayList<>();
        for (PlacementDevice device : devices) {
            builder.share(device, builder.model.computeBytes()).ifPresent(shares::add);
        }
        host.flatMap(place -> builder.share(place, builder.model.hostComputeBytes()))
                .ifPresent(shares::add);
        return new Placement(
                builder.kind(host),
                split,
                builder.layers,
                Optional.of(builder.embedding),
                Optional.of(builder.output),
                shares,
                0,
                List.of());
    }

    private PlacementKind kind(Optional<PlacementDevice> host) {
        String hostId = host.map(PlacementDevice::id).orElse("");
        Set<String> used = new LinkedHashSet<>();
        boolean experts = false;
        for (LayerPlace place : layers) {
            used.add(place.deviceId());
            experts |= !place.expertDeviceId().equals(place.deviceId());
        }
        used.add(output);
        if (layers.stream().allMatch(place -> place.deviceId().equals(hostId))) {
            return PlacementKind.HOST;
        }
        if (used.contains(hostId)) {
            return PlacementKind.PARTLY_ON_HOST;
        }
        if (experts) {
            return PlacementKind.EXPERTS_ON_HOST;
        }
        return used.size() == 1 ? PlacementKind.ONE_DEVICE : PlacementKind.SPLIT;
    }

    /** What a place gets, empty if that is nothing. */
    private Optional<DeviceShare> share(PlacementDevice place, long computeBytes) {
        boolean used = false;
        long weights = 0;
        long experts = 0;
        long cache = 0;
        long state = 0;
        for (LayerPlace at : layers) {
            LayerBytes layer = model.layers().get(at.layer());
            if (at.deviceId().equals(place.id())) {
                used = true;
                weights += layer.weightBytes();
                cache += layer.cacheBytes();
                state += layer.stateBytes();
            }
            if (at.expertDeviceId().equals(place.id())) {
                used = true;
                experts += layer.expertBytes();
            }
        }
        long shared = 0;
        if (embedding.equals(place.id()) && model.embeddingBytes() > 0) {
            used = true;
            shared += model.embeddingBytes();
        }
        if (output.equals(place.id()) && model.outputBytes() > 0) {
            used = true;
            shared += model.outputBytes();
        }
        if (embedding.equals(place.id()) && output.equals(place.id())) {
            shared -= model.tiedBytes();
        }
        if (!used) {
            return Optional.empty();
        }
        return Optional.of(new DeviceShare(
                place.id(),
                place.usableBytes(),
                place.marginBytes(),
                weights,
                experts,
                cache,
                state,
                shared,
                computeBytes,
                place.overheadBytes()));
    }
}
