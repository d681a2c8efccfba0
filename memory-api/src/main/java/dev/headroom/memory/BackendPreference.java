package dev.headroom.memory;

import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Which devices a selection may choose from: all of them, one backend's, or a single one.
 *
 * @param backend the only backend allowed, or empty for all
 * @param index   the only device allowed within that backend, or empty for all
 */
public record BackendPreference(Optional<String> backend, OptionalInt index) {

    private static final BackendPreference AUTO = new BackendPreference(Optional.empty(), OptionalInt.empty());

    /** Folds the name to lower case and refuses an index without a backend. */
    public BackendPreference {
        backend = backend.map(name -> name.strip().toLowerCase(Locale.ROOT));
        if (backend.filter(String::isEmpty).isPresent()) {
            throw new IllegalArgumentException("backend must not be blank: leave it empty to allow all");
        }
        if (index.isPresent() && backend.isEmpty()) {
            throw new IllegalArgumentException("a device index needs a backend");
        }
        if (index.isPresent() && index.getAsInt() < 0) {
            throw new IllegalArgumentException("device index is " + index.getAsInt() + ": must be 0 or more");
        }
    }

    /**
     * Any device of any backend.
     *
     * @return the preference for all
     */
    public static BackendPreference auto() {
        return AUTO;
    }

    /**
     * Reads {@code auto}, a backend such as {@code opencl}, or a device such as {@code cuda:1}. Whether there is such a
     * backend is decided where the preference is used.
     *
     * @param text the text
     * @return the preference
     * @throws IllegalArgumentException if the text has none of these forms
     */
    public static BackendPreference parse(String text) {
        String name = text.strip().toLowerCase(Locale.ROOT);
        if (name.equals("auto")) {
            return AUTO;
        }
        int colon = name.indexOf(':');
        String backend = colon < 0 ? name : name.substring(0, colon);
        if (backend.isBlank()) {
            throw new IllegalArgumentException("backend '" + text
                    + "' is not understood: write auto, a backend such as cuda, or a device such as cuda:1");
        }
        if (colon < 0) {
            return new BackendPreference(Optional.of(backend), OptionalInt.empty());
        }
        try {
            int index = Integer.parseInt(name.substring(colon + 1));
            return new BackendPreference(Optional.of(backend), OptionalInt.of(index));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(
                    "device '" + text + "' is not understood: write backend and number, such as cuda:1", e);
        }
    }

    /**
     * Whether this preference leaves the choice open.
     *
     * @return true for {@link #auto()}
     */
    public boolean isAuto() {
        return backend.isEmpty();
    }

    /**
     * Whether a device is allowed.
     *
     * @param device the device
     * @return true if it is
     */
    public boolean allows(GpuDevice device) {
        return (backend.isEmpty() || backend.get().equals(device.backend()))
                && (index.isEmpty() || index.getAsInt() == device.index());
    }

    @Override
    public String toString() {
        return backend.map(name -> index.isPresent() ? name + ":" + index.getAsInt() : name)
                .orElse("auto");
    }
}
