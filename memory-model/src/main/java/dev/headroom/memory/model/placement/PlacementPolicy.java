package dev.headroom.memory.model.placement;

import java.util.Objects;
import java.util.OptionalInt;

/**
 * What a placement may look like.
 *
 * @param split how layers are distributed over several devices
 * @param layersOnHost whether layers and experts may go to the host
 * @param maxDeviceLayers the most layers on devices, if there is to be such a bound; those after them in the file go there
 */
public record PlacementPolicy(SplitMode split, boolean layersOnHost, OptionalInt maxDeviceLayers) {

    /** Refuses a bound below 0. */
    public PlacementPolicy {
        Objects.requireNonNull(split, "split");
        if (maxDeviceLayers.isPresent() && maxDeviceLayers.getAsInt() < 0) {
            throw new IllegalArgumentException(
                    "maxDeviceLayers is " + maxDeviceLayers.getAsInt() + ": must be 0 or more");
        }
    }

    /**
     * Balanced over devices, with the host for the rest.
     *
     * @return the policy
     */
    public static PlacementPolicy defaults() {
        return new PlacementPolicy(SplitMode.BALANCED, true, OptionalInt.empty());
    }

    /**
     * This policy with another way to split.
     *
     * @param mode the way
     * @return a copy
     */
    public PlacementPolicy withSplit(SplitMode mode) {
        return new PlacementPolicy(mode, layersOnHost, maxDeviceLayers);
    }

    /**
     * This policy with all layers and experts on devices.
     *
     * @return a copy
     */
    public PlacementPolicy withoutHostLayers() {
        return new PlacementPolicy(split, false, maxDeviceLayers);
    }

    /**
     * This policy with a bound on the layers on devices.
     *
     * @param layers 0 or more
     * @return a copy
     */
    public PlacementPolicy withMaxDeviceLayers(int layers) {
        return new PlacementPolicy(split, layersOnHost, OptionalInt.of(layers));
    }
}
