package dev.headroom.examples.backend;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.List;

/** The smallest backend there is, over {@link ToyLibrary}. {@code docs/porting-a-backend.md} explains it line by line. */
public final class ToyBackend implements MemoryBackend {

    private static final GpuDevice CARD =
            GpuDevice.of("toy", 0, "Toy card", DeviceClass.VIRTUAL, PhysicalId.ofUuid("toy-0"));

    /** For {@link java.util.ServiceLoader}: costs nothing and touches no library. */
    public ToyBackend() {}

    @Override
    public String name() {
        return "toy";
    }

    @Override
    public int priority() {
        return 100;
    }

    @Override
    public int spiVersion() {
        return SPI_VERSION;
    }

    @Override
    public BackendProbe probe() {
        // A real one: new BackendProbe.Unavailable("no driver: libtoy.so was not found", "install the toy driver")
        return new BackendProbe.Available(List.of(CARD));
    }

    @Override
    public MemoryBudget budget(GpuDevice device) {
        return MemoryBudget.measured(ToyLibrary.TOTAL_BYTES, ToyLibrary.freeBytes(), "toyFreeBytes");
    }

    @Override
    public DeviceDriver open(GpuDevice device) {
        return new ToyDriver(device);
    }

    @Override
    public void close() {
        // Probing kept nothing.
    }
}
