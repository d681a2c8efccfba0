package dev.headroom.memory.spi;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import java.util.Optional;

/**
 * One native API and the devices behind it: the type {@link java.util.ServiceLoader} looks for. Creating one costs next
 * to nothing and touches no native library. Thread-safe.
 *
 * <p>The engine closes every driver before it closes the backend.
 */
public interface MemoryBackend extends AutoCloseable {

    /** The version of this contract; a backend returns the value it was compiled with from {@link #spiVersion()}. */
    int SPI_VERSION = 1;

    /**
     * The backend's name, lower case, such as {@code cuda}.
     *
     * @return the name, unique among backends
     */
    String name();

    /**
     * Where the backend stands among devices of the same class: higher comes first. CUDA 400, OpenCL 300, Vulkan 200,
     * host 0.
     *
     * @return the priority
     */
    int priority();

    /**
     * The contract this backend was compiled against.
     *
     * @return {@link #SPI_VERSION} at compile time
     */
    int spiVersion();

    /**
     * Looks for devices. Prints nothing, throws nothing for a missing library or driver, and leaves nothing behind once
     * the backend is closed. May be called again and then answers anew.
     *
     * @return the devices, or why there are none and what to do
     */
    BackendProbe probe();

    /**
     * Total and free memory of a device that need not be open. Must not leave a context on the device.
     *
     * @param device a device of {@link #probe()}
     * @return the figures
     * @throws DriverException if the driver does not answer
     */
    MemoryBudget budget(GpuDevice device) throws DriverException;

    /**
     * Opens a device. Each call gives a driver of its own.
     *
     * @param device a device of {@link #probe()}
     * @return the driver, to be closed by the caller
     * @throws DriverException if the device cannot be opened; nothing is left open then
     */
    DeviceDriver open(GpuDevice device) throws DriverException;

    /**
     * A pool of the backend's own, for an API that already pools. The default leaves pooling to the engine.
     *
     * @param device a device of {@link #probe()}
     * @param config the user's configuration
     * @return the pool, owned by the caller; or empty
     * @throws DriverException if the backend has a pool but cannot open it
     */
    default Optional<GpuMemoryPool> openPool(GpuDevice device, MemoryConfig config) throws DriverException {
        return Optional.empty();
    }

    /** Lets go of whatever probing kept. Never throws. */
    @Override
    void close();
}
