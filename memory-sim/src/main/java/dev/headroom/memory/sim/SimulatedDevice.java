package dev.headroom.memory.sim;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One simulated device, seen from outside: what it holds, what was done to it, and the switches of its fate.
 * Thread-safe.
 */
public final class SimulatedDevice {

    /** What memory that was never written reads as. */
    public static final byte FRESH_POISON = (byte) 0xCD;

    /** What memory reads as that was taken from a range and put behind it again. */
    public static final byte FREED_POISON = (byte) 0xDD;

    private static final long NANOS_PER_SECOND = 1_000_000_000;

    /** How the device was described. */
    private record Design(
            FreeFigure freeFigure,
            boolean overCommitting,
            long latencyNanos,
            long bytesPerSecond,
            boolean hostEndpoints,
            boolean peerEndpoints,
            boolean userQueues,
            boolean contents,
            boolean watchUnwritten,
            boolean strictMappings,
            OptionalLong granule) {}

    private final GpuDevice device;
    private final Design design;
    private final PhysicalMemory memory;
    private final PhysicalMemory hostMemory;
    private final Map<MemoryKind, KindTraits> traits;
    private final VirtualClock clock;
    private final List<FaultPlan> plans;
    private final Consumer<Violation> violations;
    private final DeviceLedger ledger;
    private final List<SimulatedDriver> drivers = new ArrayList<>();
    private final List<Timeline> userTimelines = new ArrayList<>();
    private long nextAddress = 1L << 32;
    private boolean lost;

    private SimulatedDevice(
            GpuDevice device,
            Design design,
            PhysicalMemory memory,
            PhysicalMemory hostMemory,
            Map<MemoryKind, KindTraits> traits,
            VirtualClock clock,
            List<FaultPlan> plans,
            Consumer<Violation> violations) {
        this.device = device;
        this.design = design;
        this.memory = memory;
        this.hostMemory = hostMemory;
        this.traits = traits;
        this.clock = clock;
        this.plans = plans;
        this.violations = violations;
        this.ledger = new DeviceLedger(clock);
    }

    /**
     * A card with memory of its own.
     *
     * @param name its name
     * @return a builder, 8 GiB large unless told otherwise
     */
    public static Builder builder(String name) {
        return new Builder(name);
    }

    /**
     * Host memory as a device: every kind is host-visible. Its own memory is the host's, so {@code DEVICE} and
     * {@code UPLOAD} draw on the same bytes.
     *
     * @param totalBytes how much, above 0
     * @return a builder
     */
    public static Builder host(long totalBytes) {
        return new Builder("simulated host").deviceClass(DeviceClass.HOST).memory(PhysicalMemory.host(totalBytes));
    }

    /**
     * The device as its backend shows it.
     *
     * @return the value
     */
    public GpuDevice device() {
        return device;
    }

    /**
     * What is alive on this device, over all its drivers.
     *
     * @return the books, always up to date
     */
    public Ledger ledger() {
        return ledger;
    }

    /**
     * The device's own memory.
     *
     * @return the memory, perhaps shared with other devices
     */
    public PhysicalMemory memory() {
        return memory;
    }

    /**
     * The memory behind kinds that lie on the host.
     *
     * @return the memory, perhaps shared with other devices
     */
    public PhysicalMemory hostMemory() {
        return hostMemory;
    }

    /**
     * Sets what another process holds of the device's memory.
     *
     * @param bytes 0 or more
     */
    public void occupy(long bytes) {
        memory.occupy(bytes);
    }

    /** Loses the device: pending work vanishes, and from now on every call fails with {@code DEVICE_LOST}. */
    public void lose() {
        clock.lock().lock();
        try {
            lost = true;
            drivers.forEach(SimulatedDriver::cancelWork);
            cancelUserWork();
        } finally {
            clock.lock().unlock();
        }
    }

    /** Makes a lost device usable again, for drivers opened from now on; those open stay lost. */
    public void recover() {
        clock.lock().lock();
        try {
            if (lost) {
                drivers.forEach(SimulatedDriver::stayLost);
                lost = false;
                ledger.forgetLoss();
            }
        } finally {
            clock.lock().unlock();
        }
    }

    /**
     * Whether the device is lost.
     *
     * @return true if it is
     */
    public boolean isLost() {
        clock.lock().lock();
        try {
            return lost;
        } finally {
            clock.lock().unlock();
        }
    }

    /**
     * What was still called after the device was lost.
     *
     * @return calls by operation
     */
    public Map<String, Long> callsSinceLoss() {
        return ledger.callsSinceLoss();
    }

    /**
     * What drivers were still called for after one of their calls had answered that the device is lost, really or because a
     * fault says so.
     *
     * @return calls by operation
     */
    public Map<String, Long> callsSinceTold() {
        return ledger.callsSinceTold();
    }

    /**
     * A queue such as a user of this device would have.
     *
     * @return the queue
     */
    public SimulatedQueue newQueue() {
        clock.lock().lock();
        try {
            SimulatedQueue queue = new SimulatedQueue(this, new Timeline(clock));
            userTimelines.add(queue.timeline());
            return queue;
        } finally {
            clock.lock().unlock();
        }
    }

    /**
     * The address the device knows a block by. No two blocks of a device ever share one.
     *
     * @param block a block of a simulated driver
     * @return the address, aligned as the block was asked to be
     */
    public static long addressOf(DriverBlock block) {
        if (block instanceof SimulatedBlock simulated) {
            return simulated.address;
        }
        throw new IllegalArgumentException("not a block of a simulated driver: " + block);
    }

    @Override
    public String toString() {
        return device + ": " + ledger.describe();
    }

    /** Drops what users' queues have pending; the caller holds the lock. */
    void cancelUserWork() {
        userTimelines.forEach(Timeline::cancel);
        clock.wake();
    }

    DeviceLedger books() {
        return ledger;
    }

    VirtualClock clock() {
        return clock;
    }

    boolean lost() {
        return lost;
    }

    KindTraits traits(MemoryKind kind) {
        return traits.getOrDefault(kind, KindTraits.unsupported());
    }

    PhysicalMemory placeOf(KindTraits kindTraits) {
        return kindTraits.placement() == Placement.HOST ? hostMemory : memory;
    }

    MemoryBudget budget(PhysicalMemory place) {
        return place.budget(design.freeFigure(), "simulated").readAt(clock.nowNanos());
    }

    boolean overCommitting() {
        return design.overCommitting();
    }

    boolean hostEndpoints() {
        return design.hostEndpoints();
    }

    boolean peerEndpoints() {
        return design.peerEndpoints();
    }

    boolean userQueues() {
        return design.userQueues();
    }

    boolean strictMappings() {
        return design.strictMappings();
    }

    OptionalLong granule() {
        return design.granule();
    }

    BlockBytes newBytes(long byteSize, long byteAlignment, PhysicalMemory place) {
        return new BlockBytes(byteSize, byteAlignment, place, !design.contents(), design.watchUnwritten());
    }

    /** How long a transfer takes. */
    long transferNanos(long byteSize) {
        double seconds = (double) byteSize / design.bytesPerSecond();
        return design.latencyNanos() + (long) (seconds * NANOS_PER_SECOND);
    }

    /** The next address; the caller holds the lock. */
    long nextAddress(long byteSize, long byteAlignment) {
        long address = (nextAddress + byteAlignment - 1) & -byteAlignment;
        nextAddress = address + byteSize;
        return address;
    }

    SimulatedDriver open() {
        clock.lock().lock();
        try {
            SimulatedDriver driver = new SimulatedDriver(this);
            drivers.add(driver);
            ledger.drivers++;
            return driver;
        } finally {
            clock.lock().unlock();
        }
    }

    /** A driver is gone; the caller holds the lock. */
    void closed(SimulatedDriver driver) {
        drivers.remove(driver);
        ledger.drivers--;
    }

    /** A user's queue is gone and its work done or not; the caller holds the lock. */
    void closed(SimulatedQueue queue) {
        userTimelines.removeIf(timeline -> timeline == queue.timeline() && timeline.isIdle());
    }

    /** Counts a call, and lets the plans interfere with it. Called without the lock: a slow call stops nobody else. */
    void meet(String operation, boolean driverLost, boolean toldLost, boolean refused) throws DriverException {
        clock.lock().lock();
        try {
            ledger.count(operation, lost || driverLost, toldLost);
            if (lost || driverLost || refused) {
                throw lostIn(operation);
            }
        } finally {
            clock.lock().unlock();
        }
        for (FaultPlan plan : plans) {
            SimulatedBackend.suffer(plan.decide(operation, device.index()), clock, this::lose);
        }
        if (isLost()) {
            throw lostIn(operation);
        }
    }

    static DriverException lostIn(String operation) {
        return new DriverException(DriverException.Kind.DEVICE_LOST, 0, operation, "the simulated device is lost");
    }

    /** Records a violation and gives the exception to throw for it. */
    DriverMisuseException misuse(Violation.Type type, String message) {
        return new DriverMisuseException(note(type, message));
    }

    /** Records a violation that nobody can be told of at once. */
    Violation note(Violation.Type type, String message) {
        Violation violation = new Violation(type, device.id() + ": " + message, clock.nowNanos());
        violations.accept(violation);
        return violation;
    }

    /** Describes a device. Not thread-safe. */
    public static final class Builder {

        private static final long DEFAULT_TOTAL = 8L << 30;
        private static final long DEFAULT_HOST_TOTAL = 64L << 30;

        private final String name;
        private final Map<MemoryKind, KindTraits> special = new EnumMap<>(MemoryKind.class);
        private DeviceClass deviceClass = DeviceClass.DISCRETE;
        private @Nullable PhysicalMemory memory;
        private @Nullable PhysicalMemory hostMemory;
        private long totalBytes = DEFAULT_TOTAL;
        private long baseAlignment = 256;
        private long granularity = 4096;
        private OptionalLong maxBlockBytes = OptionalLong.empty();
        private boolean coherent = true;
        private boolean hostVisible;
        private Optional<String> computeCapability = Optional.empty();
        private Optional<String> driverVersion = Optional.empty();
        private FreeFigure freeFigure = FreeFigure.measured();
        private boolean overCommitting;
        private Duration latency = Duration.ofNanos(10_000);
        private long bytesPerSecond = 16L << 30;
        private boolean hostEndpoints = true;
        private boolean peerEndpoints = true;
        private boolean userQueues = true;
        private boolean contents = true;
        private boolean watchUnwritten;
        private boolean strictMappings = true;
        private OptionalLong granule = OptionalLong.empty();
        private Optional<FaultPlan> faults = Optional.empty();

        private Builder(String name) {
            this.name = Objects.requireNonNull(name, "name");
        }

        /**
         * Sets what sort of device it is; a card unless set.
         *
         * @param newClass the class
         * @return this builder
         */
        public Builder deviceClass(DeviceClass newClass) {
            deviceClass = Objects.requireNonNull(newClass, "newClass");
            return this;
        }

        /**
         * Sets how much memory the device has, all of it its own; 8 GiB unless set.
         *
         * @param bytes above 0
         * @return this builder
         */
        public Builder totalBytes(long bytes) {
            totalBytes = bytes;
            memory = null;
            return this;
        }

        /**
         * Sets the memory the device has, and with it its identity. Several devices may be given the same.
         *
         * @param newMemory the memory
         * @return this builder
         */
        public Builder memory(PhysicalMemory newMemory) {
            memory = Objects.requireNonNull(newMemory, "newMemory");
            return this;
        }

        /**
         * Sets the memory behind the kinds that lie on the host; 64 GiB of its own unless set.
         *
         * @param newMemory the memory
         * @return this builder
         */
        public Builder hostMemory(PhysicalMemory newMemory) {
            hostMemory = Objects.requireNonNull(newMemory, "newMemory");
            return this;
        }

        /**
         * Sets the alignment of every block; 256 unless set.
         *
         * @param bytes a power of two
         * @return this builder
         */
        public Builder baseAlignment(long bytes) {
            baseAlignment = bytes;
            return this;
        }

        /**
         * Sets what sizes of blocks are multiples of; 4096 unless set.
         *
         * @param bytes a power of two
         * @return this builder
         */
        public Builder granularity(long bytes) {
            granularity = bytes;
            return this;
        }

        /**
         * Sets the largest block; the whole memory unless set.
         *
         * @param bytes above 0
         * @return this builder
         */
        public Builder maxBlockBytes(long bytes) {
            maxBlockBytes = OptionalLong.of(bytes);
            return this;
        }

        /**
         * Sets a kind's traits exactly. Unless set, {@code DEVICE} is reached by the device only, {@code UPLOAD} and
         * {@code READBACK} lie on the host, and there is no {@code UNIFIED}.
         *
         * @param kind       the kind
         * @param kindTraits its traits; {@link KindTraits#unsupported()} takes it away
         * @return this builder
         */
        public Builder kind(MemoryKind kind, KindTraits kindTraits) {
            special.put(kind, kindTraits);
            return this;
        }

        /**
         * Makes {@code DEVICE} memory host-visible, as with a large BAR, and offers {@code UNIFIED} beside it.
         *
         * @return this builder
         */
        public Builder hostVisibleMemory() {
            hostVisible = true;
            return this;
        }

        /**
         * Makes mapped memory need a flush and an invalidation: what is not flushed does not arrive.
         *
         * @return this builder
         */
        public Builder withoutCoherence() {
            coherent = false;
            return this;
        }

        /**
         * Offers address ranges that are committed piece by piece.
         *
         * @param newGranule the smallest piece in bytes, a power of two
         * @return this builder
         */
        public Builder virtualMemory(long newGranule) {
            if (newGranule <= 0 || Long.bitCount(newGranule) != 1) {
                throw new IllegalArgumentException("granule is " + newGranule + ": must be a power of two");
            }
            granule = OptionalLong.of(newGranule);
            return this;
        }

        /**
         * Sets what the device says about its free memory; the truth unless set.
         *
         * @param figure what it says
         * @return this builder
         */
        public Builder freeFigure(FreeFigure figure) {
            freeFigure = Objects.requireNonNull(figure, "figure");
            return this;
        }

        /**
         * Makes the driver grant more than there is.
         *
         * @return this builder
         */
        public Builder overCommitting() {
            overCommitting = true;
            return this;
        }

        /**
         * Sets how long transfers take; 10 microseconds and 16 GiB/s unless set.
         *
         * @param perCommand   for each command
         * @param newBandwidth bytes per second on top, above 0
         * @return this builder
         */
        public Builder speed(Duration perCommand, long newBandwidth) {
            if (newBandwidth <= 0 || perCommand.isNegative()) {
                throw new IllegalArgumentException("a transfer takes " + perCommand + " and " + newBandwidth
                        + " bytes per second: must be 0 or more, and above 0");
            }
            latency = perCommand;
            bytesPerSecond = newBandwidth;
            return this;
        }

        /**
         * Makes copies from and to plain host memory {@code UNSUPPORTED}.
         *
         * @return this builder
         */
        public Builder withoutHostCopies() {
            hostEndpoints = false;
            return this;
        }

        /**
         * Makes copies between devices {@code UNSUPPORTED}.
         *
         * @return this builder
         */
        public Builder withoutPeerCopies() {
            peerEndpoints = false;
            return this;
        }

        /**
         * Makes {@code record} and {@code hold} {@code UNSUPPORTED}.
         *
         * @return this builder
         */
        public Builder withoutUserQueues() {
            userQueues = false;
            return this;
        }

        /**
         * Keeps books but no bytes: copies move nothing, and a device of any size costs nothing even in use. For
         * traces.
         *
         * @return this builder
         */
        public Builder withoutContents() {
            contents = false;
            return this;
        }

        /**
         * Watches for bytes that go to the host or into a kernel although nobody wrote them.
         *
         * @return this builder
         */
        public Builder watchingUnwrittenReads() {
            watchUnwritten = true;
            return this;
        }

        /**
         * Lets the segments of mappings live as long as their blocks. Mapping costs much less then, and use after the
         * end of a mapping goes unnoticed. For runs of many operations.
         *
         * @return this builder
         */
        public Builder lenientMappings() {
            strictMappings = false;
            return this;
        }

        /**
         * Sets the vendor's capability version.
         *
         * @param version such as {@code 9.0}
         * @return this builder
         */
        public Builder computeCapability(String version) {
            computeCapability = Optional.of(version);
            return this;
        }

        /**
         * Sets the version of the driver; none unless set.
         *
         * @param version such as {@code 550.54.15}
         * @return this builder
         */
        public Builder driverVersion(String version) {
            driverVersion = Optional.of(version);
            return this;
        }

        /**
         * Sets what goes wrong on this device, beside what goes wrong on its backend.
         *
         * @param plan the plan
         * @return this builder
         */
        public Builder faults(FaultPlan plan) {
            faults = Optional.of(plan);
            return this;
        }

        SimulatedDevice build(
                String backend,
                int index,
                VirtualClock clock,
                FaultPlan backendFaults,
                Consumer<Violation> violations) {
            PhysicalMemory own = memory != null ? memory : PhysicalMemory.of(totalBytes);
            PhysicalMemory host =
                    hostMemory != null ? hostMemory : own.id().host() ? own : PhysicalMemory.host(DEFAULT_HOST_TOTAL);
            GpuDevice value = GpuDevice.of(backend, index, name, deviceClass, own.id());
            if (maxBlockBytes.isPresent()) {
                value = value.withMaxAllocationBytes(maxBlockBytes.getAsLong());
            }
            if (computeCapability.isPresent()) {
                value = value.withComputeCapability(computeCapability.get());
            }
            if (driverVersion.isPresent()) {
                value = value.withDriverVersion(driverVersion.get());
            }
            List<FaultPlan> plans = new ArrayList<>(List.of(backendFaults));
            faults.filter(plan -> plan != backendFaults).ifPresent(plans::add);
            Design design = new Design(
                    freeFigure,
                    overCommitting,
                    latency.toNanos(),
                    bytesPerSecond,
                    hostEndpoints,
                    peerEndpoints,
                    userQueues,
                    contents,
                    watchUnwritten,
                    strictMappings,
                    granule);
            return new SimulatedDevice(value, design, own, host, traits(own, host), clock, plans, violations);
        }

        private Map<MemoryKind, KindTraits> traits(PhysicalMemory own, PhysicalMemory host) {
            Map<MemoryKind, KindTraits> traits = new EnumMap<>(MemoryKind.class);
            boolean isHost = deviceClass == DeviceClass.HOST;
            long largest = maxBlockBytes.orElse(own.totalBytes());
            KindTraits mapped = visible(Placement.DEVICE, largest);
            if (isHost || hostVisible) {
                traits.put(MemoryKind.DEVICE, mapped);
                traits.put(MemoryKind.UNIFIED, mapped);
            } else {
                traits.put(MemoryKind.DEVICE, KindTraits.deviceOnly(baseAlignment, granularity, largest));
            }
            KindTraits staging = visible(Placement.HOST, maxBlockBytes.orElse(host.totalBytes()));
            traits.put(MemoryKind.UPLOAD, staging);
            traits.put(MemoryKind.READBACK, staging);
            traits.putAll(special);
            return traits;
        }

        private KindTraits visible(Placement placement, long largest) {
            return new KindTraits(
                    true, placement, baseAlignment, granularity, largest, OptionalLong.empty(), 1, true, coherent);
        }
    }
}
