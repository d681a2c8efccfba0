package dev.headroom.memory;

import java.io.Serial;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A request that could be met on an emptier device. Thrown after every way to get the memory was tried; the pool is as it
 * was before the request.
 */
public class DeviceOutOfMemoryException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /** The figures behind the refusal. */
    private final transient @Nullable Figures figures;

    /**
     * The figures behind a refusal.
     *
     * @param pool             the pool's name
     * @param requestedBytes   bytes asked for
     * @param largestFreeBytes the longest free range the pool holds
     * @param inUseBytes       bytes in buffers
     * @param reservedBytes    bytes the pool holds from the driver, in use or not
     * @param grantableBytes   bytes the budget still allows the pool to take
     * @param limitBytes       the most the pool may hold altogether, by its budget
     * @param byLimit a configured limit is what ran out, not memory
     * @param activeBuffers    open buffers
     */
    public record Figures(
            String pool,
            long requestedBytes,
            long largestFreeBytes,
            long inUseBytes,
            long reservedBytes,
            long grantableBytes,
            long limitBytes,
            boolean byLimit,
            long activeBuffers) {

        /** Refuses figures of nothing. */
        public Figures {
            Objects.requireNonNull(pool, "pool");
        }
    }

    /**
     * Describes a refusal by the budget.
     *
     * @param message what went wrong and what to do
     * @param figures the figures behind it
     */
    public DeviceOutOfMemoryException(String message, Figures figures) {
        super(message);
        this.figures = figures;
    }

    /**
     * Describes a refusal by the driver.
     *
     * @param message what went wrong and what to do
     * @param figures the figures behind it
     * @param cause   the driver's own failure
     */
    public DeviceOutOfMemoryException(String message, Figures figures, Throwable cause) {
        super(message, cause);
        this.figures = figures;
    }

    /**
     * The figures behind the refusal.
     *
     * @return the figures
     * @throws IllegalStateException if the exception was serialised, which drops them
     */
    public Figures figures() {
        if (figures == null) {
            throw new IllegalStateException("the figures do not survive serialisation");
        }
        return figures;
    }
}
