package dev.headroom.memory.engine;

import dev.headroom.memory.BackendStatus;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.MemoryBackend;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The backends of one {@code GpuMemory} and what they found. A backend that is broken in whatever way is reported and never
 * stops the others. Immutable once made; thread-safe.
 */
public final class ProviderCatalog {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    /** What the artifacts of the known backends are called, for messages about absent ones. */
    private static final Map<String, String> ARTIFACTS = Map.of(
            "cuda", "memory-cuda", "opencl", "memory-opencl", "vulkan", "memory-vulkan", "cpu", "memory-cpu-fallback");

    private static final String BROKEN_HINT = "report this to the backend's author, or take its jar off the class path";

    private static final Pattern NAME = Pattern.compile("[a-z0-9][a-z0-9_.-]*");

    private static final Pattern PROVIDER_TYPE = Pattern.compile("([\\w.$]+) (could not|not a|not found|Unable)");

    /** A loader that fails so often fails for ever. */
    private static final int MAX_UNLOADABLE = 64;

    /** A backend and what it says of its place in the order. */
    private record Provider(MemoryBackend backend, int priority) {}

    private final Map<String, Provider> providers = new LinkedHashMap<>();
    private final List<String> ranking = new ArrayList<>();
    private final List<BackendStatus> statuses = new ArrayList<>();
    private final List<BackendStatus> broken = new ArrayList<>();
    private final Map<GpuDevice, Domains.Lease> leases = new HashMap<>();
    /** Backends that have not answered; they are closed when they do. */
    private final Set<String> silent = new HashSet<>();

    private final Duration patience;
    private final FreeFigures figures;

    private ProviderCatalog(
            Iterable<MemoryBackend> backends,
            List<BackendStatus> unloadable,
            List<String> order,
            Duration patience,
            CardFiles files) {
        this.patience = patience;
        this.figures = new FreeFigures(files);
        broken.addAll(unloadable);
        for (MemoryBackend backend : backends) {
            adopt(backend);
        }
        for (String name : order) {
            if (!validNames().contains(name)) {
                throw new IllegalArgumentException(unknown(name));
            }
        }
        ranking.addAll(new LinkedHashSet<>(order));
        ranking.retainAll(providers.keySet());
        providers.entrySet().stream()
                .filter(entry -> !order.contains(entry.getKey()))
                .sorted(Comparator.comparingInt((Map.Entry<String, Provider> entry) ->
                                entry.getValue().priority())
                        .reversed()
                        .thenComparing(Map.Entry::getKey))
                .forEach(entry -> ranking.add(entry.getKey()));
        for (String name : ranking) {
            statuses.add(probe(name));
        }
        leases.putAll(Domains.leaseAll(devices()));
        statuses.addAll(broken);
    }

    /**
     * Finds the backends on the class path and module path.
     *
     * @param order    names in the order to prefer; others follow by priority
     * @param patience how long to wait for each to say what it has
     * @param files    what the kernel says about cards
     * @return the catalog
     */
    public static ProviderCatalog discover(List<String> order, Duration patience, CardFiles files) {
        ServiceLoader<MemoryBackend> loader =
                ServiceLoader.load(MemoryBackend.class, MemoryBackend.class.getClassLoader());
        List<MemoryBackend> found = new ArrayList<>();
        List<BackendStatus> unloadable = new ArrayList<>();
        Iterator<MemoryBackend> iterator = loader.iterator();
        while (unloadable.size() < MAX_UNLOADABLE) {
            try {
                if (!iterator.hasNext()) {
                    break;
                }
                found.add(iterator.next());
            } catch (ServiceConfigurationError | LinkageError e) {
                unloadable.add(unloadable(e));
            }
        }
        return new ProviderCatalog(found, unloadable, order, patience, files);
    }

    /**
     * Uses given backends instead.
     *
     * @param backends the backends, owned from now on
     * @param order    names in the order to prefer; others follow by priority
     * @param patience how long to wait for each to say what it has
     * @param files    what the kernel says about cards
     * @return the catalog
     */
    public static ProviderCatalog of(
            List<MemoryBackend> backends, List<String> order, Duration patience, CardFiles files) {
        return new ProviderCatalog(backends, List.of(), order, patience, files);
    }

    /**
     * What became of each backend.
     *
     * @return the statuses, in the order of preference
     */
    public List<BackendStatus> statuses() {
        return Collections.unmodifiableList(statuses);
    }

    /**
     * All devices.
     *
     * @return the devices, by backend and index
     */
    public List<GpuDevice> devices() {
        return statuses.stream().flatMap(status -> status.devices().stream()).toList();
    }

    /**
     * Names a preference may use.
     *
     * @return names of backends that were found, in alphabetical order
     */
    public List<String> names() {
        return List.copyOf(new TreeSet<>(providers.keySet()));
    }

    /**
     * What to say about a backend that was asked for and is not there.
     *
     * @param name the name asked for
     * @return the message
     */
    public String unknown(String name) {
        String artifact = ARTIFACTS.get(name);
        return artifact != null
                ? "backend '%s' is not on the class path: add the artifact dev.headroom:%s. Present are %s"
                        .formatted(name, artifact, names())
                : "there is no backend '%s'; valid names are %s".formatted(name, validNames());
    }

    private List<String> validNames() {
        TreeSet<String> valid = new TreeSet<>(ARTIFACTS.keySet());
        valid.addAll(providers.keySet());
        return List.copyOf(valid);
    }

    /**
     * The backend of a device.
     *
     * @param device a device of this catalog
     * @return the backend
     */
    public MemoryBackend backend(GpuDevice device) {
        Provider provider = providers.get(device.backend());
        if (provider == null || !leases.containsKey(device)) {
            throw new IllegalArgumentException(device + " is not a device of this GpuMemory; devices() lists them");
        }
        return provider.backend();
    }

    /** The ledger of a device's memory. */
    DomainLedger ledger(GpuDevice device) {
        Domains.Lease lease = leases.get(Objects.requireNonNull(device, "device"));
        if (lease == null) {
            throw new IllegalArgumentException(device + " is not a device of this GpuMemory; devices() lists them");
        }
        return lease.ledger();
    }

    /** Where a device's backend stands; lower comes first, and no two stand in the same place. */
    int rank(String backend) {
        return ranking.indexOf(backend);
    }

    /**
     * Opens a device.
     *
     * @param device a device of this catalog
     * @return its driver
     * @throws DriverException if the backend cannot, for whatever reason
     */
    public DeviceDriver open(GpuDevice device) throws DriverException {
        MemoryBackend backend = backend(device);
        return guarded("open", () -> backend.open(device));
    }

    /**
     * Opens the pool a backend has of its own.
     *
     * @param device a device of this catalog
     * @param config the user's configuration
     * @return the pool, if the backend has one
     * @throws DriverException if the backend has one and cannot open it, for whatever reason
     */
    public Optional<GpuMemoryPool> openPool(GpuDevice device, MemoryConfig config) throws DriverException {
        MemoryBackend backend = backend(device);
        return guarded("openPool", () -> backend.openPool(device, config));
    }

    /**
     * What the system says about a device that need not be open. A device without a measured free figure takes a better one
     * from the kernel, or from another API that shows the same memory.
     *
     * @param device a device of this catalog
     * @return the figures
     * @throws DriverException if the driver does not answer
     */
    public MemoryBudget budget(GpuDevice device) throws DriverException {
        return withSiblings(device, asked(device));
    }

    /**
     * Betters a free figure that is not measured, from the kernel or from another API that shows the same memory.
     *
     * @param device the device
     * @param budget its own figures
     * @return the figures; the detail says where the free one comes from
     */
    public MemoryBudget withSiblings(GpuDevice device, MemoryBudget budget) {
        if (budget.source() == MemoryBudget.Source.MEASURED) {
            return budget; // nobody knows better, and each growth asks
        }
        DomainLedger ledger = ledger(device);
        List<FreeFigures.Other> others = devices().stream()
                .filter(other -> !other.equals(device) && ledger(other).isOfSameMemory(ledger))
                // Of the host's memory its own backend knows most: what a container may take, for one.
                .sorted(Comparator.comparing(other -> other.deviceClass() != DeviceClass.HOST))
                .map(other -> new FreeFigures.Other(other, this::answer))
                .toList();
        return figures.best(device, budget, ledger.domain().host(), others);
    }

    /**
     * Lets go of the backends.
     *
     * @param busy names of those with a driver that could not be closed: they are left open with it
     */
    public void close(Set<String> busy) {
        leases.values().forEach(Domains.Lease::close);
        providers.forEach((name, provider) -> {
            if (!busy.contains(name) && !silent.contains(name)) {
                close(provider.backend());
            }
        });
    }

    private static void close(MemoryBackend backend) {
        try {
            backend.close();
        } catch (Throwable e) {
            LOG.log(System.Logger.Level.WARNING, "a backend failed to close", e);
        }
    }

    private void adopt(MemoryBackend backend) {
        String type = backend.getClass().getName();
        String name;
        int priority;
        try {
            name = backend.name();
            priority = backend.priority();
        } catch (Throwable e) {
            broken.add(absent(type, "the backend is broken: " + e, BROKEN_HINT));
            return;
        }
        if (name == null || !NAME.matcher(name).matches()) {
            broken.add(absent(type, "the backend is broken: its name is '" + name + "'", BROKEN_HINT));
        } else if (providers.putIfAbsent(name, new Provider(backend, priority)) != null) {
            broken.add(absent(
                    name, "a second backend of this name was ignored: " + type, "leave one of both on the class path"));
        }
    }

    private BackendStatus probe(String name) {
        MemoryBackend backend = backendOf(name);
        try {
            int version = backend.spiVersion();
            if (version != MemoryBackend.SPI_VERSION) {
                return absent(
                        name,
                        "it speaks version " + version + " of the contract, this Headroom speaks "
                                + MemoryBackend.SPI_VERSION,
                        "use the same version of all Headroom artifacts; the BOM sees to it");
            }
            return switch (BoundedProbe.ask(name, backend, patience)) {
                case BackendProbe.Available available -> present(name, available.devices());
                case BackendProbe.Unavailable unavailable -> absent(name, unavailable.reason(), unavailable.hint());
                case null -> absent(name, "the backend is broken: its probe gave nothing", BROKEN_HINT);
            };
        } catch (BoundedProbe.NoAnswer e) {
            silent.add(name);
            return absent(
                    name,
                    "it did not answer within " + text(patience),
                    "look into its driver's own log, or raise GpuMemory.Builder.probeTimeout");
        } catch (Throwable e) {
            return absent(name, "the backend is broken: " + e, BROKEN_HINT);
        }
    }

    private static String text(Duration time) {
        return time.toMillis() % 1000 == 0 ? time.toSeconds() + " s" : time.toMillis() + " ms";
    }

    private BackendStatus present(String name, List<GpuDevice> devices) {
        Set<Integer> indexes = new HashSet<>();
        for (GpuDevice device : devices) {
            if (!device.backend().equals(name)) {
                return absent(name, "the backend is broken: it claims the device " + device, BROKEN_HINT);
            }
            if (!indexes.add(device.index())) {
                return absent(name, "the backend is broken: it has more than one device " + device.id(), BROKEN_HINT);
            }
        }
        return new BackendStatus(name, devices, Optional.empty(), Optional.empty());
    }

    private MemoryBackend backendOf(String name) {
        Provider provider = providers.get(name);
        if (provider == null) {
            throw new IllegalArgumentException(unknown(name));
        }
        return provider.backend();
    }

    private Optional<MemoryBudget> answer(GpuDevice device) {
        try {
            return Optional.of(asked(device));
        } catch (DriverException e) {
            return Optional.empty();
        }
    }

    private MemoryBudget asked(GpuDevice device) throws DriverException {
        MemoryBackend backend = backend(device);
        return guarded("budget", () -> backend.budget(device));
    }

    /** A question to a backend. */
    @FunctionalInterface
    private interface Question<T> {
        @Nullable
        T ask() throws DriverException;
    }

    /** A backend's answer, with whatever it throws made into the failure it should have been. */
    private static <T> T guarded(String call, Question<T> question) throws DriverException {
        T answer;
        try {
            answer = question.ask();
        } catch (DriverException e) {
            throw e;
        } catch (Throwable e) {
            throw broken(call, e.toString(), e);
        }
        if (answer == null) {
            throw broken(call, "the backend is broken: it gave nothing", null);
        }
        return answer;
    }

    private static DriverException broken(String call, String detail, @Nullable Throwable cause) {
        DriverException failure = new DriverException(DriverException.Kind.UNEXPECTED, 0, call, detail);
        if (cause != null) {
            failure.initCause(cause);
        }
        return failure;
    }

    private static BackendStatus unloadable(Error failure) {
        String text = failure.getMessage() == null ? failure.toString() : failure.getMessage();
        Matcher type = PROVIDER_TYPE.matcher(text);
        String cause = failure.getCause() == null ? "" : ": " + failure.getCause();
        return absent(
                type.find() ? type.group(1) : "a provider",
                "the backend cannot be loaded: " + text + cause,
                BROKEN_HINT);
    }

    private static BackendStatus absent(String name, String reason, String hint) {
        return new BackendStatus(name, List.of(), Optional.of(reason), Optional.of(hint));
    }
}
