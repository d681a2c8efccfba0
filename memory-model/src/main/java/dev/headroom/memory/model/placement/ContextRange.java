package dev.headroom.memory.model.placement;

import java.util.Objects;
import java.util.function.LongFunction;

/**
 * How a model grows with its context.
 *
 * @param modelAt the model at a context of so many tokens; a longer context never needs less. Called by the thread that
 *     plans, some dozens of times
 * @param min the shortest context of use, above 0
 * @param max the longest that is asked for
 * @param step contexts are multiples of this, above 0; caches are rounded up to 256 tokens by most engines
 */
public record ContextRange(LongFunction<PlacementModel> modelAt, long min, long max, long step) {

    /** Refuses a range without a context in it. */
    public ContextRange {
        Objects.requireNonNull(modelAt, "modelAt");
        if (min <= 0 || step <= 0 || max < min) {
            throw new IllegalArgumentException("contexts from " + min + " to " + max + " by " + step
                    + " are none: min and step must be above 0, and max not below min");
        }
    }
}
