package dev.headroom.memory.model.placement;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** A placement as JSON: one line, ASCII, unknown values null. */
final class PlacementJson {

    private PlacementJson() {}

    static String of(Placement placement) {
        return "{\"kind\":" + text(placement.kind().label())
                + ",\"split\":" + text(placement.split().label())
                + ",\"layers\":" + placement.layers().size()
                + ",\"embedding\":" + text(placement.embeddingDeviceId())
                + ",\"output\":" + text(placement.outputDeviceId())
                + ",\"shortBytes\":" + placement.shortBytes()
                + ",\"devices\":"
                + array(placement.shares().stream()
                        .map(share -> share(placement, share))
                        .toList())
                + ",\"counterfactuals\":"
                + array(placement.counterfactuals().stream()
                        .map(PlacementJson::change)
                        .toList())
                + "}";
    }

    private static String share(Placement placement, DeviceShare share) {
        String id = share.deviceId();
        return "{\"device\":" + text(id)
                + ",\"layers\":" + ranges(placement, place -> place.deviceId().equals(id))
                + ",\"expertLayers\":"
                + ranges(
                        placement,
                        place -> place.expertDeviceId().equals(id)
                                && !place.deviceId().equals(id))
                + ",\"usableBytes\":" + share.usableBytes()
                + ",\"marginBytes\":" + share.marginBytes()
                + ",\"usedBytes\":" + share.usedBytes()
                + ",\"spareBytes\":" + share.spareBytes()
                + ",\"weightsBytes\":" + share.weightBytes()
                + ",\"expertBytes\":" + share.expertBytes()
                + ",\"kvCacheBytes\":" + share.cacheBytes()
                + ",\"stateBytes\":" + share.stateBytes()
                + ",\"sharedBytes\":" + share.sharedBytes()
                + ",\"computeBytes\":" + share.computeBytes()
                + ",\"overheadBytes\":" + share.overheadBytes()
                + "}";
    }

    private static String change(Counterfactual change) {
        return "{\"change\":" + text(change.change().label())
                + ",\"goal\":"
                + text(change.goal().name().toLowerCase(Locale.ROOT).replace('_', '-'))
                + ",\"text\":" + text(change.text())
                + ",\"context\":" + number(change.context())
                + ",\"bytes\":" + number(change.bytes())
                + ",\"device\":" + text(change.deviceId())
                + "}";
    }

    private static String ranges(Placement placement, Predicate<LayerPlace> meant) {
        return array(PlacementText.ranges(placement, meant).stream()
                .map(range -> "[" + range[0] + "," + range[1] + "]")
                .toList());
    }

    private static String array(List<String> elements) {
        return elements.stream().collect(Collectors.joining(",", "[", "]"));
    }

    private static String number(OptionalLong value) {
        return value.isPresent() ? String.valueOf(value.getAsLong()) : "null";
    }

    private static String text(Optional<String> value) {
        return value.map(PlacementJson::text).orElse("null");
    }

    private static String text(String value) {
        StringBuilder json = new StringBuilder("\"");
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                json.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }
}
