package dev.headroom.memory;

import java.io.Serial;

/** The device does not have the kind of memory, or the access to it, that was asked for. */
public class UnsupportedKindException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /**
     * Describes the refusal.
     *
     * @param message which device and kind, and what to use instead
     */
    public UnsupportedKindException(String message) {
        super(message);
    }
}
