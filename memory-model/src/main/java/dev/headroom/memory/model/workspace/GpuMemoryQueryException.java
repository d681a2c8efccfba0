package dev.headroom.memory.model.workspace;

import dev.headroom.memory.DriverFailedException;
import dev.headroom.memory.GpuMemoryException;
import java.io.Serial;

/** A device did not say how much memory it has; the cause has the driver's own words. */
public final class GpuMemoryQueryException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /** Which device. */
    private final String deviceId;

    GpuMemoryQueryException(String deviceId, DriverFailedException cause) {
        super("the memory of %s cannot be queried: %s".formatted(deviceId, cause.getMessage()), cause);
        this.deviceId = deviceId;
    }

    /**
     * The device that was asked.
     *
     * @return such as {@code cuda:0}
     */
    public String deviceId() {
        return deviceId;
    }
}
