package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Looks for the best place of every part, from the best kind of answer to the worst: one device; several devices; the experts
 * of as few layers as possible on the host; as few layers as possible on the host.
 */
final class PlacementSearch {

    /** Steps between an empty and a full device when fill shares are compared. */
    private static final long SHARES = 1 << 16;

    /** A short name before a long one, so that {@code cuda:2} comes before {@code cuda:10}. */
    private static final Comparator<PlacementDevice> BY_ID = Comparator.comparing(
            PlacementDevice::id, Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()));

    private final PlacementModel model;
    private final PlacementPolicy policy;
    private final Optional<PlacementDevice> host;
    private final List<PlacementDevice> devices;
    private final long[] rooms;
    private final int maxLayers;

    PlacementSearch(PlacementModel model, PlacementMachine machine, PlacementPolicy policy) {
        this.model = model;
        this.policy = policy;
        this.host = machine.host();
        // Only who fills devices one after the other means the order he gave.
        this.devices = policy.split() == SplitMode.SEQUENTIAL
                ? machine.devices()
                : machine.devices().stream().sorted(BY_ID).toList();
        this.rooms = devices.stream()
                .mapToLong(device -> device.roomBytes() - model.computeBytes())
                .toArray();
        this.maxLayers =
                Math.min(model.layers().size(), policy.maxDeviceLayers().orElse(Integer.MAX_VALUE));
    }

    /** The devices the homes of a draft are indices of. */
    List<PlacementDevice> devices() {
        return devices;
    }

    /** The best draft, or empty if there is no room for all parts. */
    Optional<Draft> best() {
        if (maxLayers == model.layers().size()) {
            Optional<Draft> onDevices = onDevices(0);
            if (onDevices.isPresent()) {
                return onDevices;
            }
            if (policy.layersOnHost() && model.hasExperts()) {
                Optional<Draft> withExperts = fewestHostExperts();
                if (withExperts.isPresent()) {
                    return withExperts;
                }
            }
        }
        return policy.layersOnHost() ? partly() : Optional.empty();
    }

    /** Everything on devices, but for the embedding and the experts of some layers. */
    private Optional<Draft> onDevices(int hostExperts) {
        ItemSequence items = ItemSequence.of(model, hostExperts, !embeddingStays(), true);
        int[] homes = policy.split() == SplitMode.SPREAD && rooms.length > 1 ? null : single(items);
        if (homes == null) {
            homes = split(items);
        }
        if (homes == null) {
            return new ScatteredFit(items, rooms, maxLayers)
                    .candidates().stream()
                            .map(scattered -> new Draft(items, scattered))
                            .filter(Draft::allOnDevices)
                            .filter(this::hostHasRoom)
                            .min(Draft.BEST_FIRST);
        }
        return Optional.of(new Draft(items, homes)).filter(this::hostHasRoom);
    }

    private boolean embeddingStays() {
        return model.embeddingOnHost() && host.isPresent();
    }

    /** The device that has the least room to spare afterwards. */
    private int @Nullable [] single(ItemSequence items) {
        int best = Draft.HOST;
        for (int device = 0; device < rooms.length; device++) {
            if (rooms[device] >= items.wholeBytes() && (best == Draft.HOST || rooms[device] < rooms[best])) {
                best = device;
            }
        }
        if (best == Draft.HOST) {
            return null;
        }
        int[] homes = new int[items.size()];
        Arrays.fill(homes, best);
        return homes;
    }

    private int @Nullable [] split(ItemSequence items) {
        int[] full = ContiguousSplit.cover(items, rooms);
        if (full == null || policy.split() == SplitMode.SEQUENTIAL) {
            return full;
        }
        long low = 0;
        long high =
                policy.split() == SplitMode.SPREAD ? Arrays.stream(rooms).max().orElse(0) : SHARES;
        int[] best = full;
        while (low < high) {
            long middle = low + (high - low) / 2;
            int[] homes = ContiguousSplit.cover(items, bounded(middle));
            if (homes == null) {
                low = middle + 1;
            } else {
                best = homes;
                high = middle;
            }
        }
        return best;
    }

    /** The rooms cut to a number of bytes, or to a share. */
    private long[] bounded(long bound) {
        return Arrays.stream(rooms)
                .map(room -> policy.split() == SplitMode.SPREAD || room < 0
                        ? Math.min(room, bound)
                        : room / SHARES * bound + room % SHARES * bound / SHARES)
                .toArray();
    }

    private Optional<Draft> fewestHostExperts() {
        int low = 1;
        int high = model.layers().size();
        Optional<Draft> best = onDevices(high);
        if (best.isEmpty()) {
            return best;
        }
        while (low < high) {
            int middle = (low + high) >>> 1;
            Optional<Draft> draft = onDevices(middle);
            if (draft.isPresent()) {
                best = draft;
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return best;
    }

    /** As many layers on devices as can be, and the rest on the host. */
    private Optional<Draft> partly() {
        List<Draft> drafts = new ArrayList<>();
        addPartly(drafts, 0);
        if (model.hasExperts()) {
            addPartly(drafts, model.layers().size());
        }
        ItemSequence all = ItemSequence.of(model, 0, false, false);
        int[] onHost = new int[all.size()];
        Arrays.fill(onHost, Draft.HOST);
        drafts.add(new Draft(all, onHost));
        // A device that computes the output alone is worth it only where the host has no room for that.
        return drafts.stream()
                .filter(this::hostHasRoom)
                .min(Comparator.comparing(Draft::isDeviceWithoutLayers).thenComparing(Draft.BEST_FIRST));
    }

    private void addPartly(List<Draft> drafts, int hostExperts) {
        for (boolean output : new boolean[] {true, false}) {
            ItemSequence items = ItemSequence.of(model, hostExperts, !embeddingStays(), output);
            int floor = 0;
            while (floor < items.size() && items.layersFrom(floor) > maxLayers) {
                floor++;
            }
            drafts.add(new Draft(items, ContiguousSplit.suffix(items, rooms, floor)));
            new ScatteredFit(items, rooms, maxLayers)
                    .candidates()
                    .forEach(homes -> drafts.add(new Draft(items, homes)));
        }
    }

    private boolean hostHasRoom(Draft draft) {
        long bytes = draft.hostBytes();
        boolean unused = bytes == 0 && draft.allOnDevices();
        return unused || (host.isPresent() && bytes <= host.get().roomBytes() - model.hostComputeBytes());
    }
}
