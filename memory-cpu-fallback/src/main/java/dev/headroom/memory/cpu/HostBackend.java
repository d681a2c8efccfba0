package dev.headroom.memory.cpu;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The host's own memory as the one device of the backend {@code cpu}: always there, always last.
 *
 * <p>Creating the backend does nothing, and probing touches no native code. Memory comes from Linux directly where the
 * JVM was started with permission for native calls ({@code --enable-native-access}); without it, and on other systems,
 * it comes from Java, cleared and without address ranges that are backed piece by piece. That is decided by {@link
 * #open} and never prints a warning.
 *
 * <p>Thread-safe: there is no state.
 */
public final class HostBackend implements MemoryBackend {

    /** The backend's name. */
    static final String NAME = "cpu";

    private static final GpuDevice DEVICE = GpuDevice.of(NAME, 0, "Host memory", DeviceClass.HOST, PhysicalId.ofHost())
            .withDriverVersion(System.getProperty("os.name", "unknown") + " " + System.getProperty("os.version", ""));

    private final HostMemory memory;
    private final Supplier<Optional<LinuxMemory>> system;

    /** For {@link java.util.ServiceLoader}. */
    public HostBackend() {
        this(HostMemory.ofSystem(), LinuxLibrary::find);
    }

    /** With figures and native calls of the caller's choice. */
    HostBackend(HostMemory memory, Supplier<Optional<LinuxMemory>> system) {
        this.memory = memory;
        this.system = system;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return 0;
    }

    @Override
    public int spiVersion() {
        // A constant, so the compiler writes the number of this build into the class file, as the contract wants it.
        return SPI_VERSION;
    }

    @Override
    public BackendProbe probe() {
        return new BackendProbe.Available(List.of(DEVICE));
    }

    @Override
    public MemoryBudget budget(GpuDevice device) {
        return memory.read();
    }

    @Override
    public HostDriver open(GpuDevice device) {
        Optional<LinuxMemory> linux = system.get();
        if (linux.isEmpty()) {
            return new HostDriver(device, memory, new PlainBlocks(), Optional.empty());
        }
        MappedBlocks blocks = new MappedBlocks(linux.get());
        return new HostDriver(device, memory, blocks, Optional.of(new MappedRanges(linux.get(), blocks)));
    }

    @Override
    public void close() {
        // Probing kept nothing.
    }
}
