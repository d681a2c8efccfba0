package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.UnavailableException;
import java.io.IOException;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import jcuda.JCudaVersion;

/**
 * Finds CUDA without a sound. JCuda's failed initialiser is final for the whole process, and a call to a function the
 * driver lacks ends it; so the driver's library and its functions are looked for first, and no class of JCuda's that has
 * natives is touched before they are there.
 */
final class CudaLibrary {

    static final String INSTALL_HINT = "install NVIDIA's driver; in a container, start it with the GPU (--gpus all)";
    static final String UPDATE_HINT = "install a newer driver of NVIDIA's, of the series 450 or later";

    /** The oldest driver that has every function called here: CUDA 11.0. */
    private static final int OLDEST_VERSION = 11_000;

    private static final int MAJOR = 1000;
    private static final int MINOR = 10;

    private final List<String> names;

    /** Looks for the driver under names of the caller's choice. */
    CudaLibrary(List<String> names) {
        this.names = names;
    }

    /** The driver under the name it has on this system. */
    static CudaLibrary ofSystem() {
        return new CudaLibrary(NativeLibraries.driver());
    }

    /** The calls, ready for use; the driver is initialised. */
    CudaApi load() throws UnavailableException {
        requirePermission();
        SymbolLookup driver = NativeLibraries.open(names).orElseThrow(this::absent);
        List<String> missing = CudaSymbols.missing(CudaSymbols.REQUIRED, driver);
        if (!missing.isEmpty()) {
            throw new UnavailableException(
                    "the CUDA driver is too old or broken: it lacks " + String.join(", ", missing), UPDATE_HINT);
        }
        CudaApi cuda = bind(driver);
        requireVersion(cuda);
        initialise(cuda);
        return cuda;
    }

    /** Without permission the JVM prints warnings, and a later one will refuse. */
    private static void requirePermission() throws UnavailableException {
        if (!CudaLibrary.class.getModule().isNativeAccessEnabled()
                || !JCudaVersion.class.getModule().isNativeAccessEnabled()) {
            throw new UnavailableException(
                    "this JVM may not call native code",
                    "start Java with --enable-native-access=ALL-UNNAMED, or with the names of the modules"
                            + " dev.headroom.memory.cuda and jcuda");
        }
    }

    private UnavailableException absent() {
        for (String name : names) {
            String complaint = DynamicLoader.complaint(name).orElse("");
            if (!complaint.isEmpty() && !complaint.contains("No such file")) {
                return new UnavailableException(
                        "the CUDA driver cannot be loaded: " + complaint,
                        "reinstall NVIDIA's driver for the architecture of this JVM, " + System.getProperty("os.arch"));
            }
        }
        return new UnavailableException(
                "no CUDA driver: %s cannot be opened".formatted(String.join(" or ", names)), INSTALL_HINT);
    }

    private static CudaApi bind(SymbolLookup driver) throws UnavailableException {
        try {
            JcudaNatives.load();
            return new JcudaApi(driver);
        } catch (IOException noFolder) {
            throw new UnavailableException(
                    "no place to unpack JCuda's native library: " + noFolder.getMessage(),
                    "make the folder for temporary files writable, or name another with -Djava.io.tmpdir",
                    noFolder);
        } catch (LinkageError broken) {
            throw new UnavailableException(
                    "JCuda cannot load its native library: " + firstLine(broken),
                    "use a system JCuda has natives for: Linux and Windows on x86-64",
                    broken);
        }
    }

    private static void requireVersion(CudaApi cuda) throws UnavailableException {
        int[] version = new int[1];
        int code = cuda.driverVersion(version);
        if (code != CudaApi.SUCCESS) {
            throw fails("cuDriverGetVersion", code);
        }
        if (version[0] < OLDEST_VERSION) {
            throw new UnavailableException(
                    "the CUDA driver is too old: it offers CUDA %s, and %s is needed"
                            .formatted(text(version[0]), text(OLDEST_VERSION)),
                    UPDATE_HINT);
        }
    }

    private static void initialise(CudaApi cuda) throws UnavailableException {
        int code = cuda.init();
        if (code == CudaError.NO_DEVICE) {
            throw noDevice();
        }
        if (code != CudaApi.SUCCESS) {
            throw fails("cuInit", code);
        }
    }

    /** A driver that shows no device. */
    static UnavailableException noDevice() {
        String visible = System.getenv("CUDA_VISIBLE_DEVICES");
        return new UnavailableException(
                "there is a CUDA driver, but no device (CUDA_ERROR_NO_DEVICE)",
                visible == null
                        ? "look whether nvidia-smi lists a GPU"
                        : "CUDA_VISIBLE_DEVICES is '%s': name a GPU that nvidia-smi lists, or unset it"
                                .formatted(visible));
    }

    /** A driver that fails before it says what devices it has. */
    static UnavailableException fails(String call, int code) {
        return new UnavailableException(
                "the CUDA driver fails: " + CudaError.failed(call, code).getMessage(), hint(code));
    }

    private static String hint(int code) {
        return switch (code) {
            case 34 -> "take the stub libraries of the CUDA toolkit out of the library path: they can do nothing";
            case 803 -> "restart the machine: the driver was updated while it was running";
            case 802 -> "start nvidia-fabricmanager, which this machine's GPUs need";
            case 304, 999 -> "look whether nvidia-smi works; loading the module nvidia-uvm may help";
            default -> "look whether nvidia-smi works; if not, reinstall NVIDIA's driver";
        };
    }

    static String text(int version) {
        return version / MAJOR + "." + version % MAJOR / MINOR;
    }

    private static String firstLine(Throwable thrown) {
        return String.valueOf(thrown.getMessage()).lines().findFirst().orElse("");
    }
}
