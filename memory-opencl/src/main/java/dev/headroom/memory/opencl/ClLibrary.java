package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.NativeBinding;
import dev.headroom.memory.spi.UnavailableException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.jocl.cl_mem;

/**
 * Finds OpenCL without a sound. JOCL prints when the system has no loader, and its failed initialiser is final for the
 * whole process; so the loader is looked for first, and no class of JOCL's that has an initialiser is touched before it
 * is there.
 */
final class ClLibrary {

    private static final NativeBinding JOCL =
            new NativeBinding("jocl", "org.jocl.CL", ClLibrary.class.getClassLoader(), folder -> {});

    static final String INSTALL_HINT =
            "install the OpenCL driver of your GPU's vendor, or PoCL for the CPU (on Debian: pocl-opencl-icd and"
                    + " ocl-icd-libopencl1)";

    private final List<String> names;

    /** Looks for the loader under names of the caller's choice. */
    ClLibrary(List<String> names) {
        this.names = names;
    }

    /** The loader under the names it has on this system. */
    static ClLibrary ofSystem() {
        String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        if (system.startsWith("windows")) {
            return new ClLibrary(List.of("OpenCL.dll"));
        }
        if (system.startsWith("mac")) {
            return new ClLibrary(List.of("/System/Library/Frameworks/OpenCL.framework/OpenCL"));
        }
        return new ClLibrary(List.of("libOpenCL.so.1", "libOpenCL.so"));
    }

    /** The calls, ready for use. */
    ClApi load() throws UnavailableException {
        // Without permission the JVM prints warnings, and a later one will refuse.
        if (!ClLibrary.class.getModule().isNativeAccessEnabled()
                || !cl_mem.class.getModule().isNativeAccessEnabled()) {
            throw new UnavailableException(
                    "this JVM may not call native code",
                    "start Java with --enable-native-access=ALL-UNNAMED, or with the names of the modules"
                            + " dev.headroom.memory.opencl and jocl");
        }
        SymbolLookup loader = find().orElseThrow(() -> new UnavailableException(
                "no OpenCL loader: %s cannot be opened".formatted(String.join(" or ", names)), INSTALL_HINT));
        try {
            JOCL.load();
            return new JoclApi(loader);
        } catch (IOException noFolder) {
            throw new UnavailableException(
                    "no place to unpack JOCL's native library: " + noFolder.getMessage(),
                    "make the folder for temporary files writable, or name another with -Djava.io.tmpdir",
                    noFolder);
        } catch (NoSuchElementException missing) {
            throw new UnavailableException(
                    "the OpenCL loader is too old: " + missing.getMessage(), INSTALL_HINT, missing);
        } catch (LinkageError broken) {
            throw new UnavailableException(
                    "JOCL cannot load its native library: " + firstLine(broken),
                    "use a system JOCL has natives for: Linux, Windows and macOS on x86-64, Linux and macOS on ARM64",
                    broken);
        }
    }

    @SuppressWarnings("restricted")
    private Optional<SymbolLookup> find() {
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

    private static String firstLine(Throwable thrown) {
        return String.valueOf(thrown.getMessage()).lines().findFirst().orElse("");
    }
}
