package dev.headroom.memory.model.placement;

import dev.headroom.memory.ByteSize;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** A placement in words. */
final class PlacementText {

    private PlacementText() {}

    static String of(Placement placement) {
        StringJoiner lines = new StringJoiner("\n");
        lines.add(head(placement));
        for (DeviceShare share : placement.shares()) {
            lines.add("  " + line(placement, share));
        }
        placement.counterfactuals().forEach(change -> lines.add("  " + change.text()));
        return lines.toString();
    }

    private static String head(Placement placement) {
        int layers = placement.layers().size();
        String all = layers == 1 ? "its one layer" : "all " + layers + " layers";
        String first = placement.shares().isEmpty()
                ? ""
                : placement.shares().getFirst().deviceId();
        return switch (placement.kind()) {
            case ONE_DEVICE -> all + " on " + first;
            case SPLIT ->
                all + " on " + counted(computing(placement), "device") + ", "
                        + placement.split().label();
            case EXPERTS_ON_HOST ->
                all + " on " + counted(computing(placement), "device") + ", experts of "
                        + counted(
                                placement.layers().stream()
                                        .filter(place -> !place.expertDeviceId().equals(place.deviceId()))
                                        .count(),
                                "layer")
                        + " on the host";
            case PARTLY_ON_HOST -> {
                long onHost = placement.layersOn(placement.shares().getLast().deviceId());
                String rest = onHost == 0 ? "the output on the host" : onHost + " on the host";
                yield (layers - onHost) + " of " + counted(layers, "layer") + " on devices, " + rest;
            }
            case HOST -> all + " on the host";
            case NOWHERE -> "no room: the place nearest to it lacks " + ByteSize.format(placement.shortBytes());
        };
    }

    private static String counted(long count, String noun) {
        return count + " " + noun + (count == 1 ? "" : "s");
    }

    private static long computing(Placement placement) {
        return placement.layers().stream().map(LayerPlace::deviceId).distinct().count();
    }

    private static String line(Placement placement, DeviceShare share) {
        String id = share.deviceId();
        StringJoiner parts = new StringJoiner(", ");
        add(parts, ranges(placement, place -> place.deviceId().equals(id)), "layer");
        add(
                parts,
                ranges(
                        placement,
                        place -> place.expertDeviceId().equals(id)
                                && !place.deviceId().equals(id)),
                "experts of layer");
        if (placement.embeddingDeviceId().filter(id::equals).isPresent()) {
            parts.add("embedding");
        }
        if (placement.outputDeviceId().filter(id::equals).isPresent()) {
            parts.add("output");
        }
        StringJoiner terms = new StringJoiner(", ");
        bytes(terms, "weights", share.weightBytes());
        bytes(terms, "experts", share.expertBytes());
        bytes(terms, "cache", share.cacheBytes());
        bytes(terms, "state", share.stateBytes());
        bytes(terms, "embedding and output", share.sharedBytes());
        bytes(terms, "compute", share.computeBytes());
        bytes(terms, "overhead", share.overheadBytes());
        return "%s: %s; %s of %s usable (%s); margin %s, %s to spare"
                .formatted(
                        id,
                        parts,
                        ByteSize.format(share.usedBytes()),
                        ByteSize.format(share.usableBytes()),
                        terms,
                        ByteSize.format(share.marginBytes()),
                        ByteSize.format(share.spareBytes()));
    }

    private static void add(StringJoiner parts, List<int[]> ranges, String name) {
        if (!ranges.isEmpty()) {
            boolean one = ranges.size() == 1 && ranges.getFirst()[0] == ranges.getFirst()[1];
            parts.add(name
                    + (one ? " " : "s ")
                    + ranges.stream().map(PlacementText::range).collect(Collectors.joining(" ")));
        }
    }

    private static String range(int[] range) {
        return range[0] == range[1] ? String.valueOf(range[0]) : range[0] + "-" + range[1];
    }

    private static void bytes(StringJoiner terms, String name, long bytes) {
        if (bytes > 0) {
            terms.add(name + " " + ByteSize.format(bytes));
        }
    }

    /** First and last of each stretch of neighbouring layers that are meant. */
    static List<int[]> ranges(Placement placement, Predicate<LayerPlace> meant) {
        List<int[]> ranges = new ArrayList<>();
        for (LayerPlace place : placement.layers()) {
            if (!meant.test(place)) {
                continue;
            }
            if (!ranges.isEmpty() && ranges.getLast()[1] == place.layer() - 1) {
                ranges.getLast()[1] = place.layer();
            } else {
                ranges.add(new int[] {place.layer(), place.layer()});
            }
        }
        return ranges;
    }
}
