package dev.headroom.memory.cli;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Selection;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufLayers;
import dev.headroom.memory.model.PoolPlacement;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.model.placement.PlacementRequest;
import dev.headroom.memory.model.placement.SplitMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * A load by plan, over several pools.
 *
 * @param plan where the parts of the model go
 * @param main the first device that gets any, and is not the host
 * @param used the pools that were asked what they would take; parts go to no others
 */
record SplitLoad(PoolPlacement plan, GpuDevice main, List<GpuMemoryPool> used) {

    /**
     * What was asked for.
     *
     * @param mode        how to split, if the user wants it to be split whether that is needed or not
     * @param limit       the most the pool of a device may hold, if the user set a limit
     * @param hostAllowed whether the host may take what does not fit on devices
     */
    record Wish(Optional<SplitMode> mode, OptionalLong limit, boolean hostAllowed) {}

    /**
     * Finds a plan. Unasked, only where that is better than what was selected: devices alone are better than the host, and
     * anything is better than nothing; and not with a limit, which asks to see what happens when one device is full. Where only
     * the host could be used there is none.
     */
    static Optional<SplitLoad> find(GpuMemory memory, GgufFile file, Selection selection, Wish wish) {
        boolean asked = wish.mode().isPresent();
        boolean hostHasAll = selection
                .chosen()
                .filter(device -> device.deviceClass() == DeviceClass.HOST)
                .isPresent();
        boolean unneeded = wish.limit().isPresent() || (selection.chosen().isPresent() && !hostHasAll);
        if (GgufLayers.of(file).layers().isEmpty() || (!asked && unneeded)) {
            return Optional.empty();
        }
        PlacementMachine places = PlacementMachine.of(memory, selection);
        boolean hostTakesPart = wish.hostAllowed() && (asked || !hostHasAll);
        PlacementMachine machine =
                new PlacementMachine(places.devices(), hostTakesPart ? host(memory, places, wish) : Optional.empty());
        PlacementPolicy policy =
                PlacementPolicy.defaults().withSplit(wish.mode().orElse(SplitMode.BALANCED));
        PlacementRequest bySums = PlacementRequest.of(
                        GgufLayers.of(file).toLoad().build(), machine)
                .with(policy);
        if (!usesDevices(PlacementPlanner.plan(bySums))) {
            return Optional.empty(); // blocks need no less than sums: no pool has to be opened to be asked
        }
        List<GpuMemoryPool> used = new ArrayList<>();
        PoolPlacement plan = PoolPlacement.plan(file, machine, policy, id -> {
            GpuMemoryPool pool = pool(memory, machine, id, wish);
            used.add(pool);
            return pool;
        });
        return Optional.of(plan)
                .filter(found -> usesDevices(found.placement()))
                .map(found -> new SplitLoad(
                        found,
                        device(memory, found.placement().shares().getFirst().deviceId()),
                        used));
    }

    private static boolean usesDevices(Placement placement) {
        return placement.fits() && placement.kind() != PlacementKind.HOST;
    }

    /**
     * The host, if it is a place beside the devices. Where they share its memory it is none, as it would only take what the
     * devices could take themselves; but a limit keeps them from doing so, and what it leaves is the host's.
     */
    private static Optional<PlacementDevice> host(GpuMemory memory, PlacementMachine places, Wish wish) {
        if (wish.limit().isEmpty() || places.devices().isEmpty()) {
            return places.host();
        }
        return standIn(memory, places).map(pool -> {
            long shared = 0;
            for (PlacementDevice place : places.devices()) {
                GpuDevice device = device(memory, place.id());
                shared += memory.domain(device).equals(memory.domain(pool.device())) ? place.usableBytes() : 0;
            }
            return PlacementDevice.of(pool.device().id(), Math.max(0, pool.usableBytes() - shared));
        });
    }

    /** The pool that is not bound by the limit of the devices. */
    private static Optional<GpuMemoryPool> standIn(GpuMemory memory, PlacementMachine places) {
        return memory.standInPool(device(memory, places.devices().getFirst().id()));
    }

    private static GpuMemoryPool pool(GpuMemory memory, PlacementMachine machine, String id, Wish wish) {
        boolean onHost = machine.host().filter(place -> place.id().equals(id)).isPresent();
        return onHost && wish.limit().isPresent()
                ? standIn(memory, machine).orElseThrow()
                : memory.pool(device(memory, id));
    }

    private static GpuDevice device(GpuMemory memory, String id) {
        return memory.devices().stream()
                .filter(device -> device.id().equals(id))
                .findFirst()
                .orElseThrow();
    }
}
