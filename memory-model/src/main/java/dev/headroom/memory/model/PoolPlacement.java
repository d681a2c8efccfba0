package dev.headroom.memory.model;

import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.model.placement.DeviceShare;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementMachine;
import dev.headroom.memory.model.placement.PlacementPlanner;
import dev.headroom.memory.model.placement.PlacementPolicy;
import dev.headroom.memory.model.placement.PlacementRequest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;

/**
 * Places the tensors of a file over pools, in the terms of these pools: with what a pool has to take from its device for the
 * tensors it gets, blocks and all, not with the plain sum of their bytes. Such a plan can be set aside and carried out: as long
 * as nobody else takes memory between the plan and the reservation, or uses the pools, no tensor is refused or falls back.
 *
 * {@snippet lang = java :
 * PoolPlacement plan = PoolPlacement.plan(file, machine, PlacementPolicy.defaults(), poolsById::get);
 * try (Reservation reservation = plan.reserve(memory);
 *         LoadedModel model = ModelLoader.builder(main).pools(plan.pools(reservation)).fallback(false).build().load(file)) {
 *     System.out.println(plan.placement().explain());
 * }
 * }
 *
 * <p>A plan that asks too much of a pool is made again with less for that pool, until the pools agree. A pool in which one of
 * the tensors can never lie, as it is larger than any block of the device, gets nothing. Immutable; may be used by any thread.
 */
public final class PoolPlacement {

    /** Each round moves a layer or more away from a device, or leaves one out. */
    private static final int ROUNDS = 4096;

    private final Placement placement;
    private final Optional<PlacedTensors> tensors;
    private final Map<String, GpuMemoryPool> pools;
    private final Map<String, List<Long>> sizes;
    private final Map<String, Long> takenBytes;

    private PoolPlacement(
            Placement placement,
            Optional<PlacedTensors> tensors,
            Map<String, GpuMemoryPool> pools,
            Map<String, List<Long>> sizes,
            Map<String, Long> takenBytes) {
        this.placement = placement;
        this.tensors = tensors;
        this.pools = pools;
        this.sizes = sizes;
        this.takenBytes = Collections.unmodifiableMap(takenBytes);
    }

    /**
     * Places the weights of a file: as much as possible on devices, every tensor once.
     *
     * @param file the file
     * @param machine the places. No pool is given more than its device may take by this, less its margin, nor more than the pool
     *     itself says is usable. Places that share a memory must not be given more together than it has
     * @param policy how
     * @param pools opens the pool of a place, by its id; asked only for places that get a part
     * @return the answer; also where there is no room
     * @throws IllegalArgumentException if the file has no layers
     */
    public static PoolPlacement plan(
            GgufFile file, PlacementMachine machine, PlacementPolicy policy, Function<String, GpuMemoryPool> pools) {
        return new Search(file, machine, policy, pools).run();
    }

    /**
     * Where the parts go, and what would make a better placement possible.
     *
     * @return the placement
     */
    public Placement placement() {
        return placement;
    }

    /**
     * The device of every tensor.
     *
     * @return the tensors
     * @throws IllegalStateException if the placement has no room for the model
     */
    public PlacedTensors tensors() {
        return tensors.orElseThrow(
                () -> new IllegalStateException("the placement has no room for the model: " + placement.explain()));
    }

    /**
     * What the pools have to take from their devices: no less than the bytes of the tensors, unless something lies idle in a pool.
     *
     * @return bytes by the ids of devices that get any tensor; empty if there is no room
     */
    public Map<String, Long> takenBytes() {
        return takenBytes;
    }

    /**
     * Sets all of it aside, or nothing.
     *
     * @param memory what the pools belong to
     * @return the reservation, to be closed by the caller once the model is loaded
     * @throws dev.headroom.memory.DeviceOutOfMemoryException if a device has no room any more
     * @throws IllegalStateException if the placement has no room for the model
     */
    public Reservation reserve(GpuMemory memory) {
        PlacedTensors known = tensors();
        Map<GpuMemoryPool, List<Long>> wanted = new LinkedHashMap<>();
        for (String device : known.bytesByDevice().keySet()) {
            wanted.put(
                    Objects.requireNonNull(pools.get(device), device),
                    Objects.requireNonNull(sizes.get(device), device));
        }
        return memory.reserveBuffers(wanted);
    }

    /**
     * The pools to load into, through a reservation.
     *
     * @param reservation what {@link #reserve} gave
     * @return what {@link ModelLoader.Builder#pools} takes, for this file
     * @throws IllegalStateException if the placement has no room for the model
     */
    public TensorPools pools(Reservation reservation) {
        Map<String, GpuMemoryPool> reserved = new HashMap<>();
        reservation.devices().forEach(device -> reserved.put(device.id(), reservation.pool(device)));
        return tensors().pools(reserved);
    }

    /** Looks for a plan all pools agree to. */
    private static final class Search {

        private final GgufFile file;
        private final PlacementMachine machine;
        private final PlacementPolicy policy;
        private final Function<String, GpuMemoryPool> opener;
        private final Map<String, GpuMemoryPool> pools = new HashMap<>();
        /** What is withheld of a place besides its margin. */
        private final Map<String, Long> withheld = new HashMap<>();

        private final Set<String> leftOut = new HashSet<>();

        Search(
                GgufFile file,
                PlacementMachine machine,
                PlacementPolicy policy,
                Function<String, GpuMemoryPool> opener) {
            this.file = file;
            this.machine = machine;
            this.policy = policy;
            this.opener = Objects.requireNonNull(opener, "opener");
        }

        PoolPlacement run() {
            PlacementRequest request = PlacementRequest.of(
                            GgufLayers.of(file).toLoad().build(), machine)
                    .with(policy);
            Placement placement = plan(request);
            for (int round = 0; placement.fits() && round < ROUNDS; round++) {
                PlacedTensors tensors = PlacedTensors.of(file, placement);
                Map<String, List<Long>> sizes = sizes(tensors);
                Map<String, Long> taken = new LinkedHashMap<>();
                boolean agreed = true;
                for (DeviceShare share : placement.shares()) {
                    agreed &= agrees(share, sizes.getOrDefault(share.deviceId(), List.of()), taken);
                }
                if (agreed) {
                    return new PoolPlacement(withOwnMargins(placement), Optional.of(tensors), pools, sizes, taken);
                }
                placement = plan(request);
            }
            Placement none = placement.fits() ? nowhere(request) : placement;
            return new PoolPlacement(none, Optional.empty(), pools, Map.of(), Map.of());
        }

        /** Whether a pool has room for its tensors; if not, it gets less in the next round. */
        private boolean agrees(DeviceShare share, List<Long> sizes, Map<String, Long> taken) {
            String id = share.deviceId();
            GpuMemoryPool pool = pools.computeIfAbsent(id, key -> Objects.requireNonNull(opener.apply(key), key));
            OptionalLong growth = pool.growthFor(sizes);
            if (growth.isEmpty()) {
                leftOut.add(id);
                return false;
            }
            PlacementDevice place = place(id);
            long room = Math.min(place.usableBytes(), pool.usableBytes()) - place.marginBytes() - place.overheadBytes();
            if (growth.getAsLong() <= room) {
                taken.put(id, growth.getAsLong());
                return true;
            }
            // One byte less than it has now, so that something has to go.
            long before = withheld.getOrDefault(id, 0L);
            withheld.put(id, before + share.spareBytes() + 1);
            return false;
        }

        private Placement plan(PlacementRequest request) {
            PlacementMachine less = new PlacementMachine(
                    machine.devices().stream()
                            .filter(device -> !leftOut.contains(device.id()))
                            .map(this::lessened)
                            .toList(),
                    machine.host().filter(host -> !leftOut.contains(host.id())).map(this::lessened));
            return PlacementPlanner.plan(new PlacementRequest(
                    request.model(), less, request.policy(), request.context(), request.choices()));
        }

        private static Placement nowhere(PlacementRequest request) {
            return PlacementPlanner.plan(new PlacementRequest(
                    request.model(),
                    new PlacementMachine(List.of(), Optional.empty()),
                    request.policy(),
                    request.context(),
                    request.choices()));
        }

        private PlacementDevice lessened(PlacementDevice device) {
            return device.withMargin(Saturated.plus(device.marginBytes(), withheld.getOrDefault(device.id(), 0L)));
        }

        /** What was withheld is not a margin anybody asked for. */
        private Placement withOwnMargins(Placement lessened) {
            return new Placement(
                    lessened.kind(),
                    lessened.split(),
                    lessened.layers(),
                    lessened.embeddingDeviceId(),
                    lessened.outputDeviceId(),
                    lessened.shares().stream()
                            .map(share ->
                                    share.withMargin(place(share.deviceId()).marginBytes()))
                            .toList(),
                    lessened.shortBytes(),
                    lessened.counterfactuals());
        }

        private PlacementDevice place(String id) {
            return machine.devices().stream()
                    .filter(device -> device.id().equals(id))
                    .findFirst()
                    .or(machine::host)
                    .orElseThrow();
        }

        /** The sizes of the tensors by device, in the order in which they will be loaded. */
        private Map<String, List<Long>> sizes(PlacedTensors tensors) {
            Map<String, List<Long>> sizes = new LinkedHashMap<>();
            for (GgufTensor tensor : file.tensors()) {
                sizes.computeIfAbsent(tensors.deviceOf(tensor.name()), _ -> new ArrayList<>())
                        .add(tensor.byteSize());
            }
            return sizes;
        }
    }
}
