package dev.headroom.memory.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Opens libraries of the system without a sound, and knows what NVIDIA's are called. */
final class NativeLibraries {

    private NativeLibraries() {}

    /** The names of the driver on this system, none where there is no CUDA. */
    static List<String> driver() {
        return named("libcuda.so.1", "nvcuda.dll");
    }

    /** The names of the management library, which comes with the driver. */
    static List<String> management() {
        return named("libnvidia-ml.so.1", "nvml.dll");
    }

    /**
     * Opens a library under the first name that is there.
     *
     * @param names what it may be called
     * @return what is in it; the library stays as long as this is used
     */
    @SuppressWarnings("restricted")
    static Optional<SymbolLookup> open(List<String> names) {
        for (String name : names) {
            try {
                // The lookup keeps the arena, and with it the library, for as long as it is used itself.
                return Optional.of(SymbolLookup.libraryLookup(name, Arena.ofAuto()));
            } catch (IllegalArgumentException notThere) {
                // The next name.
            }
        }
        return Optional.empty();
    }

    private static List<String> named(String linux, String windows) {
        String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        return system.startsWith("windows") ? List.of(windows) : List.of(linux);
    }
}
