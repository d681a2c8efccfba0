package dev.headroom.memory.testkit;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.MemoryBackend;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What every pool must do, over whatever backend: the public contract of buffers and pools, as a program sees it. A
 * backend's test extends this class and gives {@link #newBackend()}; the other hooks refine. A pool under test holds 64
 * MiB at most.
 */
public abstract class PoolContract extends PoolFigureTests {

    /** For suites of backends. */
    protected PoolContract() {}

    /**
     * The backend under test.
     *
     * @return a new one, closed by the suite
     */
    @Override
    protected abstract MemoryBackend newBackend();

    /**
     * Where buffers go when the device is full.
     *
     * @return a simulated host of 1 GiB unless overridden; empty for a backend that is the host itself
     */
    @Override
    protected Optional<MemoryBackend> newFallback() {
        return Optional.of(SimulatedBackend.host(1L << 30));
    }

    /**
     * The device under test.
     *
     * @param devices what was found, without the fallback
     * @return the first one, unless overridden
     */
    @Override
    protected GpuDevice choose(List<GpuDevice> devices) {
        return devices.getFirst();
    }

    /**
     * Why a test cannot run on this backend.
     *
     * @param test the test's method
     * @return the reason, which is printed; empty to run it
     */
    @Override
    protected Optional<String> reasonToSkip(String test) {
        return Optional.empty();
    }

    /**
     * Changes how the memory is opened, such as by a clock.
     *
     * @param builder the builder
     * @return the builder
     */
    @Override
    protected GpuMemory.Builder refine(GpuMemory.Builder builder) {
        return builder;
    }

    /**
     * The books of the drivers, where there are some: they must be empty after each test, and arguments that are
     * refused must not show in them.
     *
     * @return the books
     */
    @Override
    protected List<Ledger> ledgers() {
        return List.of();
    }

    /**
     * A configuration to start from: 64 MiB at most, everything tracked.
     *
     * @return a new builder
     */
    @Override
    protected MemoryConfig.Builder config() {
        return MemoryConfig.builder()
                .limitBytes(LIMIT_BYTES)
                .minFreeBytes(0)
                .stagingBytes(4 * MIB)
                .tracking(TrackingLevel.FULL)
                .waitTimeout(Duration.ofSeconds(2));
    }
}
