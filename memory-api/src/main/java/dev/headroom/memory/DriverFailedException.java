package dev.headroom.memory;

import java.io.Serial;

/** A driver call failed in a way nothing could be done about. The pool is as it was before the call. */
public class DriverFailedException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /**
     * Describes the failure.
     *
     * @param message which device and call, and what to do
     * @param cause   the driver's own failure
     */
    public DriverFailedException(String message, Throwable cause) {
        super(message, cause);
    }
}
