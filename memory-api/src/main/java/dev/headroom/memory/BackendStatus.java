package dev.headroom.memory;

import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * What became of one backend: the devices it offers, or why it offers none.
 *
 * @param name    the backend's name
 * @param devices its devices, empty when it is absent
 * @param reason  why it is absent
 * @param hint    what to do about it
 */
public record BackendStatus(String name, List<GpuDevice> devices, Optional<String> reason, Optional<String> hint) {

    /** Copies the list. */
    public BackendStatus {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(reason, "reason");
        Objects.requireNonNull(hint, "hint");
        devices = List.copyOf(devices);
    }

    /**
     * Whether the backend offers devices.
     *
     * @return true if it does
     */
    public boolean available() {
        return reason.isEmpty();
    }
}
