package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryDomain;
import dev.headroom.memory.PhysicalId;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Which physical memory a device's memory is. One table for the whole process, so that two {@code GpuMemory} instances
 * with different backends agree; an entry lives as long as somebody uses it. Thread-safe.
 *
 * <ul>
 *   <li>What lives in the host's memory is the host.
 *   <li>Devices of one UUID are one memory, and so are devices of one PCI address, as long as no two UUIDs are known there:
 *       then it is a card in slices, and the UUIDs alone tell.
 *   <li>An API that knows only the UUID and one that knows only the address are joined by a third that knows both, also if
 *       that comes last: their ledgers are then joined.
 *   <li>A device stays with its memory while anybody uses it, whatever is learned later of its place.
 *   <li>Names are never compared: two equal cards have the same.
 * </ul>
 */
final class Domains {

    private static final Map<String, Entry> TABLE = new HashMap<>();
    private static final Entry HOST = new Entry(MemoryDomain.HOST);

    /** Those that know most come first: they say which UUID is where. */
    private static final Comparator<GpuDevice> BY_KNOWLEDGE = Comparator.comparingInt(device -> {
        PhysicalId id = device.physicalId();
        return id.uuid().isPresent() ? (id.pciAddress().isPresent() ? 0 : 1) : 2;
    });

    private static final class Entry {
        private final DomainLedger ledger;
        private final List<String> keys = new ArrayList<>();
        private Optional<String> uuid = Optional.empty();
        private @Nullable Entry heir;
        private int users;

        private Entry(MemoryDomain domain) {
            this.ledger = new DomainLedger(domain);
        }

        private boolean isOther(Optional<String> otherUuid) {
            return uuid.isPresent() && !uuid.equals(otherUuid);
        }

        private Entry root() {
            return heir == null ? this : heir.root();
        }

        private void know(String key) {
            if (TABLE.putIfAbsent(key, this) == null) {
                keys.add(key);
            }
        }

        private void joinTo(Entry other) {
            keys.forEach(key -> TABLE.put(key, other));
            other.keys.addAll(keys);
            other.users += users;
            heir = other;
            ledger.joinTo(other.ledger);
        }
    }

    /** A user's hold on a ledger. */
    static final class Lease implements AutoCloseable {
        private final Entry entry;
        private boolean open = true;

        private Lease(Entry entry) {
            this.entry = entry;
        }

        DomainLedger ledger() {
            return entry.ledger;
        }

        @Override
        public void close() {
            synchronized (TABLE) {
                if (open) {
                    open = false;
                    Entry root = entry.root();
                    root.users--;
                    if (root.users == 0 && root.ledger.isIdle()) {
                        root.keys.forEach(TABLE::remove);
                    }
                }
            }
        }
    }

    private Domains() {}

    /** The host's DRAM. */
    static DomainLedger host() {
        return HOST.ledger;
    }

    /** Finds or makes the ledger of the memory a device calls its own. */
    static Lease lease(GpuDevice device) {
        synchronized (TABLE) {
            Entry entry = find(device);
            entry.users++;
            return new Lease(entry);
        }
    }

    /** The same for all devices of a machine: the order in which backends list them does not matter. */
    static Map<GpuDevice, Lease> leaseAll(Collection<GpuDevice> devices) {
        Map<GpuDevice, Lease> leases = new HashMap<>();
        synchronized (TABLE) {
            devices.stream().sorted(BY_KNOWLEDGE).forEach(device -> leases.put(device, lease(device)));
        }
        return leases;
    }

    private static Entry find(GpuDevice device) {
        PhysicalId id = device.physicalId();
        if (id.host() || device.deviceClass().compareTo(DeviceClass.INTEGRATED) >= 0) {
            return HOST;
        }
        String itself = "device:" + device.id() + id.label().map(_ -> " " + id).orElse("");
        Entry known = TABLE.get(itself);
        if (known == null) {
            known = id.uuid().isPresent() ? byUuid(id) : byPlace(device);
            known.know(itself);
        }
        return known;
    }

    private static Entry byUuid(PhysicalId id) {
        Optional<String> uuid = id.bareUuid();
        String uuidKey = "uuid:" + uuid.orElseThrow();
        Entry entry = TABLE.get(uuidKey);
        Optional<String> place = id.pciAddress();
        if (place.isPresent() && !id.isSlice()) {
            Entry there = TABLE.get(placeKey(place.get()));
            if (there != null && there.isOther(uuid)) {
                there.know(slicesKey(place.get()));
            } else if (there != null && entry != null && !entry.equals(there)) {
                there.joinTo(entry);
            } else if (there != null) {
                entry = there;
            }
        }
        if (entry == null) {
            entry = new Entry(new MemoryDomain(id.label().orElseThrow(), false));
        }
        entry.uuid = uuid;
        entry.know(uuidKey);
        if (place.isPresent()) {
            entry.know(id.isSlice() ? slicesKey(place.get()) : placeKey(place.get()));
        }
        return entry;
    }

    private static Entry byPlace(GpuDevice device) {
        Optional<String> place = device.physicalId().pciAddress();
        if (place.isEmpty()) {
            return new Entry(new MemoryDomain("device:" + device.id(), false));
        }
        if (TABLE.containsKey(slicesKey(place.get()))) { // which of them it means, nobody knows
            return new Entry(new MemoryDomain("pci:" + place.get() + " as " + device.id(), false));
        }
        Entry entry = TABLE.get(placeKey(place.get()));
        if (entry == null) {
            entry = new Entry(new MemoryDomain(placeKey(place.get()), false));
            entry.know(placeKey(place.get()));
        }
        return entry;
    }

    private static String placeKey(String address) {
        return "pci:" + address;
    }

    /** Present where more than one memory is at one address. */
    private static String slicesKey(String address) {
        return "slices:" + address;
    }
}
