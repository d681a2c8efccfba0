package dev.headroom.memory.sim;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A backend whose devices are simulated. It is handed to the engine by hand and never found by discovery. Thread-safe.
 *
 * <p>After it was closed it may be probed and used again; the simulated devices, their books and the violations stay.
 */
public final class SimulatedBackend implements MemoryBackend {

    private static final int NO_DEVICE = -1;

    private final String name;
    private final int priority;
    private final int spiVersion;
    private final VirtualClock clock;
    private final FaultPlan faults;
    private final List<SimulatedDevice> devices = new ArrayList<>();
    private final List<Violation> violations = new ArrayList<>();
    private Optional<BackendProbe.Unavailable> absence;
    private boolean closed;

    private SimulatedBackend(Builder builder) {
        name = builder.name;
        priority = builder.priority;
        spiVersion = builder.spiVersion;
        clock = builder.clock;
        faults = builder.faults;
        absence = builder.absence;
        for (SimulatedDevice.Builder device : builder.devices) {
            devices.add(device.build(name, devices.size(), clock, faults, this::record));
        }
    }

    /**
     * A backend without devices yet.
     *
     * @param name its name, lower case
     * @return the builder
     */
    public static Builder builder(String name) {
        return new Builder(name);
    }

    /**
     * A backend {@code sim} with one card.
     *
     * @param totalBytes the card's memory, above 0
     * @return the backend
     */
    public static SimulatedBackend card(long totalBytes) {
        return builder("sim")
                .device(SimulatedDevice.builder("simulated card").totalBytes(totalBytes))
                .build();
    }

    /**
     * A backend {@code cpu} with the host as its one device: what others fall back to.
     *
     * @param totalBytes the host's memory, above 0
     * @return the backend
     */
    public static SimulatedBackend host(long totalBytes) {
        return builder("cpu")
                .priority(0)
                .device(SimulatedDevice.host(totalBytes))
                .build();
    }

    /**
     * The devices.
     *
     * @return all of them, also while the backend is unavailable
     */
    public List<SimulatedDevice> devices() {
        return List.copyOf(devices);
    }

    /**
     * One device.
     *
     * @param index its index
     * @return the device
     */
    public SimulatedDevice device(int index) {
        return devices.get(index);
    }

    /**
     * The time its devices live in.
     *
     * @return the clock
     */
    public VirtualClock clock() {
        return clock;
    }

    /**
     * What goes wrong; rules may be added at any time.
     *
     * @return the plan
     */
    public FaultPlan faults() {
        return faults;
    }

    /**
     * What was done that the contract forbids.
     *
     * @return the violations in the order they happened
     */
    public List<Violation> violations() {
        synchronized (violations) {
            return List.copyOf(violations);
        }
    }

    /**
     * Fails if anything was done that the contract forbids.
     *
     * @throws AssertionError that lists the violations
     */
    public void requireNoViolations() {
        List<Violation> all = violations();
        if (!all.isEmpty()) {
            throw new AssertionError(all.stream()
                    .map(Violation::toString)
                    .collect(Collectors.joining("\n  ", "the contract of the drivers was broken:\n  ", "")));
        }
    }

    /** Forgets the violations so far, in a test that provokes them. */
    public void clearViolations() {
        synchronized (violations) {
            violations.clear();
        }
    }

    /**
     * Makes the backend find nothing from now on.
     *
     * @param reason what is missing
     * @param hint   what the user can do
     */
    public synchronized void makeUnavailable(String reason, String hint) {
        absence = Optional.of(new BackendProbe.Unavailable(reason, hint));
    }

    /** Makes the backend find its devices again. */
    public synchronized void makeAvailable() {
        absence = Optional.empty();
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int priority() {
        return priority;
    }

    @Override
    public int spiVersion() {
        return spiVersion;
    }

    @Override
    public BackendProbe probe() {
        try {
            meet("probe", NO_DEVICE);
        } catch (DriverException e) {
            return new BackendProbe.Unavailable(e.toString(), "none: this failure was asked for");
        }
        synchronized (this) {
            closed = false;
            if (absence.isPresent()) {
                return absence.get();
            }
        }
        if (devices.isEmpty()) {
            return new BackendProbe.Unavailable("no devices were simulated", "add one to the builder");
        }
        return new BackendProbe.Available(
                devices.stream().map(SimulatedDevice::device).toList());
    }

    @Override
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        SimulatedDevice simulated = find(device);
        simulated.meet("budget", false, false, false);
        requireOpen();
        return simulated.budget(simulated.memory());
    }

    @Override
    public DeviceDriver open(GpuDevice device) throws DriverException {
        SimulatedDevice simulated = find(device);
        simulated.meet("open", false, false, false);
        requireOpen();
        return simulated.open();
    }

    @Override
    public void close() {
        try {
            meet("closeBackend", NO_DEVICE);
        } catch (DriverException e) {
            // close reports nothing
        }
        synchronized (this) {
            closed = true;
        }
        for (SimulatedDevice device : devices) {
            if (device.ledger().openDrivers() > 0) {
                throw device.misuse(
                        Violation.Type.LEFT_BEHIND,
                        "the backend was closed with " + device.ledger().openDrivers() + " drivers open");
            }
        }
    }

    @Override
    public String toString() {
        return "SimulatedBackend[" + name + ", " + devices + "]";
    }

    /** Lets a decision come true. */
    static void suffer(FaultPlan.Decision decision, VirtualClock clock, Runnable lose) throws DriverException {
        if (decision.realDelay().isPositive()) {
            try {
                Thread.sleep(decision.realDelay());
            } catch (InterruptedException e) {
                // As with a driver that blocks: the call is cut short, the flag stays.
                Thread.currentThread().interrupt();
            }
        }
        if (decision.virtualDelay().isPositive()) {
            clock.spend(decision.virtualDelay());
        }
        if (decision.loseDevice()) {
            lose.run();
        }
        if (decision.throwing() != null) {
            switch (decision.throwing().get()) {
                case RuntimeException failure -> throw failure;
                case Error failure -> throw failure;
                case Throwable failure -> throw new IllegalStateException(failure);
            }
        }
        if (decision.failure() != null) {
            throw decision.failure();
        }
    }

    private void meet(String operation, int deviceIndex) throws DriverException {
        suffer(faults.decide(operation, deviceIndex), clock, () -> {});
    }

    private SimulatedDevice find(GpuDevice device) {
        return devices.stream()
                .filter(candidate -> candidate.device().equals(device))
                .findFirst()
                .orElseThrow(() -> foreign(device));
    }

    private DriverMisuseException foreign(GpuDevice device) {
        Violation violation = new Violation(
                Violation.Type.FOREIGN_OBJECT, device + " is no device of backend " + name, clock.nowNanos());
        record(violation);
        return new DriverMisuseException(violation);
    }

    private void requireOpen() {
        synchronized (this) {
            if (!closed) {
                return;
            }
        }
        Violation violation = new Violation(
                Violation.Type.USE_AFTER_CLOSE, "backend " + name + " was used after it was closed", clock.nowNanos());
        record(violation);
        throw new DriverMisuseException(violation);
    }

    private void record(Violation violation) {
        synchronized (violations) {
            violations.add(violation);
        }
    }

    /** Describes a backend. Not thread-safe. */
    public static final class Builder {

        private final String name;
        private final List<SimulatedDevice.Builder> devices = new ArrayList<>();
        private int priority = 100;
        private int spiVersion = SPI_VERSION;
        private VirtualClock clock = VirtualClock.automatic();
        private FaultPlan faults = new FaultPlan();
        private Optional<BackendProbe.Unavailable> absence = Optional.empty();

        private Builder(String name) {
            this.name = Objects.requireNonNull(name, "name");
        }

        /**
         * Adds a device, behind those added before.
         *
         * @param device its description, not to be changed afterwards
         * @return this builder
         */
        public Builder device(SimulatedDevice.Builder device) {
            devices.add(device);
            return this;
        }

        /**
         * Sets the priority; 100 unless set.
         *
         * @param newPriority higher comes first
         * @return this builder
         */
        public Builder priority(int newPriority) {
            priority = newPriority;
            return this;
        }

        /**
         * Sets the version of the contract the backend claims; the present one unless set.
         *
         * @param version the version
         * @return this builder
         */
        public Builder spiVersion(int version) {
            spiVersion = version;
            return this;
        }

        /**
         * Sets the time its devices live in; an automatic clock of its own unless set. Backends whose devices copy to
         * each other or are replayed together share one.
         *
         * @param newClock the clock
         * @return this builder
         */
        public Builder clock(VirtualClock newClock) {
            clock = Objects.requireNonNull(newClock, "newClock");
            return this;
        }

        /**
         * Sets what goes wrong; nothing unless set.
         *
         * @param plan the plan
         * @return this builder
         */
        public Builder faults(FaultPlan plan) {
            faults = Objects.requireNonNull(plan, "plan");
            return this;
        }

        /**
         * Makes the backend find nothing.
         *
         * @param reason what is missing
         * @param hint   what the user can do
         * @return this builder
         */
        public Builder unavailable(String reason, String hint) {
            absence = Optional.of(new BackendProbe.Unavailable(reason, hint));
            return this;
        }

        /**
         * The backend.
         *
         * @return the backend
         */
        public SimulatedBackend build() {
            return new SimulatedBackend(this);
        }
    }
}
