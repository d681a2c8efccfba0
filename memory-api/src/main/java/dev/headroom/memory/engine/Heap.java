package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.VirtualMemory;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One kind of memory on one device: takes it from the driver and gives it back. What it holds is in its {@link BlockList}. Only
 * one thread at a time grows or trims it, in a {@link SingleFlight}; hits do not pass there. Thread-safe.
 */
final class Heap {

    /** Rounds of making room and taking memory that other threads use up first, before giving in. */
    private static final int ATTEMPTS = 8;

    /** Each round gives back 4 times more than the one before; the last but one everything. */
    private static final int MORE_BITS = 2;

    /** The part of all memory that is kept at hand for buffers of the same size, at most. */
    private static final int CACHED_SHARE = 128;

    /**
     * What a heap does for the sake of speed.
     *
     * @param growthBytes   the least it takes from the driver at a time, where that is to be had; 0 for what is needed
     * @param keptIdleBytes how much of what is idle does not go back for the sake of a growth
     * @param mostPerSize   freed buffers of a size that are kept at hand, for each thread that should not meet others
     */
    record Tuning(long growthBytes, long keptIdleBytes, int mostPerSize) {

        /** For memory that does not come and go. */
        static final Tuning NONE = new Tuning(0, Long.MAX_VALUE, 0);
    }

    /**
     * Why a heap did not grow.
     *
     * @param neededBytes what it had to take
     * @param allowance   what the budget said
     * @param cause       the driver's refusal, if the budget agreed and the driver did not
     */
    record Refusal(
            long neededBytes,
            BudgetRule.Allowance allowance,
            @Nullable DriverException cause) {

        /** What would have to become free. */
        long missingBytes() {
            return cause != null ? neededBytes : allowance.missingBytes(neededBytes);
        }
    }

    /**
     * How an attempt to grow ended: with memory, or with a refusal, or with neither where other threads were faster.
     *
     * @param name    the memory's name in the book, or {@link Tlsf#NONE}
     * @param refusal why there is none
     */
    record Attempt(int name, @Nullable Refusal refusal) {

        /** Nothing came of it, and nothing was refused. */
        static final Attempt NOTHING = new Attempt(Tlsf.NONE, null);

        static Attempt of(int name) {
            return new Attempt(name, null);
        }

        static Attempt refused(Refusal refusal) {
            return new Attempt(Tlsf.NONE, refusal);
        }

        boolean served() {
            return name != Tlsf.NONE;
        }
    }

    private final DeviceSession session;
    private final MemoryKind kind;
    private final KindTraits traits;
    private final Accountant accountant;
    private final String name;
    private final @Nullable PressureGauge gauge;
    private final Tuning tuning;
    /** What sizes of blocks are multiples of. */
    private final long blockUnit;
    /** What sizes and places of pieces of ranges are multiples of. */
    private final long pieceUnit;

    private final BlockList blocks;
    private final SingleFlight flight = new SingleFlight();
    private final @Nullable VirtualMemory ranges;
    private final MoveCredit credit = new MoveCredit();

    /** Whether ranges can be reserved still; changed in a flight only. */
    private volatile boolean reserves = true;
    // Used in a flight only.
    private long keptBytes;

    /**
     * An empty heap.
     *
     * @param session    the device
     * @param kind       the kind, supported there
     * @param accountant books what it takes
     * @param name       for the driver's debugging tools
     * @param counters   shared by the heaps of a pool
     * @param tuning     how much it takes ahead and keeps at hand
     * @param gauge      told how full the device is after each growth, null where that is not to be announced
     */
    Heap(
            DeviceSession session,
            MemoryKind kind,
            Accountant accountant,
            String name,
            PoolCounters counters,
            Tuning tuning,
            @Nullable PressureGauge gauge) {
        this.session = session;
        this.kind = kind;
        this.traits = session.driver().traits(kind);
        this.accountant = accountant;
        this.name = name;
        this.gauge = gauge;
        this.tuning = tuning;
        this.ranges = session.driver()
                .virtualMemory()
                .filter(memory -> memory.supports(kind))
                .orElse(null);
        long granule = Math.max(Tlsf.DEFAULT_GRANULE, traits.bindingAlignment());
        this.blockUnit = Math.max(granule, traits.granularity());
        this.pieceUnit = ranges == null ? blockUnit : Math.max(granule, ranges.granularity());
        BlockList.Cached cached = BlockList.Cached.of(accountant.totalBytes() / CACHED_SHARE, tuning.mostPerSize());
        this.blocks = new BlockList(counters, pieceUnit, granule, cached);
    }

    KindTraits traits() {
        return traits;
    }

    Accountant accountant() {
        return accountant;
    }

    MemoryKind kind() {
        return kind;
    }

    BlockList blocks() {
        return blocks;
    }

    /** The largest buffer the device itself allows, whatever is free. */
    long largestBlock() {
        return traits.maxBlockBytes() / blockUnit * blockUnit;
    }

    /**
     * Takes memory from the driver until the request fits. Gives idle memory back first, as much as is taken and there is credit
     * for, and all of it where only that makes room for what is needed.
     *
     * @param bytes      how much
     * @param alignment  where it may begin
     * @param claim      the reservation to use first
     * @param patience   how long to wait for another thread that is growing
     * @param neighbours other heaps whose idle memory counts against the same budget
     */
    Attempt grow(long bytes, long alignment, DomainLedger.Claim claim, Duration patience, List<Heap> neighbours)
            throws DriverException {
        if (!flight.begin(patience)) {
            return refusal(bytes);
        }
        try {
            Attempt attempt = Attempt.of(blocks.hitAnywhere(bytes, alignment));
            for (int round = 0; !attempt.served() && round < ATTEMPTS; round++) {
                attempt = growOnce(bytes, alignment, claim);
                if (attempt.refusal() != null && !makeRoom(attempt.refusal(), round, neighbours)) {
                    return attempt;
                }
            }
            return attempt.served() || attempt.refusal() != null ? attempt : refusal(bytes);
        } finally {
            flight.end();
        }
    }

    /**
     * What has to be set aside so that such buffers fit, allocated one after the other by nobody else; empty if one of them can
     * never lie here.
     */
    OptionalLong growthFor(List<AllocationRequest> requests) throws DriverException {
        long rangeBytes =
                ranges == null || !reserves ? 0 : accountant.read().budget().totalBytes();
        return blocks.rehearse(new Rehearsal.Terms(largestBlock(), blockUnit, pieceUnit, ranges != null, rangeBytes))
                .growthFor(requests);
    }

    /** Gives back about so many idle bytes, waiting its turn. Returns what is gone. */
    long trim(long wantedBytes, Duration patience) {
        return trim(wantedBytes, IdleAges.Due.ANY, patience);
    }

    /** Gives back about so many idle bytes that are due, waiting its turn. Returns what is gone. */
    long trim(long wantedBytes, IdleAges.Due due, Duration patience) {
        if (!flight.begin(patience)) {
            return 0;
        }
        try {
            return trimInFlight(wantedBytes, due);
        } finally {
            flight.end();
        }
    }

    /**
     * Gives everything back, buffers or not. The caller has made sure that nobody uses them. False if a driver call has not
     * come back for so long that the memory is left alone.
     */
    boolean close(Duration patience) {
        if (!flight.begin(patience)) {
            return false;
        }
        try {
            VirtualMemory memory = session.driver().virtualMemory().orElse(null);
            for (BlockList.Owned block : blocks.close()) {
                session.giveBack(
                        () -> block.range() && memory != null
                                ? memory.release(block.memory())
                                : session.driver().free(block.memory()),
                        block.heldBytes());
                accountant.release(block.heldBytes());
            }
            accountant.release(keptBytes); // the driver is closed next, and takes them along
            keptBytes = 0;
            return true;
        } finally {
            flight.end();
        }
    }

    private Attempt growOnce(long bytes, long alignment, DomainLedger.Claim claim) throws DriverException {
        session.requireAlive(); // making room tells nobody of a loss
        VirtualMemory memory = ranges;
        if (memory != null) {
            Tlsf.Growth growth = blocks.planGrowth(bytes, alignment);
            if (growth == null && reserves && reserveRange(memory, bytes, alignment)) {
                growth = blocks.planGrowth(bytes, alignment);
            }
            if (growth != null) {
                return takePieces(memory, growth, bytes, alignment, claim);
            }
        }
        return takeBlock(bytes, alignment, claim);
    }

    /** Reserves addresses for as much as the device has. False where only plain blocks work. */
    private boolean reserveRange(VirtualMemory memory, long bytes, long alignment) throws DriverException {
        long total = accountant.read().budget().totalBytes();
        long size = GrowthPolicy.roundUp(Math.max(total, GrowthPolicy.roundUp(bytes, alignment)), pieceUnit);
        try {
            blocks.addRange(memory.reserve(size, kind), size);
            return true;
        } catch (DriverException e) {
            if (e.kind() == DriverException.Kind.DEVICE_LOST || e.kind() == DriverException.Kind.UNEXPECTED) {
                throw e;
            }
            reserves = e.kind() == DriverException.Kind.OUT_OF_MEMORY;
            return false; // no addresses to be had this way; plain blocks need none
        }
    }

    /** Something to be taken from the driver. */
    @FunctionalInterface
    private interface Taking {
        int take() throws DriverException;
    }

    /** Books, takes, and unbooks if taking failed. The refusal is empty if the driver agreed. */
    private Attempt booked(long size, long needed, BudgetRule.Reading reading, DomainLedger.Claim claim, Taking taking)
            throws DriverException {
        Accountant.Grant grant = accountant.tryGrant(size, reading, claim);
        if (grant == null) {
            return Attempt.refused(new Refusal(needed, accountant.allowance(reading), null));
        }
        DriverException refused;
        boolean settled = false;
        EngineEvents.Span growth = EVENTS.growing(session.device(), kind);
        try {
            int taken = taking.take();
            grant.settle();
            settled = true;
            grew(growth, size, reading);
            return Attempt.of(taken);
        } catch (DriverException e) {
            if (e.kind() != DriverException.Kind.OUT_OF_MEMORY) {
                throw e;
            }
            refused = e;
        } finally {
            if (!settled) {
                grant.undo();
            }
        }
        return Attempt.refused(new Refusal(needed, accountant.allowance(reading), refused)); // as if nothing was booked
    }

    private void grew(EngineEvents.@Nullable Span growth, long size, BudgetRule.Reading reading) {
        if (growth != null) {
            growth.end(size);
        }
        if (gauge != null) {
            accountant.usedShare(reading).ifPresent(gauge::observe);
        }
    }

    private Attempt takePieces(
            VirtualMemory memory, Tlsf.Growth growth, long bytes, long alignment, DomainLedger.Claim claim)
            throws DriverException {
        long needed = growth.missingBytes();
        BudgetRule.Reading before = accountant.read();
        long moved = movePieces(memory, growth, claim, before);
        BudgetRule.Reading reading = moved == 0 ? before : accountant.read(); // what has gone back is in it
        long most = moved < needed ? wish(needed, true, claim) : needed;
        for (long wish = most; ; wish = GrowthPolicy.smaller(wish, needed)) {
            List<BlockTable.Piece> pieces = blocks.holes(growth, wish - needed);
            long size = pieces.stream().mapToLong(BlockTable.Piece::byteSize).sum();
            Attempt attempt = booked(size, needed, reading, claim, () -> {
                long now = blocks.nowNanos(); // it may throw, and nothing must between the next two
                commitAll(memory, pieces);
                return blocks.addPieces(pieces, bytes, alignment, now);
            });
            if (attempt.refusal() == null) {
                credit.grew(Math.max(0, size - moved));
                return attempt;
            } else if (size <= needed) {
                return attempt;
            }
        }
    }

    /** Commits all pieces or none. */
    private void commitAll(VirtualMemory memory, List<BlockTable.Piece> pieces) throws DriverException {
        int done = 0;
        try {
            for (BlockTable.Piece piece : pieces) {
                memory.commit(piece.memory(), piece.byteOffset(), piece.byteSize());
                done++;
            }
        } catch (DriverException e) {
            session.note(e); // what to do with the others depends on it
            throw e;
        } finally {
            if (done < pieces.size()) {
                pieces.subList(0, done).forEach(piece -> rollBack(memory, piece));
            }
        }
    }

    private boolean decommitted(VirtualMemory memory, BlockTable.Piece piece) {
        return session.giveBack(
                () -> memory.decommit(piece.memory(), piece.byteOffset(), piece.byteSize()), piece.byteSize());
    }

    private void rollBack(VirtualMemory memory, BlockTable.Piece piece) {
        // Of a lost device the range goes as a whole when the pool is closed.
        if (session.isLost() || !decommitted(memory, piece)) {
            blocks.strand(piece);
            accountant.keep(piece.byteSize());
        }
    }

    private Attempt takeBlock(long bytes, long alignment, DomainLedger.Claim claim) throws DriverException {
        long needed = GrowthPolicy.roundUp(bytes, blockUnit);
        BudgetRule.Reading before = accountant.read();
        long moved = moveBlocks(needed, claim, before);
        BudgetRule.Reading reading = moved == 0 ? before : accountant.read();
        for (long wish = wish(needed, false, claim); ; wish = GrowthPolicy.smaller(wish, needed)) {
            long size = GrowthPolicy.roundUp(wish, blockUnit);
            Attempt attempt = booked(size, needed, reading, claim, () -> {
                return enter(session.driver().allocate(blockRequest(size)), size, bytes, alignment);
            });
            if (attempt.refusal() == null) {
                credit.grew(Math.max(0, size - moved));
                return attempt;
            } else if (wish <= needed) {
                return attempt;
            }
        }
    }

    private int enter(DriverBlock memory, long size, long bytes, long alignment) {
        boolean entered = false;
        try {
            int taken = blocks.addBlock(memory, size, bytes, alignment);
            entered = true;
            return taken;
        } finally {
            if (!entered) { // the Java heap is full, or the book is
                if (!session.giveBack(() -> session.driver().free(memory), size)) {
                    accountant.keep(size);
                    keptBytes += size;
                }
            }
        }
    }

    /** Blocks begin where every alignment a buffer may ask for is met, so that offsets in them are all that counts. */
    private BlockRequest blockRequest(long size) {
        return new BlockRequest(size, Math.max(traits.baseAlignment(), AllocationRequest.MAX_ALIGNMENT), kind, name);
    }

    private long wish(long needed, boolean pages, DomainLedger.Claim claim) {
        long left = planned(claim);
        if (left > 0) {
            return GrowthPolicy.planned(needed, left, largestBlock());
        }
        long live = blocks.takenBytes();
        long largest = Math.max(needed, largestBlock());
        return pages
                ? GrowthPolicy.preferredPages(needed, live, tuning.growthBytes(), largest)
                : GrowthPolicy.preferred(needed, live, tuning.growthBytes(), largest);
    }

    /** What is left of what was set aside for known buffers. */
    private long planned(DomainLedger.Claim claim) {
        return claim.isPlanned() ? accountant.ledger().remaining(claim) : 0;
    }

    /** Gives idle pages back that are of no use for a growth, so that it makes the heap no larger. Returns what is gone. */
    private long movePieces(
            VirtualMemory memory, Tlsf.Growth growth, DomainLedger.Claim claim, BudgetRule.Reading reading) {
        BlockTable.Movable movable = movable(growth.missingBytes(), claim, reading);
        return movable.equals(BlockTable.Movable.NOTHING)
                ? 0
                : moved(() -> decommit(memory, blocks.shutMovablePieces(growth, movable)));
    }

    /** Gives idle blocks back that are too small for a request, so that another one makes the heap little larger. */
    private long moveBlocks(long needed, DomainLedger.Claim claim, BudgetRule.Reading reading) {
        BlockTable.Movable movable = movable(needed, claim, reading);
        return movable.equals(BlockTable.Movable.NOTHING) ? 0 : moved(() -> free(blocks.detachMovableBlocks(movable)));
    }

    private BlockTable.Movable movable(long needed, DomainLedger.Claim claim, BudgetRule.Reading reading) {
        // What was planned was rehearsed with all that lay idle then.
        if (tuning.keptIdleBytes() == Long.MAX_VALUE || planned(claim) > 0) {
            return BlockTable.Movable.NOTHING;
        }
        long wanted = Math.min(needed, blocks.creditLeft(credit));
        if (wanted == 0) {
            return BlockTable.Movable.NOTHING;
        }
        long missing = accountant.allowance(reading).missingBytes(needed);
        long least = Math.max(0, missing - accountant.ledger().remaining(claim));
        return new BlockTable.Movable(wanted, tuning.keptIdleBytes(), least);
    }

    private long moved(LongSupplier giveBack) {
        long gone = trimming(giveBack);
        credit.moved(gone);
        session.requireAlive(); // giving back tells nobody of a loss
        return gone;
    }

    private Attempt refusal(long bytes) throws DriverException {
        return Attempt.refused(new Refusal(bytes, accountant.allowance(accountant.read()), null));
    }

    /**
     * Whether giving idle memory back makes a refused growth possible; if so, it is given back. What is missing is only a first
     * guess: the pages given back may be those the growth was planned around, and a system that is short of memory says 0 is
     * free, not how far it is below.
     */
    private boolean makeRoom(Refusal refusal, int round, List<Heap> neighbours) {
        long missing = refusal.missingBytes();
        long idle = Stream.concat(Stream.of(this), neighbours.stream())
                .mapToLong(heap -> heap.blocks.idleBytes())
                .sum();
        boolean helps = refusal.cause() != null ? idle > 0 : idle >= missing;
        if (!helps) {
            return false;
        }
        long wanted = round < ATTEMPTS - 2 ? missing << (MORE_BITS * round) : Long.MAX_VALUE;
        long gone = trimInFlight(wanted, IdleAges.Due.ANY);
        for (Heap neighbour : neighbours) {
            gone += gone < wanted ? neighbour.trimIfNobodyElse(wanted - gone) : 0;
        }
        return gone > 0;
    }

    /** As {@link #trim}, but never waits: the caller is in a flight of its own, and two that wait for each other never end. */
    private long trimIfNobodyElse(long wantedBytes) {
        if (!flight.tryBegin()) {
            return 0;
        }
        try {
            return trimInFlight(wantedBytes, IdleAges.Due.ANY);
        } finally {
            flight.end();
        }
    }

    private long trimInFlight(long wantedBytes, IdleAges.Due due) {
        return trimming(() -> {
            long gone = free(blocks.detachIdleBlocks(wantedBytes, due));
            return ranges == null ? gone : gone + decommit(ranges, blocks.shutIdlePieces(wantedBytes - gone, due));
        });
    }

    private long trimming(LongSupplier giveBack) {
        EngineEvents.Span trim = EVENTS.trimming(session.device(), kind);
        long gone = giveBack.getAsLong();
        if (trim != null && gone > 0) {
            trim.end(gone);
        }
        return gone;
    }

    private long free(List<BlockList.Owned> idle) {
        long gone = 0;
        for (BlockList.Owned block : idle) {
            if (session.giveBack(() -> session.driver().free(block.memory()), block.heldBytes())) {
                accountant.release(block.heldBytes());
                gone += block.heldBytes();
            } else {
                keptBytes += block.heldBytes();
            }
        }
        return gone;
    }

    private long decommit(VirtualMemory memory, List<BlockTable.Piece> idle) {
        long gone = 0;
        for (BlockTable.Piece piece : idle) {
            // What is not gone stays shut; of a lost device the range goes as a whole when the pool is closed.
            if (!session.isLost() && decommitted(memory, piece)) {
                blocks.unbacked(piece);
                accountant.release(piece.byteSize());
                gone += piece.byteSize();
            }
        }
        return gone;
    }
}
