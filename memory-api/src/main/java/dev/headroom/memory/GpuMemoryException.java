package dev.headroom.memory;

import java.io.Serial;

/** The root of everything Headroom throws beside argument errors. Other modules may extend it. */
public class GpuMemoryException extends RuntimeException {

    @Serial
    private static final long serialVersionUID = 1;

    /**
     * A failure with a message for the operator.
     *
     * @param message what went wrong and what to do
     */
    public GpuMemoryException(String message) {
        super(message);
    }

    /**
     * A failure with its cause.
     *
     * @param message what went wrong and what to do
     * @param cause   what led to it
     */
    public GpuMemoryException(String message, Throwable cause) {
        super(message, cause);
    }
}
