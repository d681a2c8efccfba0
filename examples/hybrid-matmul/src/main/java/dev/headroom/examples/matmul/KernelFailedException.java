package dev.headroom.examples.matmul;

import dev.headroom.memory.GpuMemoryException;
import java.io.Serial;

/** A kernel could not be compiled or launched. */
public class KernelFailedException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /**
     * Describes the failure.
     *
     * @param message which call, and what it said
     */
    public KernelFailedException(String message) {
        super(message);
    }
}
