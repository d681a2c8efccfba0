package dev.headroom.memory.model.placement;

import java.util.Objects;

/**
 * What a placement puts on one device.
 *
 * @param deviceId the device
 * @param usableBytes what may be taken there
 * @param marginBytes what is to stay free of that
 * @param weightBytes weights of layers without experts
 * @param expertBytes weights of experts
 * @param cacheBytes KV cache
 * @param stateBytes recurrent state
 * @param sharedBytes embedding and output
 * @param computeBytes what computing takes
 * @param overheadBytes what using the device costs, and what earlier loads took there beyond what was predicted
 */
public record DeviceShare(
        String deviceId,
        long usableBytes,
        long marginBytes,
        long weightBytes,
        long expertBytes,
        long cacheBytes,
        long stateBytes,
        long sharedBytes,
        long computeBytes,
        long overheadBytes) {

    /** Refuses a share of nothing. */
    public DeviceShare {
        Objects.requireNonNull(deviceId, "deviceId");
    }

    /**
     * This share with another margin.
     *
     * @param bytes what is to stay free
     * @return a copy
     */
    public DeviceShare withMargin(long bytes) {
        return new DeviceShare(
                deviceId,
                usableBytes,
                bytes,
                weightBytes,
                expertBytes,
                cacheBytes,
                stateBytes,
                sharedBytes,
                computeBytes,
                overheadBytes);
    }

    /**
     * Everything but the margin.
     *
     * @return bytes
     */
    public long usedBytes() {
        return weightBytes + expertBytes + cacheBytes + stateBytes + sharedBytes + computeBytes + overheadBytes;
    }

    /**
     * What is left above the margin.
     *
     * @return bytes, 0 or more
     */
    public long spareBytes() {
        return usableBytes - marginBytes - usedBytes();
    }
}
