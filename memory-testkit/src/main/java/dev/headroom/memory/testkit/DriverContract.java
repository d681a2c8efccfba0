package dev.headroom.memory.testkit;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.List;
import java.util.Optional;

/**
 * What every driver must do, whatever lies behind it. A backend's test extends this class and gives {@link
 * #newBackend()}; the other hooks refine. Tests of what a device does not have are skipped and say why; an {@code
 * UNSUPPORTED} answer is accepted where the contract allows it. Memory in use stays below 64 MiB, except where {@link
 * #mayExhaust()} says so.
 *
 * <p>The suite keeps what the engine promises to drivers: valid arguments, no work pending on what is freed or mapped,
 * one free per block.
 */
public abstract class DriverContract extends DriverQueueTests {

    /** For suites of backends. */
    protected DriverContract() {}

    /**
     * A backend under test.
     *
     * @return a new one, closed by the suite
     */
    @Override
    protected abstract MemoryBackend newBackend();

    /**
     * The device under test.
     *
     * @param devices what the backend found
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
     * A queue such as a user of this device would have.
     *
     * @param driver the driver it is used with
     * @return the queue; empty where there is none, and then user queues are not tested
     */
    @Override
    protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
        return Optional.empty();
    }

    /**
     * Whether the device may be filled up. Only where that harms nobody and the driver really refuses.
     *
     * @return false unless overridden
     */
    @Override
    protected boolean mayExhaust() {
        return false;
    }

    /**
     * The books of the driver, where there are some: they must be empty after each test.
     *
     * @return the books
     */
    @Override
    protected List<Ledger> ledgers() {
        return List.of();
    }
}
