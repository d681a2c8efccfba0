package dev.headroom.memory;

import java.io.Serial;

/** A request that can never be met, however empty the device: nothing is reclaimed and nothing retried for it. */
public class AllocationTooLargeException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /** What was asked. */
    private final long requestedBytes;
    /** The most that can be asked. */
    private final long maxBytes;

    /**
     * Describes the request.
     *
     * @param message        what went wrong and what to do
     * @param requestedBytes bytes asked for
     * @param maxBytes       the most a single request can get
     */
    public AllocationTooLargeException(String message, long requestedBytes, long maxBytes) {
        super(message);
        this.requestedBytes = requestedBytes;
        this.maxBytes = maxBytes;
    }

    /**
     * What was asked.
     *
     * @return bytes
     */
    public long requestedBytes() {
        return requestedBytes;
    }

    /**
     * The most a single request can get.
     *
     * @return bytes
     */
    public long maxBytes() {
        return maxBytes;
    }
}
