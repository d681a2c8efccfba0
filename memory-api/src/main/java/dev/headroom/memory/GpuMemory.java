package dev.headroom.memory;

import dev.headroom.memory.engine.BackendSelector;
import dev.headroom.memory.engine.CardFiles;
import dev.headroom.memory.engine.ClosedOnce;
import dev.headroom.memory.engine.LedgerReservation;
import dev.headroom.memory.engine.PoolEngine;
import dev.headroom.memory.engine.PoolSetting;
import dev.headroom.memory.engine.ProviderCatalog;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/**
 * The way in: finds every device through every backend on the class path, says where something fits, and owns the pools opened
 * there. Opening it looks for devices and opens none. Thread-safe; closing it closes its pools, and waits for their work.
 *
 * <p>Which device is chosen: real hardware before a CPU that poses as a GPU, the host last; within a class by backend (CUDA,
 * OpenCL, Vulkan, host, unless {@link Builder#backendOrder} says otherwise), then by index. The first that fits wins.
 */
public final class GpuMemory implements AutoCloseable {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    /** What to add when there is no backend at all. */
    private static final String NO_BACKEND =
            "no backend is on the class path: add the artifact dev.headroom:memory-cpu-fallback"
                    + " for host memory, or memory-cuda, memory-opencl or memory-vulkan for a GPU";

    private final MemoryConfig config;
    private final LongSupplier clock;
    private final ProviderCatalog catalog;
    private final BackendSelector selector;
    private final Map<GpuDevice, CompletableFuture<GpuMemoryPool>> pools = new ConcurrentHashMap<>();
    private final Map<GpuDevice, CompletableFuture<GpuMemoryPool>> fallbackPools = new ConcurrentHashMap<>();
    private final ClosedOnce closed = new ClosedOnce();
    /** Backends that have to stay open when this is closed. */
    private final Set<String> abandoned = ConcurrentHashMap.newKeySet();

    private GpuMemory(Builder builder) {
        this.config = builder.config;
        this.clock = builder.clock;
        this.catalog = builder.backends.isEmpty()
                ? ProviderCatalog.discover(builder.order, builder.probeTimeout, builder.files)
                : ProviderCatalog.of(builder.backends, builder.order, builder.probeTimeout, builder.files);
        this.selector = new BackendSelector(catalog);
    }

    /**
     * Opens with the default configuration and every backend on the class path.
     *
     * @return the memory, to be closed by the caller
     */
    public static GpuMemory open() {
        return builder().open();
    }

    /**
     * A builder with the default configuration.
     *
     * @return the builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * The configuration its pools are opened with.
     *
     * @return the configuration
     */
    public MemoryConfig config() {
        return config;
    }

    /**
     * All devices, in the order selection prefers them.
     *
     * @return the devices
     */
    public List<GpuDevice> devices() {
        requireOpen();
        return selector.preferred();
    }

    /**
     * What became of every backend, also of absent ones.
     *
     * @return the statuses, in the order of preference
     */
    public List<BackendStatus> backends() {
        requireOpen();
        return catalog.statuses();
    }

    /**
     * The first device that can take anything at all.
     *
     * @return the device, empty if there is none
     */
    public Optional<GpuDevice> recommended() {
        return explainSelection(1).chosen();
    }

    /**
     * What the system says about a device.
     *
     * @param device a device of {@link #devices}
     * @return total and free
     * @throws DriverFailedException if its driver does not answer
     */
    public MemoryBudget budget(GpuDevice device) {
        return asking(device, () -> catalog.budget(device).readAt(clock.getAsLong()));
    }

    /**
     * How many bytes may be taken on a device now, after every margin.
     *
     * @param device a device of {@link #devices}
     * @return bytes, 0 or more
     * @throws DriverFailedException if its driver does not answer
     */
    public long usableBytes(GpuDevice device) {
        return asking(device, () -> room(device).usableBytes());
    }

    /**
     * How full a device is, or the limit where one is set; {@link MemoryPressure#LOW} where nothing is known. Opens nothing.
     *
     * @param device a device of {@link #devices}
     * @return the pressure
     * @throws DriverFailedException if its driver does not answer
     */
    public MemoryPressure pressure(GpuDevice device) {
        return asking(device, () -> {
            PoolEngine open = engineOf(device);
            return open == null ? selector.closedPressure(device, config) : open.pressure();
        });
    }

    /**
     * What this process holds of a device's memory: the blocks of all pools of all {@code GpuMemory}, in use or idle, through
     * whatever backend. Asks no driver.
     *
     * @param device a device of {@link #devices}
     * @return bytes, 0 or more
     */
    public long heldBytes(GpuDevice device) {
        requireOpen();
        return selector.heldBytes(device);
    }

    /**
     * The physical memory a device's memory is. Its name may change while this is open: when another {@code GpuMemory} learns
     * that two memories are one.
     *
     * @param device a device of {@link #devices}
     * @return the domain; equal for devices that share their memory, in the whole process
     */
    public MemoryDomain domain(GpuDevice device) {
        requireOpen();
        return selector.domain(device);
    }

    /**
     * The other devices whose memory is the same: the same card through other APIs, or others that live in the host's memory.
     *
     * @param device a device of {@link #devices}
     * @return the others, the host's own device first, then in the order of preference
     */
    public List<GpuDevice> sameMemoryAs(GpuDevice device) {
        requireOpen();
        return selector.sameMemoryAs(device);
    }

    /**
     * The other devices whose memory may be the same, because the drivers do not say enough to tell: no UUID and no PCI
     * address, or one only the first and the other only the second. They count as memories of their own.
     *
     * @param device a device of {@link #devices}
     * @return the others, in the order of preference
     */
    public List<GpuDevice> perhapsSameMemoryAs(GpuDevice device) {
        requireOpen();
        return selector.perhapsSameMemoryAs(device);
    }

    /**
     * Finds a device with room for a model.
     *
     * @param bytes what it needs, above 0
     * @return the selection
     * @throws NoBackendException if none has room; it carries the verdict on every device
     */
    public Selection selectBackendForModel(long bytes) {
        return selectBackendForModel(bytes, BackendPreference.auto());
    }

    /**
     * Finds a device with room for a model among those a preference allows.
     *
     * @param bytes      what it needs, above 0
     * @param preference which devices may be chosen
     * @return the selection
     * @throws NoBackendException       if none has room; it carries the verdict on every device
     * @throws IllegalArgumentException if the preference names a backend or device there is not
     */
    public Selection selectBackendForModel(long bytes, BackendPreference preference) {
        Selection selection = explainSelection(bytes, preference);
        selection.device();
        return selection;
    }

    /**
     * Judges every device, and never throws for want of room.
     *
     * @param bytes what is needed, above 0
     * @return the selection, possibly without a device
     */
    public Selection explainSelection(long bytes) {
        return explainSelection(bytes, BackendPreference.auto());
    }

    /**
     * Judges every device a preference allows, and never throws for want of room.
     *
     * @param bytes      what is needed, above 0
     * @param preference which devices may be chosen
     * @return the selection, possibly without a device
     * @throws IllegalArgumentException if the preference names a backend or device there is not
     */
    public Selection explainSelection(long bytes, BackendPreference preference) {
        requireOpen();
        requirePositive(bytes);
        if (catalog.statuses().isEmpty()) {
            return new Selection(this, bytes, preference, List.of(), Optional.empty(), NO_BACKEND);
        }
        BackendSelector.Choice choice = selector.choose(bytes, preference, this::room);
        return new Selection(this, bytes, preference, choice.verdicts(), choice.chosen(), null);
    }

    /**
     * Judges every device a preference allows, where the same thing needs more on one device than on another. Never throws for
     * want of room.
     *
     * @param bytes      what is needed wherever it lies, above 0
     * @param preference which devices may be chosen
     * @param extraBytes what is needed besides on a device, 0 or more; asked once for each device. Must not use this object
     * @return the selection, possibly without a device; what it requires is what the device chosen needs, or else the first
     * @throws IllegalArgumentException if the preference names a backend or device there is not, or extra bytes are below 0
     */
    public Selection explainSelection(long bytes, BackendPreference preference, ToLongFunction<GpuDevice> extraBytes) {
        Objects.requireNonNull(extraBytes, "extraBytes");
        requireOpen();
        requirePositive(bytes);
        if (catalog.statuses().isEmpty()) {
            return new Selection(this, bytes, preference, List.of(), Optional.empty(), NO_BACKEND);
        }
        BackendSelector.Choice choice =
                selector.choose(bytes, preference, this::room, device -> total(bytes, extraBytes.applyAsLong(device)));
        long required = choice.verdicts().stream()
                .filter(verdict -> choice.chosen().isEmpty() || choice.chosen().equals(verdict.device()))
                .mapToLong(Verdict::requiredBytes)
                .findFirst()
                .orElse(bytes);
        return new Selection(this, required, preference, choice.verdicts(), choice.chosen(), null);
    }

    private static long total(long bytes, long extraBytes) {
        if (extraBytes < 0) {
            throw new IllegalArgumentException("extraBytes is " + extraBytes + ": must be 0 or more");
        }
        return extraBytes > Long.MAX_VALUE - bytes ? Long.MAX_VALUE : bytes + extraBytes;
    }

    /**
     * Selects and opens in one step. There is no silent second choice: what the preference names either has room or fails, but
     * the host, asked for by name, is always opened.
     *
     * @param preference which devices may be chosen
     * @param bytes      what is needed, above 0
     * @return the open pool, owned by this object
     * @throws NoBackendException if none has room, with device, bytes available and bytes required
     */
    public GpuMemoryPool initBackendWithMemoryCheck(BackendPreference preference, long bytes) {
        Selection selection = explainSelection(bytes, preference);
        Optional<GpuDevice> host = devices().stream()
                .filter(device -> device.deviceClass() == DeviceClass.HOST && preference.allows(device))
                .findFirst();
        if (selection.chosen().isEmpty() && !preference.isAuto() && host.isPresent()) {
            return pool(host.get());
        }
        return selection.pool();
    }

    /**
     * Sets bytes aside on several devices, or on none if one of them has no room. Opens their pools.
     *
     * @param bytes how many on which device, each above 0
     * @return the reservation, to be closed by the caller
     * @throws DeviceOutOfMemoryException if one of them has no room
     */
    public Reservation reserve(Map<GpuDevice, Long> bytes) {
        Map<PoolEngine, Long> shares = new LinkedHashMap<>();
        bytes.forEach((device, size) -> {
            requirePositive(size);
            shares.put(engine(pool(device)), size);
        });
        return LedgerReservation.of(shares);
    }

    /**
     * Sets aside in several pools what known buffers will take there, or nothing if one of them has no room: as much as {@link
     * GpuMemoryPool#growthFor} says. If the buffers are then allocated in this order through {@link Reservation#pool}, and nobody
     * else uses the pools meanwhile, none of them is refused. What is set aside is taken from the driver in as few blocks as the
     * device allows. Meant for loading a model, of which every tensor is known.
     *
     * @param byteSizes the sizes in order, each above 0, by the pool of this object they will be allocated from; one pool for
     *     each device
     * @return the reservation, to be closed by the caller
     * @throws DeviceOutOfMemoryException if one of the pools has no room
     * @throws AllocationTooLargeException if one of the buffers is larger than any allocation of its device
     * @throws IllegalArgumentException if two of the pools are of one device, such as the host's own and the one that stands in
     */
    public Reservation reserveBuffers(Map<? extends GpuMemoryPool, List<Long>> byteSizes) {
        Map<PoolEngine, List<Long>> shares = new LinkedHashMap<>();
        byteSizes.forEach((pool, sizes) -> shares.put(engine(pool), List.copyOf(sizes)));
        return LedgerReservation.ofBuffers(shares);
    }

    private static PoolEngine engine(GpuMemoryPool pool) {
        if (pool instanceof PoolEngine engine) {
            return engine;
        }
        throw new GpuMemoryException(pool.device() + " has a pool of its backend's own, which knows no reservations");
    }

    /**
     * The pool of a device, opened on first use, and again once it was closed.
     *
     * @param device a device of {@link #devices}
     * @return the pool, owned by this object
     * @throws DriverFailedException if the device cannot be opened; a later call tries again
     */
    public GpuMemoryPool pool(GpuDevice device) {
        return openOnce(pools, device, () -> openPool(device));
    }

    /**
     * The pool that stands in where a device is full, on the first host that is not the device itself. It is opened apart from
     * the one {@link #pool} gives, and bound by {@link MemoryConfig#fallbackLimitBytes}, not by {@link
     * MemoryConfig#limitBytes}: so it is also where a plan puts what a limit keeps off the device. Opened on first need.
     *
     * @param device the device
     * @return the pool, owned by this object; empty if there is no other host
     * @throws DriverFailedException if the host cannot be opened
     */
    public Optional<GpuMemoryPool> standInPool(GpuDevice device) {
        Objects.requireNonNull(device, "device");
        return Optional.ofNullable(fallbackPool(device));
    }

    /**
     * All backends and devices in words, with the recommended one.
     *
     * @return several lines, without a line end
     */
    public String summary() {
        StringBuilder text = new StringBuilder("GPU memory backends");
        for (BackendStatus status : backends()) {
            text.append("\n  ").append(status.available() ? "+ " : "- ").append(status.name());
            status.reason().ifPresent(reason -> text.append(": ").append(reason));
            status.hint().ifPresent(hint -> text.append("; ").append(hint));
            for (GpuDevice device : status.devices()) {
                text.append("\n      ").append(describe(device));
            }
        }
        text.append("\n  recommended: ")
                .append(recommended().map(GpuDevice::toString).orElse("none"));
        if (catalog.statuses().isEmpty()) {
            text.append("; ").append(NO_BACKEND);
        }
        return text.toString();
    }

    /**
     * Closes all pools, and then the backends. Closing twice does nothing; a second caller at the same time waits for the
     * first, for {@link MemoryConfig#closeTimeout} at most. Never throws.
     */
    @Override
    public void close() {
        if (!closed.begin()) {
            closed.awaitEnd(config.closeTimeout());
            return;
        }
        try {
            closeAll(pools);
            closeAll(fallbackPools);
            catalog.close(abandoned);
        } finally {
            closed.finish();
        }
    }

    private String describe(GpuDevice device) {
        String memory;
        try {
            MemoryBudget budget = budget(device);
            memory = String.format(Locale.ROOT, "%.2f GiB total", gib(budget.totalBytes()));
            memory += budget.freeBytes().isPresent()
                    ? String.format(
                            Locale.ROOT,
                            ", %.2f GiB free",
                            gib(budget.freeBytes().getAsLong()))
                    : ", free unknown";
        } catch (GpuMemoryException e) {
            memory = e.getMessage();
        }
        return device.id() + " " + device.name() + " [" + device.deviceClass().label() + "] " + memory
                + sharing(device).map(text -> ", " + text).orElse("");
    }

    /**
     * In words, what is known of other devices with the same memory, such as {@code same memory as cuda:0}.
     *
     * @param device a device of {@link #devices}
     * @return the words; empty for the first of them, and for a memory only one device shows
     */
    public Optional<String> sharing(GpuDevice device) {
        requireOpen();
        return selector.sharing(device);
    }

    private static double gib(long bytes) {
        return bytes / (double) (1L << 30);
    }

    private BackendSelector.Room room(GpuDevice device) throws DriverException {
        PoolEngine open = engineOf(device);
        return open == null ? selector.closedRoom(device, config) : open.room();
    }

    /** The engine's pool of a device, null if it has none that is open. */
    private @Nullable PoolEngine engineOf(GpuDevice device) {
        CompletableFuture<GpuMemoryPool> open = pools.get(device);
        return open != null
                        && open.isDone()
                        && !open.isCompletedExceptionally()
                        && open.join() instanceof PoolEngine engine
                        && !engine.isClosed()
                ? engine
                : null;
    }

    private GpuMemoryPool openPool(GpuDevice device) throws DriverException {
        Optional<GpuMemoryPool> own = catalog.openPool(device, config);
        return own.isPresent() ? own.get() : openEngine(device, config, config.limitBytes(), true);
    }

    private PoolEngine openEngine(GpuDevice device, MemoryConfig poolConfig, OptionalLong limit, boolean mayFallBack)
            throws DriverException {
        DeviceDriver driver = catalog.open(device);
        Supplier<@Nullable GpuMemoryPool> fallback = mayFallBack ? () -> fallbackPool(device) : () -> null;
        return PoolEngine.open(
                driver,
                new PoolSetting(poolConfig, limit, budget -> catalog.withSiblings(device, budget), fallback, clock));
    }

    /** The pool that stands in for a full device: the host's, apart from one the user may have opened there. */
    private @Nullable GpuMemoryPool fallbackPool(GpuDevice device) {
        Optional<GpuDevice> host = selector.preferred().stream()
                .filter(other -> other.deviceClass() == DeviceClass.HOST && !other.equals(device))
                .findFirst();
        MemoryConfig standIn = config.toBuilder().preAllocation(List.of()).build(); // that is meant for the device
        return host.map(other -> openOnce(
                        fallbackPools, other, () -> openEngine(other, standIn, config.fallbackLimitBytes(), false)))
                .orElse(null);
    }

    /** Opens a pool. */
    @FunctionalInterface
    private interface Opening {
        GpuMemoryPool open() throws DriverException;
    }

    private GpuMemoryPool openOnce(
            Map<GpuDevice, CompletableFuture<GpuMemoryPool>> opened, GpuDevice device, Opening opening) {
        requireOpen();
        CompletableFuture<GpuMemoryPool> before = opened.get(device);
        if (before != null
                && before.isDone()
                && !before.isCompletedExceptionally()
                && before.join() instanceof PoolEngine engine
                && engine.isClosed()) { // by the user
            noteIfAbandoned(before.join());
            opened.remove(device, before);
        }
        CompletableFuture<GpuMemoryPool> mine = new CompletableFuture<>();
        CompletableFuture<GpuMemoryPool> first = opened.putIfAbsent(device, mine);
        if (first != null) {
            return joined(first);
        }
        if (closed.hasBegun()) { // close() waits for whatever it finds in the map, and this it may have missed
            opened.remove(device, mine);
            BufferClosedException refusal = closedException();
            mine.completeExceptionally(refusal);
            throw refusal;
        }
        try {
            mine.complete(opening.open());
        } catch (DriverException e) {
            mine.completeExceptionally(
                    new DriverFailedException("%s cannot be opened: %s".formatted(device, e.getMessage()), e));
        } catch (RuntimeException | Error e) {
            mine.completeExceptionally(e);
        }
        if (mine.isCompletedExceptionally()) {
            opened.remove(device, mine);
        }
        return joined(mine);
    }

    private static GpuMemoryPool joined(CompletableFuture<GpuMemoryPool> pool) {
        try {
            return pool.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw e;
        }
    }

    private void closeAll(Map<GpuDevice, CompletableFuture<GpuMemoryPool>> opened) {
        for (CompletableFuture<GpuMemoryPool> pool : opened.values()) {
            if (pool.handle((open, failure) -> failure != null).join()) {
                continue;
            }
            try {
                pool.join().close();
                noteIfAbandoned(pool.join());
            } catch (RuntimeException e) { // a pool of a backend's own
                LOG.log(System.Logger.Level.WARNING, "a pool failed to close", e);
            }
        }
    }

    /** A backend whose driver may be at work must not be closed under it. */
    private void noteIfAbandoned(GpuMemoryPool pool) {
        if (pool instanceof PoolEngine engine && engine.isAbandoned()) {
            abandoned.add(pool.backendName());
        }
    }

    /** A question to a driver. */
    @FunctionalInterface
    private interface Question<T> {
        T ask() throws DriverException;
    }

    private <T> T asking(GpuDevice device, Question<T> question) {
        requireOpen();
        try {
            return question.ask();
        } catch (DriverException e) {
            throw new DriverFailedException(
                    "%s does not say how much memory it has: %s".formatted(device, e.getMessage()), e);
        }
    }

    private void requireOpen() {
        if (closed.hasBegun()) {
            throw closedException();
        }
    }

    private static BufferClosedException closedException() {
        return new BufferClosedException("this GpuMemory is closed");
    }

    private static void requirePositive(long bytes) {
        if (bytes <= 0) {
            throw new IllegalArgumentException("bytes is " + bytes + ": must be above 0");
        }
    }

    /** Collects the settings of a {@link GpuMemory}. Not thread-safe. */
    public static final class Builder {
        private static final Duration MAX_PROBE_TIMEOUT = Duration.ofDays(1);

        private MemoryConfig config = MemoryConfig.defaults();
        private final List<MemoryBackend> backends = new ArrayList<>();
        private List<String> order = List.of();
        private LongSupplier clock = System::nanoTime;
        private Duration probeTimeout = Duration.ofSeconds(10);
        private CardFiles files = CardFiles.ofKernel();

        private Builder() {}

        /**
         * Sets how much pools may take and how they behave.
         *
         * @param memoryConfig the configuration
         * @return this builder
         */
        public Builder config(MemoryConfig memoryConfig) {
            config = Objects.requireNonNull(memoryConfig, "memoryConfig");
            return this;
        }

        /**
         * Adds a backend. The first one replaces what would be found on the class path.
         *
         * @param backend the backend, owned by the {@link GpuMemory} from then on
         * @return this builder
         */
        public Builder backend(MemoryBackend backend) {
            backends.add(Objects.requireNonNull(backend, "backend"));
            return this;
        }

        /**
         * Sets which backends come first among devices of the same class. Backends not named follow by their own priority.
         *
         * @param names names of backends
         * @return this builder
         */
        public Builder backendOrder(List<String> names) {
            order = List.copyOf(names);
            return this;
        }

        /**
         * Sets the clock for ages and time stamps.
         *
         * @param nanoClock nanoseconds, monotonic
         * @return this builder
         */
        public Builder clock(LongSupplier nanoClock) {
            clock = Objects.requireNonNull(nanoClock, "nanoClock");
            return this;
        }

        /**
         * Sets how long each backend may take to say what devices it has. One that takes longer counts as absent and does not
         * stop the others; the default, 10 seconds, is far beyond what the slowest driver needs to start.
         *
         * @param timeout above 0, to 1 day
         * @return this builder
         * @throws IllegalArgumentException if the timeout is out of its range
         */
        public Builder probeTimeout(Duration timeout) {
            if (!timeout.isPositive() || timeout.compareTo(MAX_PROBE_TIMEOUT) > 0) {
                throw new IllegalArgumentException("probeTimeout is " + timeout + ": must be above 0, up to "
                        + MAX_PROBE_TIMEOUT.toDays() + " day");
            }
            probeTimeout = timeout;
            return this;
        }

        /** For tests: where the kernel's files about cards are. */
        Builder cardFiles(Path folder) {
            files = new CardFiles(folder);
            return this;
        }

        /**
         * Looks for devices.
         *
         * @return the memory, to be closed by the caller
         * @throws IllegalArgumentException if {@link #backendOrder} names a backend there is not
         */
        public GpuMemory open() {
            return new GpuMemory(this);
        }
    }
}
