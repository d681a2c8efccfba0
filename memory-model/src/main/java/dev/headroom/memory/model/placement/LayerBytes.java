package dev.headroom.memory.model.placement;

/**
 * What one layer needs wherever it is computed.
 *
 * @param weightBytes its weights without those of experts
 * @param expertBytes the weights of its experts, which may lie on the host while the layer is computed on a device; 0 in a
 *     dense layer
 * @param cacheBytes its part of the KV cache
 * @param stateBytes its recurrent state
 */
public record LayerBytes(long weightBytes, long expertBytes, long cacheBytes, long stateBytes) {

    /** Refuses sizes below 0. */
    public LayerBytes {
        Sizes.requireNotNegative("weightBytes", weightBytes);
        Sizes.requireNotNegative("expertBytes", expertBytes);
        Sizes.requireNotNegative("cacheBytes", cacheBytes);
        Sizes.requireNotNegative("stateBytes", stateBytes);
    }

    /**
     * A dense layer with a KV cache.
     *
     * @param weightBytes its weights
     * @param cacheBytes its part of the KV cache
     * @return the layer
     */
    public static LayerBytes of(long weightBytes, long cacheBytes) {
        return new LayerBytes(weightBytes, 0, cacheBytes, 0);
    }

    /**
     * Everything.
     *
     * @return bytes
     */
    public long totalBytes() {
        return weightBytes + expertBytes + cacheBytes + stateBytes;
    }
}
