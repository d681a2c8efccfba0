package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.BackendStatus;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryDomain;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.Verdict;
import dev.headroom.memory.spi.DriverException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.LongFunction;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;

/**
 * Where something fits: a verdict for every device, in the order of preference, and the first that fits. The order is: class
 * (discrete, virtual, integrated, CPU in disguise, host), then backend, then index.
 */
public final class BackendSelector {

    /**
     * The outcome.
     *
     * @param verdicts devices in the order of preference, then backends that are absent
     * @param chosen   the first device that fits
     */
    public record Choice(List<Verdict> verdicts, Optional<GpuDevice> chosen) {}

    /** Asks how much may be taken on a device; a pool that is open answers for itself. */
    @FunctionalInterface
    public interface Rooms {
        /**
         * The figures of a device.
         *
         * @param device the device
         * @return what may be taken
         * @throws DriverException if its driver does not answer
         */
        Room of(GpuDevice device) throws DriverException;
    }

    /**
     * How much may be taken on a device.
     *
     * @param budget      what the system said
     * @param usableBytes what may be taken
     * @param terms       the margins in words
     * @param cure        what gives so many bytes more, in words
     */
    public record Room(MemoryBudget budget, long usableBytes, String terms, LongFunction<String> cure) {}

    private final ProviderCatalog catalog;

    /**
     * A selector over a catalog.
     *
     * @param catalog the backends
     */
    public BackendSelector(ProviderCatalog catalog) {
        this.catalog = catalog;
    }

    /**
     * All devices in the order of preference.
     *
     * @return the devices
     */
    public List<GpuDevice> preferred() {
        List<GpuDevice> devices = new ArrayList<>(catalog.devices());
        devices.sort(Comparator.comparing(GpuDevice::deviceClass)
                .thenComparingInt(device -> catalog.rank(device.backend()))
                .thenComparingInt(GpuDevice::index));
        return devices;
    }

    /**
     * The physical memory a device's memory is.
     *
     * @param device a device of the catalog
     * @return the domain
     */
    public MemoryDomain domain(GpuDevice device) {
        return catalog.ledger(device).domain();
    }

    /**
     * Devices of another memory of which nobody can tell whether it really is another.
     *
     * @param device a device of the catalog
     * @return the devices, in the order of preference
     */
    public List<GpuDevice> perhapsSameMemoryAs(GpuDevice device) {
        List<GpuDevice> own = sharers(device);
        return preferred().stream()
                .filter(other -> !own.contains(other)
                        && !domain(device).host()
                        && !domain(other).host()
                        && sharers(other).stream().allMatch(one -> own.stream().allMatch(two -> isUndecided(one, two))))
                .toList();
    }

    /** A backend that lists two devices of different names means two; of the same name it may mean one, of two drivers. */
    private static boolean isUndecided(GpuDevice one, GpuDevice other) {
        boolean silent = !one.physicalId().comparableWith(other.physicalId())
                // The same address, which has turned out to be that of several slices.
                || one.physicalId().sameMemoryAs(other.physicalId());
        return silent && (!one.backend().equals(other.backend()) || one.name().equals(other.name()));
    }

    /** All devices of a memory, its own host device first, then in the order of preference. */
    private List<GpuDevice> sharers(GpuDevice device) {
        DomainLedger ledger = catalog.ledger(device);
        return preferred().stream()
                .filter(other -> catalog.ledger(other).isOfSameMemory(ledger))
                .sorted(Comparator.comparing(other -> other.deviceClass() != DeviceClass.HOST))
                .toList();
    }

    /**
     * Other devices of the same memory.
     *
     * @param device a device of the catalog
     * @return the others, the host's own device first, then in the order of preference
     */
    public List<GpuDevice> sameMemoryAs(GpuDevice device) {
        return sharers(device).stream().filter(other -> !other.equals(device)).toList();
    }

    /**
     * What is known of other devices with the same memory, in words.
     *
     * @param device a device of the catalog
     * @return the words; empty for the first of them, and for a memory only one device shows
     */
    public Optional<String> sharing(GpuDevice device) {
        GpuDevice first = sharers(device).getFirst();
        if (!first.equals(device)) {
            return Optional.of("same memory as " + first.id());
        }
        String perhaps = perhapsSameMemoryAs(device).stream()
                .map(other -> sharers(other).getFirst().id())
                .distinct()
                .collect(Collectors.joining(" or "));
        return perhaps.isEmpty()
                ? Optional.empty()
                : Optional.of("perhaps the same memory as " + perhaps + ": the drivers do not tell");
    }

    /**
     * Judges every device a preference allows.
     *
     * @param bytes      what has to fit
     * @param preference which devices may be chosen
     * @param rooms      how much may be taken
     * @return the verdicts and the choice
     * @throws IllegalArgumentException if the preference names no backend or device there is
     */
    public Choice choose(long bytes, BackendPreference preference, Rooms rooms) {
        return choose(bytes, preference, rooms, _ -> bytes);
    }

    /**
     * Judges every device a preference allows, each by bytes of its own.
     *
     * @param bytes      what has to fit as far as no device is concerned
     * @param preference which devices may be chosen
     * @param rooms      how much may be taken
     * @param needs      what has to fit on a device
     * @return the verdicts and the choice
     * @throws IllegalArgumentException if the preference names no backend or device there is
     */
    public Choice choose(long bytes, BackendPreference preference, Rooms rooms, ToLongFunction<GpuDevice> needs) {
        requireKnown(preference);
        List<Verdict> verdicts = new ArrayList<>();
        for (GpuDevice device : preferred()) {
            if (preference.allows(device)) {
                verdicts.add(judge(needs.applyAsLong(device), device, rooms));
            }
        }
        Optional<GpuDevice> chosen =
                verdicts.stream().filter(Verdict::fits).findFirst().flatMap(Verdict::device);
        for (BackendStatus status : catalog.statuses()) {
            if (!status.available()
                    && preference.backend().map(status.name()::equals).orElse(true)) {
                verdicts.add(absent(bytes, status));
            }
        }
        EVENTS.selected(bytes, preference.toString(), chosen, verdicts);
        return new Choice(verdicts, chosen);
    }

    /**
     * How much a pool that is not open yet could take.
     *
     * @param device a device of the catalog
     * @param config what the pool would be opened with
     * @return the figures
     * @throws DriverException if the driver does not answer
     */
    public Room closedRoom(GpuDevice device, MemoryConfig config) throws DriverException {
        DomainLedger ledger = catalog.ledger(device);
        BudgetRule.Reading reading = read(device, ledger);
        BudgetRule.Allowance allowance = BudgetRule.of(config).allowance(reading, ledger.figures(), 0);
        return new Room(reading.budget(), allowance.usableBytes(), allowance.terms(), allowance::cure);
    }

    /**
     * How full a device is whose pool is not open, or the limit where one is set.
     *
     * @param device a device of the catalog
     * @param config what the pool would be opened with
     * @return the pressure
     * @throws DriverException if the driver does not answer
     */
    public MemoryPressure closedPressure(GpuDevice device, MemoryConfig config) throws DriverException {
        DomainLedger ledger = catalog.ledger(device);
        BudgetRule.Reading reading = read(device, ledger);
        return BudgetRule.of(config).pressure(reading, ledger.figures(), 0);
    }

    /**
     * What this process holds of a device's memory.
     *
     * @param device a device of the catalog
     * @return bytes in blocks, of all pools and of staging
     */
    public long heldBytes(GpuDevice device) {
        return catalog.ledger(device).figures().heldBytes();
    }

    private BudgetRule.Reading read(GpuDevice device, DomainLedger ledger) throws DriverException {
        long completed = ledger.figures().completedBytes();
        return new BudgetRule.Reading(catalog.budget(device), completed);
    }

    private void requireKnown(BackendPreference preference) {
        if (preference.isAuto()) {
            return;
        }
        String name = preference.backend().orElseThrow();
        if (!catalog.names().contains(name)) {
            throw new IllegalArgumentException(catalog.unknown(name));
        }
        List<GpuDevice> devices = catalog.devices().stream()
                .filter(device -> device.backend().equals(name))
                .toList();
        if (preference.index().isPresent()
                && !devices.isEmpty()
                && devices.stream().noneMatch(preference::allows)) {
            throw new IllegalArgumentException("there is no device '%s'; %s has %s"
                    .formatted(
                            preference,
                            name,
                            devices.stream().map(GpuDevice::id).toList()));
        }
    }

    private static Verdict judge(long bytes, GpuDevice device, Rooms rooms) {
        Room room;
        try {
            room = rooms.of(device);
        } catch (DriverException | RuntimeException e) { // a broken driver may throw anything
            return new Verdict(
                    device.backend(),
                    Optional.of(device),
                    false,
                    bytes,
                    Optional.empty(),
                    0,
                    bytes,
                    "unavailable, because its driver does not say how much memory there is: "
                            + (e instanceof DriverException ? e.getMessage() : e));
        }
        long shortBytes = Math.max(0, bytes - room.usableBytes());
        String figures = ByteSize.format(room.usableBytes()) + " usable (" + room.terms() + ")";
        String reason = shortBytes == 0
                ? "fits with " + ByteSize.format(room.usableBytes() - bytes) + " to spare: " + figures
                : "short by %s: %s; %s".formatted(ByteSize.format(shortBytes), figures, cure(bytes, shortBytes, room));
        return new Verdict(
                device.backend(),
                Optional.of(device),
                shortBytes == 0,
                bytes,
                Optional.of(room.budget()),
                room.usableBytes(),
                shortBytes,
                reason);
    }

    private static String cure(long bytes, long shortBytes, Room room) {
        return bytes > room.budget().totalBytes()
                ? "the device is too small"
                : "to make it fit, " + room.cure().apply(shortBytes);
    }

    private static Verdict absent(long bytes, BackendStatus status) {
        String reason = "unavailable, because " + status.reason().orElse("it offers no device");
        String hint = status.hint().map(text -> "; " + text).orElse("");
        return new Verdict(status.name(), Optional.empty(), false, bytes, Optional.empty(), 0, bytes, reason + hint);
    }
}
