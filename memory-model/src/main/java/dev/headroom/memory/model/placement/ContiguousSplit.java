package dev.headroom.memory.model.placement;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Gives each device a stretch of neighbouring items. Up to {@value #MAX_EXACT} devices the answer is exact whatever the order
 * of the devices along the model: the best reach of every set of devices follows from those of its subsets. For more devices
 * the given order and that by falling room are tried.
 *
 * <p>An answer is the device of each item, or {@link Draft#HOST}.
 */
final class ContiguousSplit {

    private static final int MAX_EXACT = 10;

    private ContiguousSplit() {}

    /** All items on devices, in their given order if that is possible; null if it cannot be done. */
    static int @Nullable [] cover(ItemSequence items, long[] rooms) {
        int[] homes = new int[items.size()];
        int next = 0;
        for (int device = 0; device < rooms.length; device++) {
            int end = rooms[device] < 0 ? next : items.forward(next, rooms[device]);
            Arrays.fill(homes, next, end, device);
            next = end;
        }
        if (next == items.size()) {
            return homes;
        }
        int[] fromTheEnd = suffix(items, rooms, 0);
        return fromTheEnd.length == 0 || fromTheEnd[0] != Draft.HOST ? fromTheEnd : null;
    }

    /** As many of the last items on devices as can be, none of them before {@code floor}; the others on the host. */
    static int[] suffix(ItemSequence items, long[] rooms, int floor) {
        int[] given = fill(items, rooms, floor, reversed(rooms.length));
        int[] best = rooms.length <= MAX_EXACT ? exact(items, rooms, floor) : byFallingRoom(items, rooms, floor);
        return start(best) < start(given) ? best : given;
    }

    /** The first item on a device. */
    private static int start(int[] homes) {
        int first = 0;
        while (first < homes.length && homes[first] == Draft.HOST) {
            first++;
        }
        return first;
    }

    private static int[] reversed(int count) {
        return IntStream.range(0, count).map(i -> count - 1 - i).toArray();
    }

    private static int[] byFallingRoom(ItemSequence items, long[] rooms, int floor) {
        int[] order = IntStream.range(0, rooms.length)
                .boxed()
                .sorted(Comparator.comparingLong((Integer device) -> rooms[device])
                        .reversed())
                .mapToInt(Integer::intValue)
                .toArray();
        return fill(items, rooms, floor, order);
    }

    /** Fills devices from the end of the model on, in an order. */
    private static int[] fill(ItemSequence items, long[] rooms, int floor, int[] order) {
        int[] homes = new int[items.size()];
        Arrays.fill(homes, Draft.HOST);
        int end = items.size();
        for (int device : order) {
            int start = rooms[device] < 0 ? end : items.backward(end, rooms[device], floor);
            Arrays.fill(homes, start, end, device);
            end = start;
        }
        return homes;
    }

    private static int[] exact(ItemSequence items, long[] rooms, int floor) {
        int sets = 1 << rooms.length;
        int[] reach = new int[sets];
        int[] last = new int[sets];
        reach[0] = items.size();
        int best = 0;
        for (int set = 1; set < sets; set++) {
            reach[set] = items.size();
            last[set] = -1;
            for (int device = 0; device < rooms.length; device++) {
                int without = set & ~(1 << device);
                if (without == set) {
                    continue;
                }
                int end = reach[without];
                int start = rooms[device] < 0 ? end : items.backward(end, rooms[device], floor);
                if (last[set] < 0 || start < reach[set]) {
                    reach[set] = start;
                    last[set] = device;
                }
            }
            boolean fewer = Integer.bitCount(set) < Integer.bitCount(best);
            if (reach[set] < reach[best] || (reach[set] == reach[best] && fewer)) {
                best = set;
            }
        }
        int[] order = new int[Integer.bitCount(best)];
        for (int i = order.length - 1, set = best; i >= 0; i--) {
            order[i] = last[set];
            set &= ~(1 << last[set]);
        }
        return fill(items, rooms, floor, order);
    }
}
