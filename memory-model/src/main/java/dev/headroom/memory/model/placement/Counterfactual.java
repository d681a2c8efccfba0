package dev.headroom.memory.model.placement;

import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A change that would make a better placement possible.
 *
 * @param change what sort of change
 * @param goal what would be reached
 * @param text the change in words, such as {@code fits with context 24576}
 * @param context the context it would fit with, for {@link Change#CONTEXT}
 * @param bytes the bytes to be freed, for {@link Change#FREE}
 * @param deviceId where to free them
 */
public record Counterfactual(
        Change change,
        PlacementGoal goal,
        String text,
        OptionalLong context,
        OptionalLong bytes,
        Optional<String> deviceId) {

    /** What would change. */
    public enum Change {
        /** A shorter context. */
        CONTEXT,
        /** Another choice the caller named, such as another type of the KV cache. */
        CHOICE,
        /** Memory others give back. */
        FREE;

        /**
         * The name used in JSON.
         *
         * @return the lower-case name
         */
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Refuses a change of nothing. */
    public Counterfactual {
        Objects.requireNonNull(change, "change");
        Objects.requireNonNull(goal, "goal");
        Objects.requireNonNull(text, "text");
        Objects.requireNonNull(context, "context");
        Objects.requireNonNull(bytes, "bytes");
        Objects.requireNonNull(deviceId, "deviceId");
    }

    @Override
    public String toString() {
        return text;
    }
}
