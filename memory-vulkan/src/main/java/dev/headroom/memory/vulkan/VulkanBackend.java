package dev.headroom.memory.vulkan;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.spi.UnavailableException;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Every device of every Vulkan driver: AMD, Intel, NVIDIA, Apple through MoltenVK, and the CPU through Mesa's lavapipe.
 *
 * <p>Creating the backend touches no native library. Probing is silent: a missing loader, driver or device is an answer,
 * and so is a broken one. Needs permission for native calls ({@code --enable-native-access}); without it Vulkan counts as
 * unavailable, because the JVM would print warnings. Sets the system property {@code org.lwjgl.system.memoryBackend} to
 * {@code ffm} before LWJGL's first class, unless it is set.
 *
 * <p>{@link #builder()} takes options. A backend found on the class path has those of the system properties {@code
 * headroom.vulkan.validation}, {@code headroom.vulkan.staged} (both false unless set to true) and {@code
 * headroom.vulkan.timelines} (true unless set to false).
 *
 * <p>Thread-safe.
 */
public final class VulkanBackend implements MemoryBackend {

    /** The backend's name. */
    static final String NAME = "vulkan";

    private static final int PRIORITY = 200;

    /** Gets the calls. */
    @FunctionalInterface
    interface Loader {
        VkApi load() throws UnavailableException;
    }

    /**
     * What probing found.
     *
     * @param instance the instance
     * @param devices  its devices
     */
    private record Found(VulkanInstance instance, List<VulkanDevice> devices) {}

    private final Loader loader;
    private final VulkanOptions options;
    private final Object lock = new Object();
    private @Nullable Found found; // guarded by lock

    /** For {@link java.util.ServiceLoader}. */
    public VulkanBackend() {
        this(() -> VulkanLibrary.ofSystem().load(), VulkanOptions.ofSystem());
    }

    /** With calls of the caller's choice. */
    VulkanBackend(Loader loader, VulkanOptions options) {
        this.loader = loader;
        this.options = options;
    }

    /**
     * A backend with options, for {@code GpuMemory.builder().backend(...)}.
     *
     * @return a builder that begins with the system properties
     */
    public static Builder builder() {
        return new Builder();
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return PRIORITY;
    }

    @Override
    public int spiVersion() {
        // A constant, so the compiler writes the number of this build into the class file, as the contract wants it.
        return SPI_VERSION;
    }

    @Override
    public BackendProbe probe() {
        try {
            return new BackendProbe.Available(look().devices().stream()
                    .map(device -> device.profile().device())
                    .toList());
        } catch (UnavailableException absent) {
            return absent.answer();
        }
    }

    @Override
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        VulkanDevice match = find(known(), device);
        return match.budget(match.profile().mainHeap());
    }

    @Override
    public DeviceDriver open(GpuDevice device) throws DriverException {
        Found known = known();
        return VulkanDriver.open(known.instance().handle(), find(known, device), options);
    }

    @Override
    public void close() {
        synchronized (lock) {
            if (found != null) {
                found.instance().close();
                found = null;
            }
        }
    }

    /** Lists the devices anew. The instance stays, because drivers may be open on its devices. */
    private Found look() throws UnavailableException {
        synchronized (lock) {
            Found before = found;
            if (before != null) {
                found = new Found(before.instance(), before.instance().devices());
                return found;
            }
            VulkanInstance instance = VulkanInstance.open(loader.load(), options);
            try {
                found = new Found(instance, instance.devices());
                return found;
            } finally {
                if (found == null) {
                    instance.close();
                }
            }
        }
    }

    /** What the last probe found; one may open a device that another instance has found. */
    private Found known() throws DriverException {
        synchronized (lock) {
            if (found != null) {
                return found;
            }
            try {
                return look();
            } catch (UnavailableException absent) {
                throw new DriverException(
                        DriverException.Kind.DEVICE_LOST, 0, "vkCreateInstance", String.valueOf(absent.getMessage()));
            }
        }
    }

    private static VulkanDevice find(Found known, GpuDevice device) throws DriverException {
        return known.devices().stream()
                .filter(candidate -> candidate.profile().device().equals(device))
                .findFirst()
                .orElseThrow(() -> new DriverException(
                        DriverException.Kind.DEVICE_LOST,
                        0,
                        "vkEnumeratePhysicalDevices",
                        device + " is not there any more"));
    }

    /** Options of a backend. Not thread-safe. */
    public static final class Builder {

        private VulkanOptions options = VulkanOptions.ofSystem();

        private Builder() {}

        /**
         * Switches the Khronos validation layer on, which checks every call of ours and of the program's on the same device.
         * It costs time, and must be installed.
         *
         * @param messages who hears its warnings and errors, from within the call that is wrong; must not throw, wait or
         *     call Vulkan
         * @return this builder
         */
        public Builder validation(Consumer<String> messages) {
            options = options.withValidation(Objects.requireNonNull(messages, "messages"));
            return this;
        }

        /**
         * Sends every byte through staging memory, also where the host reaches the device's memory.
         *
         * @param always whether it does
         * @return this builder
         */
        public Builder staged(boolean always) {
            options = options.withStaged(always);
            return this;
        }

        /**
         * Whether timeline semaphores are used where the device has them. Without them fences are, and what would wait for
         * a program's queue on the device waits on the host.
         *
         * @param used true unless a driver is bad at them
         * @return this builder
         */
        public Builder timelines(boolean used) {
            options = options.withTimelines(used);
            return this;
        }

        /**
         * Makes the backend.
         *
         * @return a backend that has touched no native library yet
         */
        public VulkanBackend build() {
            return new VulkanBackend(() -> VulkanLibrary.ofSystem().load(), options);
        }
    }
}
