package dev.headroom.memory.model.placement;

import java.util.Objects;

/**
 * Where a layer goes.
 *
 * @param layer its number, from 0
 * @param deviceId where it is computed, and its cache and state lie
 * @param expertDeviceId where the weights of its experts lie; {@code deviceId} in a dense layer
 */
public record LayerPlace(int layer, String deviceId, String expertDeviceId) {

    /** Refuses a layer without a place. */
    public LayerPlace {
        Objects.requireNonNull(deviceId, "deviceId");
        Objects.requireNonNull(expertDeviceId, "expertDeviceId");
    }
}
