package dev.headroom.memory;

import java.io.Serial;

/**
 * The device or its context is gone, for good. Every later call on its pool fails with this at once and reaches no driver;
 * closing stays harmless, and other devices go on.
 */
public class DeviceLostException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /**
     * Describes the loss.
     *
     * @param message which device, and what to do
     * @param cause   the call that noticed it
     */
    public DeviceLostException(String message, Throwable cause) {
        super(message, cause);
    }
}
