package dev.headroom.memory.cuda;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.spi.UnavailableException;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Every NVIDIA GPU the CUDA driver shows, slices of partitioned cards among them. {@code CUDA_VISIBLE_DEVICES} is honoured.
 *
 * <p>Creating the backend touches no native library. Probing is silent and makes no context, for that would cost memory on
 * the device: a missing driver or device is an answer, and so is a broken one. Needs permission for native calls ({@code
 * --enable-native-access}); without it CUDA counts as unavailable, because the JVM would print warnings.
 *
 * <p>Thread-safe.
 */
public final class CudaBackend implements MemoryBackend {

    /** The backend's name. */
    static final String NAME = "cuda";

    private static final int PRIORITY = 400;

    /** Gets the driver's calls. */
    @FunctionalInterface
    interface Loader {
        CudaApi load() throws UnavailableException;
    }

    /**
     * What probing found.
     *
     * @param cuda    the calls
     * @param devices the devices
     */
    private record Found(CudaApi cuda, List<CudaDevice> devices) {}

    private final Loader loader;
    private final FreeFigures free;
    private volatile @Nullable Found found;

    /** For {@link java.util.ServiceLoader}. */
    public CudaBackend() {
        this(() -> CudaLibrary.ofSystem().load(), () -> NvmlLibrary.find(NativeLibraries.management()));
    }

    /** With calls of the caller's choice. */
    CudaBackend(Loader loader, Supplier<Optional<NvmlApi>> management) {
        this.loader = loader;
        free = new FreeFigures(management);
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
                    fresh.devices().stream().map(CudaDevice::device).toList());
        } catch (UnavailableException absent) {
            return absent.answer();
        }
    }

    @Override
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        CudaDevice match = find(device);
        return free.read(match.totalBytes(), match.managementUuid());
    }

    @Override
    public DeviceDriver open(GpuDevice device) throws DriverException {
        CudaDevice match = find(device);
        return CudaDriver.open(known().cuda(), match);
    }

    @Override
    public void close() {
        free.close();
    }

    private Found look() throws UnavailableException {
        CudaApi cuda = loader.load();
        return new Found(cuda, CudaDevices.list(cuda));
    }

    /** What the last probe found; one may open a device that another instance has found. */
    private Found known() throws DriverException {
        Found known = found;
        if (known == null) {
            try {
                known = look();
            } catch (UnavailableException absent) {
                throw new DriverException(
                        DriverException.Kind.DEVICE_LOST, 0, "cuInit", String.valueOf(absent.getMessage()));
            }
            found = known;
        }
        return known;
    }

    private CudaDevice find(GpuDevice device) throws DriverException {
        Optional<CudaDevice> match = known().devices().stream()
                .filter(candidate -> candidate.device().equals(device))
                .findFirst();
        return match.orElseThrow(() -> new DriverException(
                DriverException.Kind.DEVICE_LOST, 0, "cuDeviceGet", device + " is not there any more"));
    }
}
