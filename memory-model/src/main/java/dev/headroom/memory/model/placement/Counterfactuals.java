package dev.headroom.memory.model.placement;

import dev.headroom.memory.ByteSize;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** Finds the single changes that would reach a goal: a shorter context, another choice, memory freed on one device. */
final class Counterfactuals {

    /** What is to be freed is rounded up to this, or to a hundredth of a larger unit: nobody frees single bytes. */
    private static final long STEP = 1L << 20;

    private static final long GIB = 1L << 30;
    private static final long TIB = 1L << 40;
    private static final int DECIMALS = 100;

    private Counterfactuals() {}

    /** The changes, in that order; the least to be freed first. */
    static List<Counterfactual> of(PlacementRequest request, PlacementGoal goal) {
        List<Counterfactual> changes = new ArrayList<>();
        context(request, goal).ifPresent(changes::add);
        for (PlacementRequest.Choice choice : request.choices()) {
            if (PlacementPlanner.meets(choice.model(), request.machine(), request.policy(), goal)) {
                changes.add(new Counterfactual(
                        Counterfactual.Change.CHOICE,
                        goal,
                        "fits with " + choice.name() + where(goal),
                        OptionalLong.empty(),
                        OptionalLong.empty(),
                        Optional.empty()));
            }
        }
        List<Counterfactual> freed = new ArrayList<>();
        for (PlacementDevice device : request.machine().devices()) {
            freed(request, device, goal).ifPresent(freed::add);
        }
        if (goal == PlacementGoal.ANYWHERE) {
            request.machine().host().flatMap(host -> freed(request, host, goal)).ifPresent(freed::add);
        }
        freed.sort(Comparator.comparingLong(
                        (Counterfactual change) -> change.bytes().orElse(0))
                .thenComparing(change -> change.deviceId().orElse("")));
        changes.addAll(freed);
        return changes;
    }

    private static String where(PlacementGoal goal) {
        return goal == PlacementGoal.ANYWHERE ? ", the host included" : "";
    }

    private static Optional<Counterfactual> context(PlacementRequest request, PlacementGoal goal) {
        if (request.context().isEmpty()) {
            return Optional.empty();
        }
        OptionalLong context =
                PlacementPlanner.largestContext(request.context().get(), request.machine(), request.policy(), goal);
        if (context.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new Counterfactual(
                Counterfactual.Change.CONTEXT,
                goal,
                "fits with context " + context.getAsLong() + where(goal),
                context,
                OptionalLong.empty(),
                Optional.empty()));
    }

    private static Optional<Counterfactual> freed(
            PlacementRequest request, PlacementDevice device, PlacementGoal goal) {
        if (device.occupiedBytes() == 0 || !reached(request, device, device.occupiedBytes(), goal)) {
            return Optional.empty();
        }
        long low = 0; // known not to do
        long high = device.occupiedBytes();
        while (high - low > 1) {
            long middle = low + (high - low) / 2;
            if (reached(request, device, middle, goal)) {
                high = middle;
            } else {
                low = middle;
            }
        }
        // More room is not always better for layers of odd sizes, so that what is said has to be tried too.
        long rounded = Math.min(shown(high), device.occupiedBytes());
        long bytes = reached(request, device, rounded, goal) ? rounded : high;
        return Optional.of(new Counterfactual(
                Counterfactual.Change.FREE,
                goal,
                "fits if " + ByteSize.format(bytes) + " is freed on " + device.id() + where(goal),
                OptionalLong.empty(),
                OptionalLong.of(bytes),
                Optional.of(device.id())));
    }

    /** The least that is no less than so many bytes and that {@link ByteSize#format} shows as it is. */
    private static long shown(long bytes) {
        if (bytes <= GIB) {
            return (bytes + STEP - 1) / STEP * STEP;
        }
        long unit = bytes < TIB ? GIB : TIB;
        long rest = bytes % unit;
        long hundredths = (rest * DECIMALS + unit - 1) / unit;
        long more = hundredths * unit / DECIMALS - rest;
        return bytes > Long.MAX_VALUE - more ? bytes : bytes + more;
    }

    private static boolean reached(PlacementRequest request, PlacementDevice device, long freed, PlacementGoal goal) {
        PlacementMachine machine = request.machine();
        List<PlacementDevice> devices = machine.devices().stream()
                .map(other -> other.id().equals(device.id()) ? other.freed(freed) : other)
                .toList();
        Optional<PlacementDevice> host =
                machine.host().map(other -> other.id().equals(device.id()) ? other.freed(freed) : other);
        return PlacementPlanner.meets(request.model(), new PlacementMachine(devices, host), request.policy(), goal);
    }
}
