package dev.headroom.memory.spi;

import dev.headroom.memory.GpuDevice;
import java.util.List;

/** What a backend found. */
public sealed interface BackendProbe {

    /**
     * The backend works.
     *
     * @param devices its devices in the order of their index, at least one
     */
    record Available(List<GpuDevice> devices) implements BackendProbe {
        /** Copies the list. */
        public Available {
            devices = List.copyOf(devices);
            if (devices.isEmpty()) {
                throw new IllegalArgumentException("a backend without devices is unavailable, not available");
            }
        }
    }

    /**
     * The backend offers nothing.
     *
     * @param reason what is missing, one line, such as {@code no driver: libcuda.so.1 was not found}
     * @param hint   what the user can do, one line
     */
    record Unavailable(String reason, String hint) implements BackendProbe {}
}
