package dev.headroom.memory.model.placement;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Places items one by one, neighbours or not, for models whose layers differ so much in size that stretches waste room. Each
 * answer is the device of each item, or {@link Draft#HOST}. The first is plain first fit, so that whoever takes the best of
 * them is never worse than that.
 */
final class ScatteredFit {

    /** Above this many layers the exact answer for one device takes too long. */
    private static final int MAX_EXACT_LAYERS = 1024;

    private final ItemSequence items;
    private final long[] rooms;
    private final int maxLayers;

    ScatteredFit(ItemSequence items, long[] rooms, int maxLayers) {
        this.items = items;
        this.rooms = rooms;
        this.maxLayers = maxLayers;
    }

    List<int[]> candidates() {
        Comparator<Integer> byBytes =
                Comparator.comparingLong(index -> items.item(index).bytes());
        Comparator<Integer> layersLast =
                Comparator.comparingInt(index -> items.item(index).layers() == 0 ? 0 : 1);
        List<int[]> candidates = new ArrayList<>();
        candidates.add(place(order((_, _) -> 0), false));
        candidates.add(place(order(byBytes.reversed()), false));
        candidates.add(place(order(byBytes.reversed()), true));
        candidates.add(place(order(byBytes), false));
        candidates.add(place(order(layersLast.thenComparing(byBytes)), false));
        if (rooms.length == 1 && !items.model().groups().isEmpty() && items.layersFrom(0) <= MAX_EXACT_LAYERS) {
            candidates.add(mostLayers());
        }
        return candidates;
    }

    private int[] order(Comparator<Integer> comparator) {
        return IntStream.range(0, items.size())
                .boxed()
                .sorted(comparator)
                .mapToInt(Integer::intValue)
                .toArray();
    }

    /** Puts each item on the first device with room, or on the one it fills best. */
    private int[] place(int[] order, boolean bestFit) {
        int[] homes = new int[items.size()];
        Arrays.fill(homes, Draft.HOST);
        long[] left = rooms.clone();
        int layers = 0;
        for (int index : order) {
            ItemSequence.Item item = items.item(index);
            if (layers + item.layers() > maxLayers) {
                continue;
            }
            int home = Draft.HOST;
            for (int device = 0; device < left.length; device++) {
                boolean better = home == Draft.HOST || (bestFit && left[device] < left[home]);
                if (left[device] >= item.bytes() && better) {
                    home = device;
                }
            }
            if (home != Draft.HOST) {
                homes[index] = home;
                left[home] -= item.bytes();
                layers += item.layers();
            }
        }
        return homes;
    }

    /** The most layers one device can take, by the least bytes any number of them need. What has no layers goes first. */
    private int[] mostLayers() {
        int[] homes = new int[items.size()];
        Arrays.fill(homes, Draft.HOST);
        long room = rooms[0];
        List<Integer> units = new ArrayList<>();
        for (int i = 0; i < items.size(); i++) {
            if (items.item(i).layers() > 0) {
                units.add(i);
            } else if (items.item(i).bytes() <= room) {
                homes[i] = 0;
                room -= items.item(i).bytes();
            }
        }
        int layers = Math.min(items.layersFrom(0), maxLayers);
        long[] least = new long[layers + 1];
        Arrays.fill(least, 1, layers + 1, Long.MAX_VALUE);
        boolean[][] taken = new boolean[units.size()][layers + 1];
        for (int u = 0; u < units.size(); u++) {
            ItemSequence.Item item = items.item(units.get(u));
            for (int count = layers; count >= item.layers(); count--) {
                long before = least[count - item.layers()];
                if (before != Long.MAX_VALUE && before + item.bytes() < least[count]) {
                    least[count] = before + item.bytes();
                    taken[u][count] = true;
                }
            }
        }
        int count = layers;
        while (least[count] > room) {
            if (count-- == 0) {
                return homes; // not even nothing fits: the device is overdrawn
            }
        }
        for (int u = units.size() - 1; u >= 0; u--) {
            if (taken[u][count]) {
                homes[units.get(u)] = 0;
                count -= items.item(units.get(u)).layers();
            }
        }
        return homes;
    }
}
