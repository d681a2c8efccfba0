package dev.headroom.memory.model.placement;

import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * Where the parts of a model go.
 *
 * @param kind what sort of answer it is
 * @param split how layers were distributed, if over several devices
 * @param layers the place of every layer, in order; empty if there is no room
 * @param embeddingDeviceId where the embedding goes, empty if there is no room
 * @param outputDeviceId where the output goes, empty if there is no room
 * @param shares what each place used gets, devices in order and the host last
 * @param shortBytes what the place nearest to having room for everything lacks; 0 if there is a placement
 * @param counterfactuals what would make a better placement possible; empty if all layers are on devices
 */
public record Placement(
        PlacementKind kind,
        SplitMode split,
        List<LayerPlace> layers,
        Optional<String> embeddingDeviceId,
        Optional<String> outputDeviceId,
        List<DeviceShare> shares,
        long shortBytes,
        List<Counterfactual> counterfactuals) {

    /** Copies the lists. */
    public Placement {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(split, "split");
        layers = List.copyOf(layers);
        Objects.requireNonNull(embeddingDeviceId, "embeddingDeviceId");
        Objects.requireNonNull(outputDeviceId, "outputDeviceId");
        shares = List.copyOf(shares);
        counterfactuals = List.copyOf(counterfactuals);
    }

    /**
     * Whether there is room for all parts.
     *
     * @return true if so
     */
    public boolean fits() {
        return kind != PlacementKind.NOWHERE;
    }

    /**
     * Layers computed on one place.
     *
     * @param deviceId the place
     * @return how many
     */
    public long layersOn(String deviceId) {
        return layers.stream()
                .filter(place -> place.deviceId().equals(deviceId))
                .count();
    }

    /**
     * The answer in words.
     *
     * @return some lines, without a line end
     */
    public String explain() {
        return PlacementText.of(this);
    }

    /**
     * The answer as a JSON object on one line, in ASCII; the guide lists its fields.
     *
     * @return the object
     */
    public String toJson() {
        return PlacementJson.of(this);
    }

    @Override
    public String toString() {
        return explain();
    }
}
