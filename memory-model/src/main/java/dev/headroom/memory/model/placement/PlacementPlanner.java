package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.LongStream;

/**
 * Places models. Pure and deterministic: the same sizes give the same answer, and nothing is asked or allocated.
 *
 * <p>Preferred are, in this order: the one device that is left with the least room to spare; several devices; devices with
 * the experts of the first layers on the host, of as few layers as possible; devices with the first layers on the host, as few
 * as possible; the host. No place gets more than its usable bytes less margin and overhead. The order in which devices are
 * given makes no difference but to {@link SplitMode#SEQUENTIAL}.
 *
 * <p>Each device gets neighbouring layers, unless more layers fit on devices otherwise. For up to ten devices the number of
 * layers on devices is the most that neighbouring layers allow; it is never less than first fit reaches.
 */
public final class PlacementPlanner {

    private PlacementPlanner() {}

    /**
     * Places a model, and says what would make a better placement possible.
     *
     * @param request the question
     * @return the answer; also where there is no room
     */
    public static Placement plan(PlacementRequest request) {
        Placement placement = place(request.model(), request.machine(), request.policy());
        List<Counterfactual> changes = new ArrayList<>();
        if (!PlacementGoal.DEVICES.isMetBy(placement.kind())) {
            changes.addAll(Counterfactuals.of(request, PlacementGoal.DEVICES));
            if (!placement.fits()) {
                changes.addAll(Counterfactuals.of(request, PlacementGoal.ANYWHERE));
            }
        }
        return new Placement(
                placement.kind(),
                placement.split(),
                placement.layers(),
                placement.embeddingDeviceId(),
                placement.outputDeviceId(),
                placement.shares(),
                placement.shortBytes(),
                changes);
    }

    /**
     * The longest context that fits.
     *
     * @param range how the model grows, and which contexts are asked for
     * @param machine where
     * @param policy how
     * @param goal how good the placement has to be
     * @return a multiple of the step from the shortest to the longest context, or one of these two; empty if not even the
     *     shortest fits
     */
    public static OptionalLong largestContext(
            ContextRange range, PlacementMachine machine, PlacementPolicy policy, PlacementGoal goal) {
        if (meets(range.modelAt().apply(range.max()), machine, policy, goal)) {
            return OptionalLong.of(range.max());
        }
        long low = range.min() / range.step(); // known to fit, in steps; the shortest itself may be no multiple
        long high = (range.max() - 1) / range.step() + 1; // known not to fit, or above the longest
        if (!meets(range.modelAt().apply(range.min()), machine, policy, goal)) {
            return OptionalLong.empty();
        }
        while (high - low > 1) {
            long middle = low + (high - low) / 2;
            if (meets(range.modelAt().apply(middle * range.step()), machine, policy, goal)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return OptionalLong.of(Math.max(range.min(), low * range.step()));
    }

    static boolean meets(PlacementModel model, PlacementMachine machine, PlacementPolicy policy, PlacementGoal goal) {
        return goal.isMetBy(place(model, machine, policy).kind());
    }

    private static Placement place(PlacementModel model, PlacementMachine machine, PlacementPolicy policy) {
        PlacementSearch search = new PlacementSearch(model, machine, policy);
        return search.best()
                .map(draft -> PlacementBuilder.of(draft, search.devices(), machine.host(), policy.split()))
                .orElseGet(() -> nowhere(model, machine, policy));
    }

    private static Placement nowhere(PlacementModel model, PlacementMachine machine, PlacementPolicy policy) {
        boolean embeddingStays = model.embeddingOnHost() && machine.host().isPresent();
        long onDevice = ItemSequence.of(model, 0, !embeddingStays, true).wholeBytes();
        long onHost = ItemSequence.of(model, 0, true, true).wholeBytes();
        LongStream lacking =
                machine.devices().stream().mapToLong(device -> lacking(device, onDevice, model.computeBytes()));
        if (policy.layersOnHost()) {
            lacking = LongStream.concat(
                    lacking,
                    machine.host().stream().mapToLong(host -> lacking(host, onHost, model.hostComputeBytes())));
        }
        long nearest = Math.max(1, lacking.min().orElse(onHost));
        return new Placement(
                PlacementKind.NOWHERE,
                policy.split(),
                List.of(),
                Optional.empty(),
                Optional.empty(),
                List.of(),
                nearest,
                List.of());
    }

    private static long lacking(PlacementDevice place, long partBytes, long computeBytes) {
        return partBytes + computeBytes - place.roomBytes();
    }
}
