package dev.headroom.memory;

import java.io.Serial;

/** A buffer, or the pool or {@link GpuMemory} it belongs to, was used after it was closed. */
public class BufferClosedException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /**
     * Describes the misuse.
     *
     * @param message what was closed
     */
    public BufferClosedException(String message) {
        super(message);
    }
}
