package dev.headroom.memory.model;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Finds things by name. A sorted array costs less than a map and cannot be made slow by chosen names. Thread-safe.
 *
 * @param <T> what has a name
 */
final class NameIndex<T> {

    private final List<T> sorted;
    private final Function<T, String> name;

    NameIndex(Collection<T> all, Function<T, String> name) {
        this.sorted = new ArrayList<>(all);
        this.name = name;
        sorted.sort(Comparator.comparing(name));
    }

    int size() {
        return sorted.size();
    }

    /** The thing of that name, or empty if there is none. */
    Optional<T> find(String wanted) {
        int low = 0;
        int high = sorted.size() - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            int order = name.apply(sorted.get(middle)).compareTo(wanted);
            if (order == 0) {
                return Optional.of(sorted.get(middle));
            }
            if (order < 0) {
                low = middle + 1;
            } else {
                high = middle - 1;
            }
        }
        return Optional.empty();
    }

    /** The second thing of the first name that is there twice, or empty if all names differ. */
    Optional<T> repeated() {
        for (int i = 1; i < sorted.size(); i++) {
            if (name.apply(sorted.get(i)).equals(name.apply(sorted.get(i - 1)))) {
                return Optional.of(sorted.get(i));
            }
        }
        return Optional.empty();
    }
}
