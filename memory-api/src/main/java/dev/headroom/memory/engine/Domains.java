package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryDomain;
import dev.headroom.memory.PhysicalId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which physical memory a device's memory is. One table for the whole process, so that two {@code GpuMemory} instances
 * with different backends agree; an entry lives as long as somebody uses it. Thread-safe.
 */
final class Domains {

    private static final Map<String, Entry> TABLE = new HashMap<>();
    private static final Entry HOST = new Entry(MemoryDomain.HOST, false);

    private static final class Entry {
        private final DomainLedger ledger;
        private final boolean knowsUuid;
        private final List<String> keys = new ArrayList<>();
        private int users;

        private Entry(MemoryDomain domain, boolean knowsUuid) {
            this.ledger = new DomainLedger(domain);
            this.knowsUuid = knowsUuid;
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
                    entry.users--;
                    if (entry.users == 0 && entry.ledger.isIdle()) {
                        entry.keys.forEach(TABLE::remove);
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

    private static Entry find(GpuDevice device) {
        PhysicalId id = device.physicalId();
        if (id.host() || device.deviceClass().compareTo(DeviceClass.INTEGRATED) >= 0) {
            return HOST;
        }
        String uuidKey = id.uuid().map(uuid -> "uuid:" + uuid).orElse(null);
        String pciKey =
                id.isSlice() ? null : id.pciAddress().map(pci -> "pci:" + pci).orElse(null);
        Entry known = uuidKey == null ? null : TABLE.get(uuidKey);
        if (known == null && pciKey != null) {
            Entry samePlace = TABLE.get(pciKey);
            if (samePlace != null && (uuidKey == null || !samePlace.knowsUuid)) {
                known = samePlace;
            }
        }
        String name = uuidKey != null ? uuidKey : pciKey;
        if (name == null) {
            return TABLE.computeIfAbsent("device:" + device.id(), Domains::entryOf);
        }
        if (known == null) {
            known = new Entry(new MemoryDomain(name, false), uuidKey != null);
        }
        register(known, uuidKey);
        register(known, pciKey);
        return known;
    }

    private static Entry entryOf(String key) {
        Entry entry = new Entry(new MemoryDomain(key, false), false);
        entry.keys.add(key);
        return entry;
    }

    private static void register(Entry entry, @Nullable String key) {
        if (key != null && TABLE.putIfAbsent(key, entry) == null) {
            entry.keys.add(key);
        }
    }
}
