package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import java.time.Duration;
import java.util.Collection;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The heaps of one pool, one for each kind of memory its device has. Kinds that live on the device share its domain and the
 * pool's limit; kinds that live on the host are charged to the host, without a limit. Immutable; thread-safe.
 */
final class HeapSet {

    private final DeviceSession session;
    private final PoolSetting setting;
    private final DomainLedger ledger;
    private final PoolCounters counters;
    private final Map<MemoryKind, Heap> heaps = new EnumMap<>(MemoryKind.class);
    private final List<Heap> staging = new CopyOnWriteArrayList<>();

    /**
     * Empty heaps for all kinds the device has.
     *
     * @param session the device
     * @param setting limits and margins
     * @param ledger  of the device's own memory
     * @param gauge   told how full the device is after each growth
     * @throws DriverException if the driver does not say how much memory there is
     */
    HeapSet(DeviceSession session, PoolSetting setting, DomainLedger ledger, PressureGauge gauge)
            throws DriverException {
        this.session = session;
        this.setting = setting;
        this.ledger = ledger;
        this.counters = new PoolCounters(setting.clock());
        AtomicLong limited = new AtomicLong();
        MemoryConfig config = setting.config();
        Heap.Tuning tuning =
                new Heap.Tuning(config.growthBytes(), config.releaseThresholdBytes(), config.maxPooledPerBucket());
        for (MemoryKind kind : MemoryKind.values()) {
            if (session.driver().traits(kind).supported()) {
                boolean onDevice = isOnDevice(kind);
                Accountant accountant = accountant(
                        kind, onDevice ? setting.limit() : OptionalLong.empty(), onDevice ? limited : new AtomicLong());
                PressureGauge told = onDevice ? gauge : null; // pressure speaks of the device
                heaps.put(
                        kind, new Heap(session, kind, accountant, "headroom " + kind.label(), counters, tuning, told));
            }
        }
        divide();
    }

    /** Cuts the memory the pool's figures speak of as the profile says. */
    private void divide() throws DriverException {
        if (setting.config().profile() instanceof PoolProfile.BlockClasses profile) {
            long total = primary().accountant().read().budget().totalBytes();
            primary().blocks().divide(profile.classes(total));
        }
    }

    /** A heap for staging memory: charged to the domain of its kind, but to no limit and no statistics. Null if unsupported. */
    @Nullable
    Heap forStaging(MemoryKind kind) throws DriverException {
        if (!session.driver().traits(kind).supported()) {
            return null;
        }
        Accountant accountant = accountant(kind, OptionalLong.empty(), new AtomicLong());
        Heap heap = new Heap(
                session,
                kind,
                accountant,
                "headroom staging",
                new PoolCounters(setting.clock()),
                Heap.Tuning.NONE,
                null);
        staging.add(heap);
        return heap;
    }

    /** What the pool holds of a domain's memory, staging included. */
    long heldIn(DomainLedger domain) {
        return Stream.concat(heaps.values().stream(), staging.stream())
                .filter(heap -> heap.accountant().ledger().isOfSameMemory(domain))
                .mapToLong(heap -> heap.blocks().figures().blockBytes())
                .sum();
    }

    /** The heap of a kind, null if the device has no such memory. */
    @Nullable
    Heap find(MemoryKind kind) {
        return heaps.get(kind);
    }

    /** The heap of a kind. */
    Heap of(MemoryKind kind) {
        Heap heap = find(kind);
        if (heap == null) {
            throw new UnsupportedKindException("%s has no %s memory; it has %s"
                    .formatted(
                            device(),
                            kind.label(),
                            heaps.keySet().stream().map(MemoryKind::label).toList()));
        }
        return heap;
    }

    /** The heap the pool's figures speak of. */
    Heap primary() {
        return of(heaps.containsKey(MemoryKind.DEVICE) ? MemoryKind.DEVICE : MemoryKind.UNIFIED);
    }

    Collection<Heap> all() {
        return heaps.values();
    }

    /** The other heaps that draw on the same budget. */
    List<Heap> neighbours(Heap heap) {
        return heaps.values().stream()
                .filter(other -> !other.equals(heap)
                        && other.accountant()
                                .ledger()
                                .isOfSameMemory(heap.accountant().ledger()))
                .toList();
    }

    /** The domains its memory lies in. */
    Set<DomainLedger> ledgers() {
        return heaps.values().stream().map(heap -> heap.accountant().ledger()).collect(Collectors.toSet());
    }

    /** Gives back all idle bytes that are due; returns what is gone. */
    long trim(IdleAges.Due due, Duration patience) {
        long gone = 0;
        for (Heap heap : heaps.values()) {
            gone += heap.trim(Long.MAX_VALUE, due, patience);
        }
        return gone;
    }

    /** Gives back about so many idle bytes of one domain: what lies elsewhere would not help there. Returns what is gone. */
    long trim(DomainLedger domain, long wantedBytes, Duration patience) {
        long gone = 0;
        for (Heap heap : heaps.values()) {
            boolean helps = gone < wantedBytes && heap.accountant().ledger().isOfSameMemory(domain);
            gone += helps ? heap.trim(wantedBytes - gone, patience) : 0;
        }
        return gone;
    }

    /** Counts anew: what was taken in advance, nobody asked for. */
    void resetCounters() {
        heaps.values().forEach(heap -> heap.blocks().resetCacheHits());
        counters.lock.lock();
        counters.hits = 0;
        counters.misses = 0;
        counters.peakBytes = counters.usedBytes;
        counters.lock.unlock();
    }

    /**
     * The pool's counters.
     *
     * @param fallbacks      buffers the host stood in for
     * @param closedBuffers  buffers that are closed but still take up memory
     */
    MemoryStats stats(long fallbacks, long closedBuffers) {
        long blocks = 0;
        long buffers = -closedBuffers;
        long cached = 0;
        long cacheHits = 0;
        for (Heap heap : heaps.values()) {
            BlockList.Figures figures = heap.blocks().figures();
            blocks += figures.blockBytes();
            buffers += figures.buffers();
            cached += figures.cachedBytes();
            cacheHits += heap.blocks().cacheHits();
        }
        counters.lock.lock();
        try {
            long used = Math.clamp(counters.usedBytes - cached, 0, blocks);
            return new MemoryStats(
                    blocks,
                    used,
                    blocks - used,
                    counters.peakBytes,
                    counters.hits + cacheHits,
                    counters.misses,
                    fallbacks,
                    Math.max(0, buffers));
        } finally {
            counters.lock.unlock();
        }
    }

    /** Gives everything back. False if some of it had to be left alone. */
    boolean close(Duration patience) {
        boolean all = true;
        for (Heap heap : heaps.values()) {
            all &= heap.close(patience);
        }
        return all;
    }

    private GpuDevice device() {
        return session.device();
    }

    /** Whether the kind's memory is the device's own; the host's own memory is the host's. */
    private boolean isOnDevice(MemoryKind kind) {
        return session.driver().traits(kind).placement() == KindTraits.Placement.DEVICE
                || device().deviceClass() == DeviceClass.HOST;
    }

    private Accountant accountant(MemoryKind kind, OptionalLong limit, AtomicLong limited) throws DriverException {
        boolean onDevice = isOnDevice(kind);
        DomainLedger domain = onDevice ? ledger : Domains.host();
        UnaryOperator<MemoryBudget> siblings = onDevice ? setting.siblings() : UnaryOperator.identity();
        long held = domain.figures().heldBytes();
        MemoryBudget budget = siblings.apply(session.driver().budget(kind));
        BudgetRule.Baseline baseline = budget.freeBytes().isPresent()
                ? new BudgetRule.Baseline(budget.freeBytes().getAsLong(), held)
                : null;
        BudgetRule rule = new BudgetRule(setting.config(), limit, baseline);
        return new Accountant(session, kind, domain, rule, limited, siblings, budget);
    }
}
