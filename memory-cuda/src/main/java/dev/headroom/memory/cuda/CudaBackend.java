package dev.headroom.memory.cuda;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;

/** Every NVIDIA GPU the CUDA driver shows. */
public final class CudaBackend implements MemoryBackend {

    /** The backend's name. */
    static final String NAME = "cuda";

    private static final int PRIORITY = 400;

    /** For {@link java.util.ServiceLoader}. */
    public CudaBackend() {}

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
        return new BackendProbe.Unavailable("CUDA is not supported yet", "use another backend");
    }

    @Override
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        throw absent();
    }

    @Override
    public DeviceDriver open(GpuDevice device) throws DriverException {
        throw absent();
    }

    @Override
    public void close() {
        // Nothing is kept.
    }

    private static DriverException absent() {
        return new DriverException(DriverException.Kind.DEVICE_LOST, 0, "cuInit", "CUDA is not supported yet");
    }
}
