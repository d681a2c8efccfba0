package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * A question to the {@link PlacementPlanner}.
 *
 * @param model what is to be placed
 * @param machine where
 * @param policy how
 * @param context how the model grows with its context, if the answer is to say which context would fit
 * @param choices other choices the answer is to judge, such as another type of the KV cache
 */
public record PlacementRequest(
        PlacementModel model,
        PlacementMachine machine,
        PlacementPolicy policy,
        Optional<ContextRange> context,
        List<Choice> choices) {

    /**
     * The same model under another choice.
     *
     * @param name as in {@code fits with <name>}
     * @param model what is to be placed then
     */
    public record Choice(String name, PlacementModel model) {

        /** Refuses a choice without a name. */
        public Choice {
            Objects.requireNonNull(name, "name");
            Objects.requireNonNull(model, "model");
        }
    }

    /** Copies the choices. */
    public PlacementRequest {
        Objects.requireNonNull(model, "model");
        Objects.requireNonNull(machine, "machine");
        Objects.requireNonNull(policy, "policy");
        Objects.requireNonNull(context, "context");
        choices = List.copyOf(choices);
    }

    /**
     * A question with the default policy and no alternatives.
     *
     * @param model what is to be placed
     * @param machine where
     * @return the request
     */
    public static PlacementRequest of(PlacementModel model, PlacementMachine machine) {
        return new PlacementRequest(model, machine, PlacementPolicy.defaults(), Optional.empty(), List.of());
    }

    /**
     * This question with another policy.
     *
     * @param newPolicy how
     * @return a copy
     */
    public PlacementRequest with(PlacementPolicy newPolicy) {
        return new PlacementRequest(model, machine, newPolicy, context, choices);
    }

    /**
     * This question, to be answered with the context that would fit.
     *
     * @param range how the model grows
     * @return a copy
     */
    public PlacementRequest withContext(ContextRange range) {
        return new PlacementRequest(model, machine, policy, Optional.of(range), choices);
    }

    /**
     * This question with one more choice to judge.
     *
     * @param name as in {@code fits with <name>}
     * @param other what is to be placed then
     * @return a copy
     */
    public PlacementRequest withChoice(String name, PlacementModel other) {
        List<Choice> more = new ArrayList<>(choices);
        more.add(new Choice(name, other));
        return new PlacementRequest(model, machine, policy, context, more);
    }
}
