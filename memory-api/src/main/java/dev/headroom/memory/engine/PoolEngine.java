package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.IdAllocator;
import dev.headroom.memory.LocalCache;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolReport;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.TraceRecording;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The engine's pool for one device. The conductor only: memory comes from the {@link HeapSet}, on shortage by way of the
 * {@link Ladder}; bytes are moved by the {@link CopyEngine}; what is closed while work is pending waits in the
 * {@link ReclaimQueue}.
 */
public final class PoolEngine implements GpuMemoryPool, PoolIds.Home, DeviceDriver.Source {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final DeviceSession session;
    private final PoolSetting setting;
    private final Domains.Lease domain;
    private final HeapSet heaps;
    /** Where requests without further wishes are served from; null if the device has no such memory. */
    private final @Nullable Heap quickHeap;

    private final PoolIds ids;
    private final Ladder ladder;
    private final Waiter waiter;
    private final ReclaimQueue reclaim;
    private final Transfers transfers;
    private final HostFallback fallback;
    private final LeakTracker leaks;
    private final Refusals refusals;
    private final ReportWalk walk;
    private final @Nullable IdleTrim idleTrim;
    private final @Nullable OutOfMemoryReports reports;
    private final DomainLedger.Member member;
    private final UseCount uses = new UseCount();
    private final ClosedOnce closing = new ClosedOnce();
    private final PressureMonitor monitor;
    private final BufferEvents events;
    private final Recordings recordings;
    private volatile boolean gone;
    private volatile boolean abandoned;

    private PoolEngine(DeviceSession session, PoolSetting setting, Domains.Lease domain) throws DriverException {
        MemoryConfig config = setting.config();
        Duration patience = config.waitTimeout();
        this.session = session;
        this.setting = setting;
        this.domain = domain;
        this.monitor =
                new PressureMonitor(this, session.device(), config.pressureInterval(), this::doChores, this::usedShare);
        this.events = new BufferEvents(config.eventSampling());
        this.recordings = new Recordings();
        this.heaps = new HeapSet(session, setting, domain.ledger(), monitor.gauge());
        this.quickHeap = heaps.find(MemoryKind.DEVICE);
        this.ids = new PoolIds(this, heaps.primary());
        this.waiter = new Waiter(session);
        this.reclaim = new ReclaimQueue(waiter);
        this.leaks = new LeakTracker(
                session.device(), config.tracking(), config.reclaimLeaked(), setting.clock(), this::reclaim);
        this.refusals = new Refusals(
                session.device(),
                setting.limit().isPresent(),
                this::stats,
                leaks,
                ledger -> heaps.heldIn(ledger) + session.quarantinedBytes());
        this.member = new Sibling(session, uses, reclaim, heaps, patience, this::report);
        this.ladder = new Ladder(monitor.listeners(), heaps, reclaim, member, refusals, patience);
        this.transfers = new Transfers(session, heaps, waiter, config);
        this.fallback = new HostFallback(session.device(), setting, this::isSameMemory);
        this.walk = new ReportWalk(session, setting, heaps, reclaim, ladder, leaks);
        this.idleTrim = config.idleTrimAfter()
                .map(idleFor -> new IdleTrim(heaps, idleFor, setting.clock()))
                .orElse(null);
        this.reports = config.outOfMemoryReport()
                .map(folder -> new OutOfMemoryReports(folder, session.device(), setting.clock()))
                .orElse(null);
        heaps.ledgers().forEach(ledger -> ledger.join(member));
    }

    /**
     * Opens a pool on an open driver, which it owns from then on, also if this fails.
     *
     * @param driver  the driver
     * @param setting what the pool needs from outside
     * @return the pool
     */
    public static PoolEngine open(DeviceDriver driver, PoolSetting setting) {
        DeviceSession session = new DeviceSession(driver);
        Domains.Lease domain = Domains.lease(driver.device());
        PoolEngine pool = null;
        try {
            pool = new PoolEngine(session, setting, domain);
        } catch (DriverException e) {
            throw session.failed("opening the device", e);
        } finally {
            if (pool == null) {
                domain.close();
                session.letGo(driver::close);
            }
        }
        if (setting.config().preAllocate()) {
            pool.preAllocate(setting.config().preAllocateSizes());
        }
        if (pool.idleTrim != null) {
            pool.monitor.start();
        }
        return pool;
    }

    // What users see.

    @Override
    public GpuDevice device() {
        return session.device();
    }

    /** The way of most buffers, in few steps and without garbage but for the buffer; any trouble is left to the long way. */
    @Override
    public DeviceBuffer allocate(long byteSize) {
        Heap heap = quickHeap;
        if (heap != null && byteSize > 0 && session.isServing()) {
            int name = heap.blocks().hit(byteSize, AllocationRequest.DEFAULT_ALIGNMENT);
            if (name != Tlsf.NONE) {
                EngineBuffer buffer = new EngineBuffer(this, heap, name, byteSize);
                return isWatched() ? opened(buffer, Optional.empty(), true) : buffer;
            }
        }
        return allocate(AllocationRequest.of(byteSize));
    }

    @Override
    public DeviceBuffer allocate(AllocationRequest request) {
        return allocate(request, new DomainLedger.Claim());
    }

    @Override
    public FallbackBuffer allocateWithFallback(AllocationRequest request) {
        return allocateWithFallback(request, new DomainLedger.Claim());
    }

    @Override
    public IdAllocator ids() {
        return ids;
    }

    @Override
    public LocalCache localCache() {
        begin();
        try {
            BlockList blocks = heaps.primary().blocks();
            ThreadCache cache = new ThreadCache(ids, blocks);
            blocks.remember(cache);
            return cache;
        } finally {
            end();
        }
    }

    @Override
    public MemoryStats stats() {
        return heaps.stats(fallback.buffers(), reclaim.size());
    }

    @Override
    public MemoryBudget budget() {
        return asking(
                accountant -> accountant.read().budget().readAt(setting.clock().getAsLong()));
    }

    @Override
    public long usableBytes() {
        return asking(accountant -> accountant.allowance(accountant.read()).usableBytes());
    }

    @Override
    public OptionalLong growthFor(List<Long> byteSizes) {
        List<AllocationRequest> requests =
                byteSizes.stream().map(AllocationRequest::of).toList();
        return asking(_ -> heaps.of(MemoryKind.DEVICE).growthFor(requests));
    }

    @Override
    public MemoryPressure pressure() {
        return asking(accountant -> accountant.pressure(accountant.read()));
    }

    @Override
    public void clearPool() {
        shrink();
    }

    @Override
    public long shrink() {
        return shrink(IdleAges.Due.ANY);
    }

    @Override
    public long shrink(Duration idleFor) {
        if (idleFor.isNegative()) {
            throw new IllegalArgumentException("idleFor is " + idleFor + ": must be 0 or more");
        }
        long nanos = TimeUnit.NANOSECONDS.convert(idleFor); // centuries are as good as for ever
        return idleFor.isZero()
                ? shrink()
                : shrink(new IdleAges.Due(setting.clock().getAsLong(), nanos));
    }

    private long shrink(IdleAges.Due due) {
        begin();
        try {
            session.requireAlive();
            leaks.collect();
            reclaim.collect();
            return heaps.trim(due, setting.config().waitTimeout());
        } finally {
            end();
        }
    }

    @Override
    public PoolReport report() {
        return report(new DomainLedger.Claim());
    }

    @Override
    public void addPressureListener(PressureListener listener) {
        monitor.add(listener);
    }

    @Override
    public void removePressureListener(PressureListener listener) {
        monitor.listeners().remove(listener);
    }

    @Override
    public Optional<AllocationTracker> tracker() {
        return leaks.tracker();
    }

    @Override
    public TraceRecording recordTrace(Path file) throws IOException {
        Objects.requireNonNull(file, "file");
        begin();
        try {
            return recordings.begin(this, lastId -> TraceRecorder.open(file, lastId));
        } finally {
            end();
        }
    }

    @Override
    public boolean awaitIdle(Duration timeout) {
        return asking(accountant -> session.driver().awaitIdle(timeout));
    }

    @Override
    public DeviceDriver driver() {
        begin();
        end();
        return session.driver();
    }

    @Override
    public void close() {
        Duration patience = setting.config().closeTimeout();
        if (!closing.begin()) {
            closing.awaitEnd(patience);
            return;
        }
        try {
            closeNow(patience);
        } finally {
            closing.finish();
        }
    }

    private void closeNow(Duration patience) {
        session.stopServing();
        uses.closeOnce();
        monitor.stop();
        boolean quiet = uses.awaitFinished(patience) && transfers.awaitRest(patience) && awaitPending(patience);
        transfers.pump().close();
        if (!monitor.close(patience)) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    () -> this + ": a pressure listener has not returned for " + patience.toSeconds()
                            + " s and is left alone");
        }
        leaks.collect();
        MemoryStats last = stats();
        boolean givenBack = quiet && giveEverythingBack(patience);
        reportLeaks(last, givenBack);
        if (givenBack) {
            reportQuarantine();
        } else {
            abandoned = true;
            String why = session.isLost()
                    ? " no longer says whether it is working"
                    : " is still working after " + patience.toSeconds() + " s";
            LOG.log(
                    System.Logger.Level.WARNING,
                    () -> session.device() + why + ": its memory is left to the operating system");
        }
        recordings.end(patience);
        leaks.clear();
        heaps.ledgers().forEach(ledger -> ledger.leave(member));
        domain.close();
        gone = true;
    }

    @Override
    public String toString() {
        return session.device().id() + " pool";
    }

    // What the engine sees.

    /**
     * How much this pool may still take, for selection.
     *
     * @return the figures and the margins in words
     * @throws DriverException if the driver does not answer
     */
    public BackendSelector.Room room() throws DriverException {
        begin();
        try {
            session.requireAnswering();
            Heap heap = heaps.primary();
            Accountant accountant = heap.accountant();
            long idle = heap.blocks().idleBytes()
                    + heaps.neighbours(heap).stream()
                            .mapToLong(other -> other.blocks().idleBytes())
                            .sum();
            BudgetRule.Reading reading = accountant.read();
            BudgetRule.Allowance allowance = accountant.allowance(reading);
            String terms = allowance.terms();
            return new BackendSelector.Room(
                    reading.budget(),
                    accountant.usableWithout(idle, reading),
                    idle == 0 ? terms : terms + "; " + ByteSize.format(idle) + " idle in this pool",
                    allowance::cure);
        } finally {
            end();
        }
    }

    /**
     * Whether a close has finished.
     *
     * @return true if nothing is left to be closed
     */
    public boolean isClosed() {
        return gone;
    }

    /**
     * Whether a close had to leave the driver open, because work may be under way in it.
     *
     * @return true if the backend must not be closed either
     */
    public boolean isAbandoned() {
        return abandoned;
    }

    /** Sets bytes aside on this pool's device. */
    DomainLedger.Claim reserve(long bytes) {
        return asking(accountant -> {
            DomainLedger.Claim claim = new DomainLedger.Claim();
            if (!tryReserve(accountant, bytes, claim, null)) {
                throw noRoom(accountant, bytes);
            }
            return claim;
        });
    }

    /** Sets aside what known buffers will take, in this order. */
    DomainLedger.Claim reserveBuffers(List<Long> byteSizes) {
        return asking(accountant -> {
            DomainLedger.Claim claim = new DomainLedger.Claim(true);
            // What lies idle here is counted on and must stay; only if that does not do, all is begun anew.
            if (!tryReserve(accountant, requiredFor(byteSizes), claim, member)) {
                long ignored =
                        heaps.trim(ledger(), Long.MAX_VALUE, setting.config().waitTimeout());
                long bytes = requiredFor(byteSizes);
                if (!tryReserve(accountant, bytes, claim, member)) {
                    throw noRoom(accountant, bytes);
                }
            }
            return claim;
        });
    }

    /** Reserves, if need be after pools of the same memory have given back what they do not use. */
    private boolean tryReserve(
            Accountant accountant, long bytes, DomainLedger.Claim claim, DomainLedger.@Nullable Member except)
            throws DriverException {
        BudgetRule.Reading reading = accountant.read();
        boolean done = accountant.tryReserve(bytes, reading, claim);
        long missing = accountant.allowance(reading).missingBytes(bytes);
        if (!done && ledger().collectIdle(missing, except) > 0) {
            reading = accountant.read();
            done = accountant.tryReserve(bytes, reading, claim);
        }
        // What is missing is only a guess where the free figure lags, or says 0 and not how far it is below.
        if (!done && ledger().collectIdle(Long.MAX_VALUE, except) > 0) {
            done = accountant.tryReserve(bytes, accountant.read(), claim);
        }
        return done;
    }

    private GpuMemoryException noRoom(Accountant accountant, long bytes) throws DriverException {
        return refusals.outOfMemory(
                heaps.primary(),
                AllocationRequest.of(bytes),
                new Heap.Refusal(bytes, accountant.allowance(accountant.read()), null));
    }

    private long requiredFor(List<Long> byteSizes) {
        OptionalLong bytes = growthFor(byteSizes);
        if (bytes.isEmpty()) {
            long largest = byteSizes.stream().max(Long::compare).orElse(0L);
            throw refusals.overLargestBlock(
                    AllocationRequest.of(largest), heaps.of(MemoryKind.DEVICE).largestBlock());
        }
        return bytes.getAsLong();
    }

    /** Returns what is still set aside. */
    void cancel(DomainLedger.Claim claim) {
        heaps.primary().accountant().cancel(claim);
    }

    DomainLedger ledger() {
        return heaps.primary().accountant().ledger();
    }

    PoolReport report(DomainLedger.Claim claim) {
        return asking(_ -> walk.report(stats(), fallback.bytes(), claim));
    }

    /**
     * Gives back what has been idle for as long as {@link MemoryConfig#idleTrimAfter} says; to be called now and then. Costs a look
     * at the clock where nothing can be due. Never throws for a pool that is lost or closed.
     *
     * @return bytes given back
     */
    long trimIdle() {
        if (idleTrim == null || !idleTrim.isDue() || session.isLost() || !uses.acquire()) {
            return 0;
        }
        try {
            reclaim.collect();
            return idleTrim.trim();
        } catch (GpuMemoryException e) {
            return 0; // lost meanwhile
        } finally {
            end();
        }
    }

    DeviceBuffer allocate(AllocationRequest request, DomainLedger.Claim claim) {
        try {
            return granted(request, claim);
        } catch (DeviceOutOfMemoryException e) {
            throw noted(e, request, claim);
        }
    }

    private DeviceBuffer granted(AllocationRequest request, DomainLedger.Claim claim) {
        Heap heap = heaps.of(request.kind());
        requireOpen();
        int name = heap.blocks().hit(request.byteSize(), request.byteAlignment());
        boolean hit = name != Tlsf.NONE;
        if (!hit) {
            name = climb(heap, request, claim);
        }
        EngineBuffer buffer = new EngineBuffer(this, heap, name, request.byteSize());
        if (request.byteAlignment() > AllocationRequest.DEFAULT_ALIGNMENT) {
            buffer.ownNotes().alignTo(request.byteAlignment());
        }
        DeviceBuffer opened = opened(buffer, request.tag(), hit);
        return request.zero() ? zeroed(opened) : opened;
    }

    private int climb(Heap heap, AllocationRequest request, DomainLedger.Claim claim) {
        boolean paysFromClaim = heap.accountant().ledger().isOfSameMemory(ledger());
        try (Visit visit = new Visit(this)) {
            leaks.collect();
            return ladder.climb(heap, request, paysFromClaim ? claim : new DomainLedger.Claim(), visit);
        } catch (DeviceOutOfMemoryException e) {
            EVENTS.ranOut(request.kind(), e.figures());
            throw e;
        } catch (DriverException e) {
            throw session.failed("allocating " + ByteSize.format(request.byteSize()), e);
        }
    }

    @Override
    public int take(Heap heap, AllocationRequest request) {
        requireOpen();
        DomainLedger.Claim claim = new DomainLedger.Claim();
        try {
            return climb(heap, request, claim);
        } catch (DeviceOutOfMemoryException e) {
            throw noted(e, request, claim);
        }
    }

    @Override
    public DeviceBuffer buffer(Heap heap, int name, long byteSize) {
        return opened(new EngineBuffer(this, heap, name, byteSize), Optional.empty(), true);
    }

    private void requireOpen() {
        if (uses.isClosed()) { // a pool whose memory had to be left alone still has room in its blocks
            throw new BufferClosedException(this + " is closed");
        }
        session.requireAlive();
    }

    FallbackBuffer allocateWithFallback(AllocationRequest request, DomainLedger.Claim claim) {
        try {
            return FallbackBuffer.onDevice(granted(request, claim));
        } catch (DeviceOutOfMemoryException | AllocationTooLargeException refusal) {
            try {
                FallbackBuffer buffer = fallback.allocate(request, refusal);
                ladder.count(Rung.FALLBACK);
                return buffer;
            } catch (DeviceOutOfMemoryException e) {
                throw noted(e, request, claim);
            }
        }
    }

    /** The final failure, with a report where that is wanted. */
    private DeviceOutOfMemoryException noted(
            DeviceOutOfMemoryException failure, AllocationRequest request, DomainLedger.Claim claim) {
        DomainLedger ledger = heaps.of(request.kind()).accountant().ledger();
        return reports == null
                ? failure
                : reports.noted(failure, request, () -> report(claim), () -> ledger.reports(member));
    }

    /** How often a rung yielded the bytes. */
    long yields(Rung rung) {
        return ladder.yields(rung);
    }

    /** Bytes the host stood in for. */
    long fallbackBytes() {
        return fallback.bytes();
    }

    PressureMonitor monitor() {
        return monitor;
    }

    CompletionPump pump() {
        return transfers.pump();
    }

    @Override
    public Recordings recordings() {
        return recordings;
    }

    HeapSet heaps() {
        return heaps;
    }

    /** Whether no transfer holds staging memory; for tests. */
    boolean isStagingIdle() {
        return transfers.isStagingIdle();
    }

    /** Checks the bookkeeping against itself; for tests. */
    void validate() {
        heaps.all().forEach(heap -> heap.blocks().validate());
    }

    // What buffers need.

    @Override
    public GpuMemoryPool pool() {
        return this;
    }

    @Override
    public DeviceSession session() {
        return session;
    }

    @Override
    public CopyEngine copies() {
        return transfers.copies();
    }

    @Override
    public UserFences fences() {
        return transfers.fences();
    }

    @Override
    public Waiter waiter() {
        return waiter;
    }

    @Override
    public BufferLocation location() {
        return backendName().equals("cpu") ? BufferLocation.CPU : BufferLocation.GPU;
    }

    @Override
    public void begin() {
        if (!uses.acquire()) {
            throw new BufferClosedException(this + " is closed");
        }
    }

    @Override
    public void end() {
        uses.release();
    }

    @Override
    public void recycle(Extent extent) {
        BufferNotes notes = extent.notes();
        BufferTrail trail = notes == null ? null : notes.trail();
        if (trail == null || leaks.closed(trail)) {
            if (notes != null && notes.traceId() != 0) {
                recordings.freed(notes.traceId());
            }
            recycle(extent.heap(), extent.node(), extent.byteSize(), notes == null ? null : notes.pending());
        }
    }

    private void recycle(Heap heap, int node, long byteSize, Point.@Nullable Pending pending) {
        if (pending == null || finished(pending)) {
            heap.blocks().free(node, byteSize);
        } else {
            reclaim.add(heap.blocks(), node, pending);
        }
    }

    /** The memory of a buffer that nobody can close any more. */
    private void reclaim(BufferTrail trail) {
        if (trail.traceId() != 0) {
            recordings.freed(trail.traceId());
        }
        recycle(trail.heap(), trail.node(), trail.metadata().sizeBytes(), trail.pending());
    }

    /** Whether anybody may want to know of a new buffer. Looks at what seldom changes, and writes nothing threads would share. */
    private boolean isWatched() {
        return EVENTS.recordsBuffers() || leaks.remembers() || recordings.current() != null;
    }

    private DeviceBuffer opened(EngineBuffer buffer, Optional<String> tag, boolean hit) {
        boolean done = false;
        try {
            events.allocated(buffer, tag, hit);
            if (leaks.wants()) {
                leaks.collect();
                buffer.ownNotes().follow(leaks.opened(buffer, buffer.id(), buffer.byteSize(), location(), tag));
                monitor.start();
            }
            TraceRecorder recorder = recordings.current();
            if (recorder != null) {
                recordings.opened(buffer, recorder);
            }
            done = true;
            return buffer;
        } finally {
            if (!done) {
                buffer.close();
            }
        }
    }

    private static DeviceBuffer zeroed(DeviceBuffer buffer) {
        boolean done = false;
        try {
            buffer.fill(0, buffer.byteSize(), (byte) 0);
            done = true;
            return buffer;
        } finally {
            if (!done) {
                buffer.close();
            }
        }
    }

    // What the monitor needs.

    /** What is done in each of its steps, besides looking at the pressure. */
    private void doChores() {
        if (uses.acquire()) {
            try {
                leaks.collect();
            } finally {
                end();
            }
        }
        trimIdle();
    }

    /** How full the device is; empty where nobody can tell. */
    private OptionalDouble usedShare() {
        if (session.isLost() || !uses.acquire()) {
            return OptionalDouble.empty();
        }
        try {
            Accountant accountant = heaps.primary().accountant();
            return accountant.usedShare(accountant.read());
        } catch (DriverException e) {
            return OptionalDouble.empty(); // a loss is noted; anything else may be better the next time
        } finally {
            end();
        }
    }

    private boolean isSameMemory(GpuMemoryPool host, AllocationRequest request) {
        return host instanceof PoolEngine engine
                && engine.ledger()
                        .isOfSameMemory(heaps.of(request.kind()).accountant().ledger());
    }

    private boolean finished(Point.Pending pending) {
        try {
            return waiter.allDone(pending); // if not, it is asked again when memory is short
        } catch (GpuMemoryException lost) {
            return false;
        }
    }

    // Opening and closing.

    private void preAllocate(List<Long> sizes) {
        List<DeviceBuffer> buffers = new ArrayList<>();
        boolean done = false;
        try {
            sizes.forEach(size -> buffers.add(allocate(AllocationRequest.of(size))));
            done = true;
        } finally {
            buffers.forEach(DeviceBuffer::close);
            heaps.resetCounters();
            if (!done) {
                close();
            }
        }
    }

    private boolean awaitPending(Duration patience) {
        try {
            return reclaim.awaitAll(patience);
        } catch (GpuMemoryException lost) {
            return true;
        }
    }

    private boolean giveEverythingBack(Duration patience) {
        reclaim.clear();
        boolean all = transfers.close(patience);
        all &= heaps.close(patience);
        if (all) {
            session.letGo(session.driver()::close);
        }
        return all;
    }

    private void reportLeaks(MemoryStats stats, boolean givenBack) {
        String report = leaks.report(toString(), stats.activeBuffers(), stats.inUseBytes(), givenBack);
        if (report != null) {
            LOG.log(System.Logger.Level.WARNING, report);
        }
    }

    private void reportQuarantine() {
        if (session.quarantined() > 0) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    () -> "%s: the driver did not take back %d blocks, %s in all"
                            .formatted(device(), session.quarantined(), ByteSize.format(session.quarantinedBytes())));
        }
    }

    /** A question to the driver about the pool's own memory. */
    @FunctionalInterface
    private interface Question<T> {
        T ask(Accountant accountant) throws DriverException;
    }

    private <T> T asking(Question<T> question) {
        begin();
        try {
            session.requireAlive();
            return question.ask(heaps.primary().accountant());
        } catch (DriverException e) {
            throw session.failed("asking the driver", e);
        } finally {
            end();
        }
    }
}
