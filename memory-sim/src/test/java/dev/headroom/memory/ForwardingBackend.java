package dev.headroom.memory;

import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.Optional;

/** Another backend, apart from what a subclass changes. */
abstract class ForwardingBackend implements MemoryBackend {

    private final MemoryBackend inner;

    ForwardingBackend(MemoryBackend inner) {
        this.inner = inner;
    }

    @Override
    public String name() {
        return inner.name();
    }

    @Override
    public int priority() {
        return inner.priority();
    }

    @Override
    public int spiVersion() {
        return inner.spiVersion();
    }

    @Override
    public BackendProbe probe() {
        return inner.probe();
    }

    @Override
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        return inner.budget(device);
    }

    @Override
    public DeviceDriver open(GpuDevice device) throws DriverException {
        return inner.open(device);
    }

    @Override
    public Optional<GpuMemoryPool> openPool(GpuDevice device, MemoryConfig config) throws DriverException {
        return inner.openPool(device, config);
    }

    @Override
    public void close() {
        inner.close();
    }
}
