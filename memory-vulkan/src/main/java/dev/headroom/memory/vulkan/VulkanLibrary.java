package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.UnavailableException;
import java.io.File;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.lwjgl.PointerBuffer;
import org.lwjgl.system.Platform;

/**
 * Finds Vulkan without a sound. LWJGL prints advice when the system has no loader, and its failed initialiser is final for
 * the whole process; so the loader is looked for first, and no class of LWJGL's that has an initialiser is touched before
 * it is there.
 */
final class VulkanLibrary {

    static final String INSTALL_HINT =
            "install the Vulkan driver of your GPU's vendor, or Mesa's for the CPU and for AMD and Intel (on Debian:"
                    + " mesa-vulkan-drivers and libvulkan1)";

    /** How LWJGL reaches memory. With its default, a class that Java is about to remove, Java warns on the console. */
    private static final String MEMORY_BACKEND = "org.lwjgl.system.memoryBackend";

    /** MoltenVK as LWJGL brings it; macOS has no loader of its own. */
    private static final List<String> BROUGHT_ALONG =
            List.of("macos/arm64/org/lwjgl/vulkan/libMoltenVK.dylib", "macos/x64/org/lwjgl/vulkan/libMoltenVK.dylib");

    private static @Nullable String failure; // guarded by the class

    private final List<String> names;
    private final boolean mayBringItsOwn;

    /** Looks for the loader under names of the caller's choice. */
    VulkanLibrary(List<String> names, boolean mayBringItsOwn) {
        this.names = names;
        this.mayBringItsOwn = mayBringItsOwn;
    }

    /** The loader under the names it has on this system, which are those LWJGL looks for. */
    static VulkanLibrary ofSystem() {
        String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        if (system.startsWith("windows")) {
            return new VulkanLibrary(List.of("vulkan-1.dll"), false);
        }
        if (system.startsWith("mac")) {
            return new VulkanLibrary(List.of("libvulkan.1.dylib", "libMoltenVK.dylib"), true);
        }
        return new VulkanLibrary(List.of("libvulkan.so.1"), false);
    }

    /** The calls, ready for use. */
    VkApi load() throws UnavailableException {
        // Without permission the JVM prints warnings, and a later one will refuse.
        if (!VulkanLibrary.class.getModule().isNativeAccessEnabled()
                || !PointerBuffer.class.getModule().isNativeAccessEnabled()) {
            throw new UnavailableException(
                    "this JVM may not call native code",
                    "start Java with --enable-native-access=ALL-UNNAMED, or with the names of the modules"
                            + " dev.headroom.memory.vulkan and org.lwjgl");
        }
        if (!isThere()) {
            throw new UnavailableException(
                    "no Vulkan loader: %s cannot be opened".formatted(String.join(" or ", names)), INSTALL_HINT);
        }
        useForeignMemory();
        requireNatives();
        return start();
    }

    /** Runs LWJGL's initialisers. They run once only, so what they said the first time holds for good. */
    private static synchronized VkApi start() throws UnavailableException {
        if (failure == null) {
            try {
                return LwjglVk.load();
            } catch (LinkageError | RuntimeException broken) {
                failure = rootCause(broken);
            }
        }
        throw new UnavailableException(
                "LWJGL does not start: " + failure,
                "reinstall the Vulkan loader; make the folder for temporary files writable; LWJGL has natives for"
                        + " Linux, Windows and macOS");
    }

    /** LWJGL prints when it does not find its own library: neither packed for this system, nor where the user put it. */
    private static void requireNatives() throws UnavailableException {
        String system = switch (Platform.get()) {
            case LINUX -> "linux";
            case MACOSX -> "macos";
            case WINDOWS -> "windows";
            case FREEBSD -> "freebsd";
        };
        String architecture = Platform.getArchitecture().name().toLowerCase(Locale.ROOT);
        String name = System.mapLibraryName("lwjgl");
        boolean packed = isResource("%s/%s/org/lwjgl/%s".formatted(system, architecture, name));
        boolean laidOut = System.getProperty("org.lwjgl.librarypath") != null
                || Arrays.stream(System.getProperty("java.library.path", "").split(File.pathSeparator))
                        .anyMatch(folder -> new File(folder, name).exists());
        if (!packed && !laidOut) {
            throw new UnavailableException(
                    "LWJGL's native library for %s on %s is not on the class path".formatted(system, architecture),
                    "add org.lwjgl:lwjgl with the classifier natives-" + system
                            + ", or another one LWJGL has for this system");
        }
    }

    private static boolean isResource(String name) {
        return PointerBuffer.class.getClassLoader().getResource(name) != null;
    }

    /** Chooses how LWJGL reaches memory, unless the user has. It reads the choice once, with its first class. */
    private static void useForeignMemory() {
        if (System.getProperty(MEMORY_BACKEND) == null) {
            System.setProperty(MEMORY_BACKEND, "ffm");
        }
    }

    private boolean isThere() {
        return names.stream().anyMatch(VulkanLibrary::opens)
                || (mayBringItsOwn && BROUGHT_ALONG.stream().anyMatch(VulkanLibrary::isResource));
    }

    @SuppressWarnings("restricted")
    private static boolean opens(String name) {
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup.libraryLookup(name, arena);
            return true;
        } catch (IllegalArgumentException notThere) {
            return false;
        }
    }

    private static String rootCause(Throwable thrown) {
        Throwable root = thrown;
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            root = cause;
        }
        return root.toString().lines().findFirst().orElse("");
    }
}
