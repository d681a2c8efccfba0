package dev.headroom.memory.spi;

import java.util.Optional;

/**
 * What became of memory given back. A failure is not thrown, because whoever frees can do nothing about it: the engine
 * sets the memory aside, counts it and names it at close.
 *
 * @param failure why the driver kept it, empty if it is gone
 */
public record FreeOutcome(Optional<DriverException> failure) {

    private static final FreeOutcome FREED = new FreeOutcome(Optional.empty());

    /**
     * The memory is gone.
     *
     * @return the good outcome
     */
    public static FreeOutcome freed() {
        return FREED;
    }

    /**
     * The driver kept it.
     *
     * @param failure why
     * @return the outcome
     */
    public static FreeOutcome failed(DriverException failure) {
        return new FreeOutcome(Optional.of(failure));
    }

    /**
     * Whether the memory is gone.
     *
     * @return true if it is
     */
    public boolean isFreed() {
        return failure.isEmpty();
    }
}
