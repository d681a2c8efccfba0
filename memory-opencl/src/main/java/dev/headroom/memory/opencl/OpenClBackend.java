package dev.headroom.memory.opencl;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.spi.UnavailableException;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Every device of every OpenCL platform: GPUs, accelerators, and CPUs behind PoCL or a vendor's driver.
 *
 * <p>Creating the backend touches no native library. Probing is silent: a missing loader, driver or device is an answer,
 * and so is a broken one. Needs permission for native calls ({@code --enable-native-access}); without it OpenCL counts as
 * unavailable, because the JVM would print warnings.
 *
 * <p>Thread-safe.
 */
public final class OpenClBackend implements MemoryBackend {

    /** The backend's name. */
    static final String NAME = "opencl";

    private static final int PRIORITY = 300;

    /** Gets the calls. */
    @FunctionalInterface
    interface Loader {
        ClApi load() throws UnavailableException;
    }

    /**
     * What probing found.
     *
     * @param cl      the calls
     * @param devices the devices
     */
    private record Found(ClApi cl, List<ClDevice> devices) {}

    private final Loader loader;
    private volatile @Nullable Found found;

    /** For {@link java.util.ServiceLoader}. */
    public OpenClBackend() {
        this(() -> ClLibrary.ofSystem().load());
    }

    /** With calls of the caller's choice. */
    OpenClBackend(Loader loader) {
        this.loader = loader;
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
            Found fresh = look();
            found = fresh;
            return new BackendProbe.Available(
                    fresh.devices().stream().map(ClDevice::device).toList());
        } catch (UnavailableException absent) {
            return absent.answer();
        }
    }

    @Override
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        return find(device).budget();
    }

    @Override
    public DeviceDriver open(GpuDevice device) throws DriverException {
        return OpenClDriver.open(known().cl(), find(device));
    }

    @Override
    public void close() {
        // Platforms and devices are the loader's, which lives as long as the process.
    }

    private Found look() throws UnavailableException {
        ClApi cl = loader.load();
        return new Found(cl, ClDevices.list(cl));
    }

    /** What the last probe found; one may open a device that another instance has found. */
    private Found known() throws DriverException {
        Found known = found;
        if (known == null) {
            try {
                known = look();
            } catch (UnavailableException absent) {
                throw new DriverException(
                        DriverException.Kind.DEVICE_LOST, 0, "clGetPlatformIDs", String.valueOf(absent.getMessage()));
            }
            found = known;
        }
        return known;
    }

    private ClDevice find(GpuDevice device) throws DriverException {
        Optional<ClDevice> match = known().devices().stream()
                .filter(candidate -> candidate.device().equals(device))
                .findFirst();
        return match.orElseThrow(() -> new DriverException(
                DriverException.Kind.DEVICE_LOST, 0, "clGetDeviceIDs", device + " is not there any more"));
    }
}
