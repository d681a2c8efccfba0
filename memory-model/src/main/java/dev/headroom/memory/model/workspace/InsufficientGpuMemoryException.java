package dev.headroom.memory.model.workspace;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuMemoryException;
import java.io.Serial;

/** The dequantised weights of a layer leave too little of a device for the smallest useful workspace. */
public final class InsufficientGpuMemoryException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /** Weights and the smallest workspace. */
    private final long requiredBytes;
    /** What the device has. */
    private final long availableBytes;
    /** Which device. */
    private final String deviceId;

    InsufficientGpuMemoryException(long requiredBytes, long availableBytes, String deviceId) {
        super(("%s has too little memory: the layer's weights and the smallest workspace need %s, and %s is available;"
                        + " free memory there, use another device, or lower minWorkspaceBytes")
                .formatted(deviceId, ByteSize.format(requiredBytes), ByteSize.format(availableBytes)));
        this.requiredBytes = requiredBytes;
        this.availableBytes = availableBytes;
        this.deviceId = deviceId;
    }

    /**
     * What is needed: the dequantised weights and the smallest workspace.
     *
     * @return bytes; {@link Long#MAX_VALUE} if they are more than a {@code long} can count
     */
    public long requiredBytes() {
        return requiredBytes;
    }

    /**
     * What the device has, after the reserve and before any other margin.
     *
     * @return bytes
     */
    public long availableBytes() {
        return availableBytes;
    }

    /**
     * The device.
     *
     * @return such as {@code cuda:0}
     */
    public String deviceId() {
        return deviceId;
    }
}
