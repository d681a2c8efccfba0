package dev.headroom.memory.engine;

import dev.headroom.memory.HeapReport;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.spi.DriverBlock;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The book of a heap: its blocks, and the buffers inside them. A block is either one raw allocation or a reserved address range
 * that is backed piece by piece; both are regions of one {@link Tlsf}, so that a search looks everywhere at once. Memory that
 * comes and goes is kept in a {@link BufferCache} in front. Never calls a driver. Thread-safe: every method that looks in the
 * book holds the lock the heaps of a pool share.
 *
 * <p>A buffer's memory has a <em>name</em>, an {@code int} that is valid until it is freed, and then reused.
 *
 * <p>Bytes the driver kept although they were to be given back are <em>stranded</em>: held, but never handed out again.
 */
final class BlockList {

    /**
     * A block taken out of the book.
     *
     * @param memory    the driver's block
     * @param range     whether it is a reserved range
     * @param heldBytes how much of it is backed by memory
     */
    record Owned(DriverBlock memory, boolean range, long heldBytes) {}

    /**
     * How much freed memory is kept at hand.
     *
     * @param mostBytes   the most bytes
     * @param mostPerSize the most pieces of a size, for each thread that should not meet others
     */
    record Cached(long mostBytes, int mostPerSize) {

        static final Cached NOTHING = new Cached(0, 0);

        static Cached of(long mostBytes, int mostPerSize) {
            return mostBytes == 0 || mostPerSize == 0 ? NOTHING : new Cached(mostBytes, mostPerSize);
        }
    }

    /**
     * The figures at one moment.
     *
     * @param blockBytes  held from the driver
     * @param usedBytes   in buffers
     * @param freeBytes   free for any buffer
     * @param largestFree the longest range a buffer could get without growth
     * @param buffers     buffers that take up memory
     * @param blocks      blocks, ranges among them
     * @param cachedBytes free, and kept at hand for buffers of the same size
     */
    record Figures(
            long blockBytes,
            long usedBytes,
            long freeBytes,
            long largestFree,
            long buffers,
            int blocks,
            long cachedBytes) {}

    /**
     * Frees that leave something idle are timed so often between two looks at the times; later ones count as freed when somebody
     * looks. So memory that comes and goes in a loop does not pay for a clock that costs as much as all the rest.
     */
    private static final int TIMED_FREES = 1000;

    /** Where there are more holes than this, the cheapest place to grow is looked for among some of them. */
    static final int ENOUGH_HOLES = 64;

    /** A heap gets its cache once it has seen so many frees: one that is little used does without. */
    private static final int FREES_BEFORE_CACHE = 64;

    private static final int FIRST_BLOCKS = 8;

    /** Twice as many stripes as threads can run at once: ids that lie close together seldom meet. */
    private static final int STRIPES = 2 * Runtime.getRuntime().availableProcessors();

    private final PoolCounters counters;
    private final EngineLock lock;
    private final long unit;
    private final long granule;
    private final Tlsf tlsf;
    private ClassBlocks classes;
    /** Pieces that are shut off: allocations, but no buffers. */
    private final BitSet shut = new BitSet();

    private long shutPieces;
    private final BlockTable blocks;
    private final Cached cached;
    /** Where blocks of classes lie; nodes know it themselves. */
    private final PlaceTable classPlaces = new PlaceTable();
    /** By region. Read without the lock by owners of memory there. */
    private volatile @Nullable DriverBlock[] memories = {};

    private volatile @Nullable BufferCache cache;
    private final List<LocalStore> locals = new CopyOnWriteArrayList<>();
    private int freesBeforeCache = FREES_BEFORE_CACHE;
    private long strandedBytes;
    private boolean closed;
    /** Whether the last free left something idle: the next one may, too. */
    private boolean leavesIdle;
    /** How many more frees are timed before somebody looks at the times. */
    private int timesLeft = TIMED_FREES;

    /**
     * An empty book.
     *
     * @param counters shared by the heaps of a pool, with their lock
     * @param unit     what sizes of blocks and pieces are multiples of
     * @param granule  what buffers begin at multiples of
     * @param cached   how much is kept at hand in front of the book
     */
    BlockList(PoolCounters counters, long unit, long granule, Cached cached) {
        this.counters = counters;
        this.lock = counters.lock;
        this.unit = unit;
        this.tlsf = new Tlsf(granule);
        this.classes = new ClassBlocks(tlsf, List.of());
        this.blocks = new BlockTable(tlsf, unit);
        this.cached = cached;
        this.granule = granule;
    }

    /** Serves small requests from blocks of fixed sizes. Before the first request only. */
    void divide(List<PoolProfile.BlockClass> plan) {
        classes = new ClassBlocks(tlsf, plan);
    }

    /** Finds room at hand or in the book, and counts a hit if there is any. {@link Tlsf#NONE} if there is not. */
    int hit(long bytes, long alignment) {
        BufferCache atHand = cache;
        if (atHand != null && alignment <= granule) {
            int name = atHand.take(rounded(bytes));
            if (name != Tlsf.NONE) {
                return name;
            }
        }
        return hitBook(bytes, alignment);
    }

    /** As {@link #hit}, but looks also where what is kept at hand would fill a gap. */
    int hitAnywhere(long bytes, long alignment) {
        int name = hit(bytes, alignment);
        return name == Tlsf.NONE && drain() ? hitBook(bytes, alignment) : name;
    }

    private int hitBook(long bytes, long alignment) {
        lock.lock();
        try {
            return counted(take(bytes, alignment));
        } finally {
            lock.unlock();
        }
    }

    /** As {@link #hit}, but makes do with a block of a larger class. */
    int hitLarger(long bytes, long alignment) {
        lock.lock();
        try {
            return counted(closed ? Tlsf.NONE : blockPlace(classes.takeLarger(bytes, alignment)));
        } finally {
            lock.unlock();
        }
    }

    /** The block a buffer lies in. For who has the buffer. */
    DriverBlock memory(int name) {
        int region = region(name); // before the look at the blocks, which then has this one
        return Objects.requireNonNull(memories[region]);
    }

    /** The number of the block a buffer lies in. For who has the buffer. */
    int region(int name) {
        return ClassBlocks.isBlock(name) ? classPlaces.region(ClassBlocks.index(name)) : tlsf.ownedRegion(name);
    }

    /** Where a buffer begins in its block. For who has the buffer. */
    long byteOffset(int name) {
        return ClassBlocks.isBlock(name) ? classPlaces.byteOffset(ClassBlocks.index(name)) : tlsf.ownedOffset(name);
    }

    /** How much a buffer takes up, rounded. For who has the buffer. */
    long byteSize(int name) {
        return ClassBlocks.isBlock(name) ? classPlaces.byteSize(ClassBlocks.index(name)) : tlsf.ownedByteSize(name);
    }

    /** Whether block classes have blocks for such a request. */
    boolean hasClassFor(long bytes, long alignment) {
        return classes.serves(bytes, alignment);
    }

    /** Takes a buffer's memory back. Harmless after close. */
    void free(int name) {
        free(name, byteSize(name));
    }

    /** As {@link #free(int)}, for who knows how many bytes it asked for. */
    void free(int name, long bytes) {
        BufferCache atHand = cache;
        int left = atHand == null || ClassBlocks.isBlock(name) ? name : atHand.put(name, rounded(bytes));
        if (left != BufferCache.NONE) {
            freeInBook(name);
            if (left != name) {
                freeInBook(left);
            }
        }
    }

    /** Takes back memory that was kept at hand somewhere. */
    void freeAll(int[] names, int count) {
        for (int i = 0; i < count; i++) {
            freeInBook(names[i]);
        }
    }

    /** For what a thread keeps for itself: as much as a stripe of the cache. */
    SizeTable localTable() {
        return new SizeTable(1, cached.mostBytes() / STRIPES, Math.max(1, cached.mostPerSize()));
    }

    /** A thread begins to keep memory for itself. */
    void remember(LocalStore local) {
        locals.add(local);
    }

    /** A thread keeps nothing any more, or has ended. */
    void forget(LocalStore local) {
        locals.remove(local);
    }

    private void freeInBook(int name) {
        boolean timed = leavesIdle && timesLeft > 0; // a guess: the clock is not read with the lock held
        long now = timed ? nowNanos() : 0;
        BlockTable.Block untimed = null;
        long byteOffset = 0;
        long byteSize = 0;
        lock.lock();
        try {
            if (!closed) {
                if (freesBeforeCache > 0 && --freesBeforeCache == 0 && !cached.equals(Cached.NOTHING)) {
                    cache = new BufferCache(STRIPES, cached.mostBytes(), cached.mostPerSize());
                }
                boolean inClass = ClassBlocks.isBlock(name);
                int node = inClass ? classes.node(name) : name;
                BlockTable.Block block = blocks.get(tlsf.region(node));
                byteOffset = tlsf.offset(node);
                byteSize = tlsf.byteSize(node);
                counters.usedBytes -= inClass ? classes.byteSize(name) : byteSize;
                // Beside empty slabs a free range may be smaller than the idle memory it is part of.
                int region = tlsf.region(node);
                leavesIdle =
                        inClass ? classes.free(name) : block.isIdleFrom(tlsf.free(node)) || classes.slabCount() > 0;
                if (leavesIdle) {
                    blocks.leftIdle(region);
                }
                if (leavesIdle && timed) {
                    block.ages().touch(byteOffset, byteSize, now);
                    timesLeft--;
                } else if (leavesIdle) {
                    block.ages().touch(byteOffset, byteSize);
                    untimed = timesLeft > 0 ? block : null;
                }
            }
        } finally {
            lock.unlock();
        }
        if (untimed != null) {
            takeTime(untimed, byteOffset, byteSize);
        }
    }

    private void takeTime(BlockTable.Block block, long byteOffset, long byteSize) {
        long now = nowNanos();
        lock.lock();
        block.ages().touch(byteOffset, byteSize, now);
        timesLeft--;
        lock.unlock();
    }

    /** The time by the pool's clock. Not to be called with the lock held. */
    long nowNanos() {
        return counters.clock.getAsLong();
    }

    Figures figures() {
        return withCache(atHand -> {
            long cachedBytes = atHand == null ? 0 : atHand.byteSize();
            long cachedPieces = atHand == null ? 0 : atHand.entries();
            for (LocalStore local : locals) {
                cachedBytes += local.cachedBytes();
                cachedPieces += local.entries();
            }
            return closed
                    ? new Figures(0, 0, 0, 0, 0, 0, 0)
                    : new Figures(
                            blocks.heldBytes(),
                            usedBytes() - cachedBytes,
                            tlsf.freeBytes() + cachedBytes,
                            tlsf.largestFree(),
                            tlsf.allocationCount()
                                    - shutPieces
                                    - classes.slabCount()
                                    + classes.blocksInUse()
                                    - cachedPieces,
                            tlsf.regionCount(),
                            cachedBytes);
        });
    }

    /** What is taken from the book, what is kept at hand included. */
    long takenBytes() {
        lock.lock();
        try {
            return usedBytes();
        } finally {
            lock.unlock();
        }
    }

    /** What a growing heap may give back with so much credit. */
    long creditLeft(MoveCredit credit) {
        lock.lock();
        try {
            return credit.left(counters.allocatedBytes, blocks.heldBytes(), tlsf.freeBytes());
        } finally {
            lock.unlock();
        }
    }

    /** Requests served from what is kept at hand. */
    long cacheHits() {
        BufferCache atHand = cache;
        return (atHand == null ? 0 : atHand.hits())
                + locals.stream().mapToLong(LocalStore::hits).sum();
    }

    void resetCacheHits() {
        withCache(atHand -> {
            if (atHand != null) {
                atHand.resetHits();
            }
            return 0;
        });
    }

    /** Gives what is kept at hand back to the book, where it can be joined with its neighbours. True if there was any. */
    boolean drain() {
        BufferCache atHand = cache;
        boolean any = atHand != null && atHand.drain(this::freeAll);
        for (LocalStore local : locals) {
            any |= local.askBack();
        }
        return any;
    }

    /** The block classes, if there are any. */
    List<HeapReport.BlockClass> classFigures() {
        lock.lock();
        try {
            return classes.figures();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Shows buffers and free ranges in one step of a walk; blocks of classes are left out, their figures tell all.
     *
     * @return where the next step begins, or {@link Tlsf#NONE} if there is none
     */
    int visit(int from, int count, Tlsf.NodeVisitor visitor) {
        lock.lock();
        try {
            return closed
                    ? Tlsf.NONE
                    : tlsf.visitNodes(from, count, (node, used, size) -> {
                        if (!shut.get(node) && !classes.isSlab(node)) {
                            visitor.visit(node, used, size);
                        }
                    });
        } finally {
            lock.unlock();
        }
    }

    /** Idle memory that could be given back. */
    long idleBytes() {
        drain();
        lock.lock();
        try {
            classes.releaseIdle();
            return blocks.idleBytes();
        } finally {
            lock.unlock();
        }
    }

    /** How long a part of what {@link #idleBytes} counts has been idle, at most; 0 if there is none. */
    long longestIdleNanos(long nowNanos) {
        drain();
        lock.lock();
        try {
            classes.releaseIdle();
            timesLeft = TIMED_FREES;
            return blocks.longestIdleNanos(nowNanos);
        } finally {
            lock.unlock();
        }
    }

    /** Where a request would fit if the holes there were filled; null if nowhere. */
    Tlsf.@Nullable Growth planGrowth(long bytes, long alignment) {
        lock.lock();
        try {
            return tlsf.findGrowth(bytes, alignment, unit, ENOUGH_HOLES);
        } finally {
            lock.unlock();
        }
    }

    /** The holes of a planned growth, and those in so many bytes behind it. */
    List<BlockTable.Piece> holes(Tlsf.Growth growth, long aheadBytes) {
        lock.lock();
        try {
            List<BlockTable.Piece> holes = new ArrayList<>();
            DriverBlock memory = blocks.get(growth.region()).memory();
            tlsf.forEachHole(
                    growth.region(),
                    growth.byteOffset(),
                    GrowthPolicy.window(growth, tlsf.regionByteSize(growth.region()), aheadBytes, unit),
                    (region, offset, size) -> holes.add(new BlockTable.Piece(region, memory, offset, size, Tlsf.NONE)));
            return holes;
        } finally {
            lock.unlock();
        }
    }

    /** Enters a reserved range; nothing in it is backed yet. */
    void addRange(DriverBlock range, long byteSize) {
        lock.lock();
        try {
            enter(tlsf.addReservedRegion(byteSize), BlockTable.Block.ofRange(range, byteSize, unit));
        } finally {
            lock.unlock();
        }
    }

    /** Enters pieces that are backed now, and finds room for a request before anybody else does. */
    int addPieces(List<BlockTable.Piece> pieces, long bytes, long alignment, long nowNanos) {
        lock.lock();
        try {
            for (BlockTable.Piece piece : pieces) {
                tlsf.commit(piece.region(), piece.byteOffset(), piece.byteSize());
                blocks.get(piece.region()).ages().touch(piece.byteOffset(), piece.byteSize(), nowNanos);
                blocks.book(piece.region(), piece.byteSize());
            }
            return missed(take(bytes, alignment));
        } finally {
            lock.unlock();
        }
    }

    /** Enters a block, and finds room for a request before anybody else does. */
    int addBlock(DriverBlock memory, long byteSize, long bytes, long alignment) {
        BlockTable.Block block = BlockTable.Block.ofAllocation(memory, byteSize, nowNanos());
        lock.lock();
        try {
            int region = tlsf.addRegion(byteSize);
            enter(region, block);
            blocks.book(region, byteSize);
            return missed(take(bytes, alignment));
        } finally {
            lock.unlock();
        }
    }

    /** Takes idle blocks that are due out of the book, until there are enough bytes. */
    List<Owned> detachIdleBlocks(long wantedBytes, IdleAges.Due due) {
        drain();
        lock.lock();
        try {
            classes.releaseIdle();
            timesLeft = TIMED_FREES;
            return detach(closed ? List.of() : blocks.idleBlocks(wantedBytes, due));
        } finally {
            lock.unlock();
        }
    }

    /** Takes idle blocks out of the book before another one is taken. */
    List<Owned> detachMovableBlocks(BlockTable.Movable movable) {
        lock.lock();
        try {
            classes.releaseIdle();
            return detach(closed ? List.of() : blocks.movableBlocks(movable));
        } finally {
            lock.unlock();
        }
    }

    /** Shuts idle pieces of ranges that are due off, until there are enough bytes: nobody is given them before {@link #unbacked}. */
    List<BlockTable.Piece> shutIdlePieces(long wantedBytes, IdleAges.Due due) {
        drain();
        lock.lock();
        try {
            return shut(closed ? List.of() : blocks.idlePieces(wantedBytes, due));
        } finally {
            lock.unlock();
        }
    }

    /** Shuts idle pieces off before a growth, which needs none of them. */
    List<BlockTable.Piece> shutMovablePieces(Tlsf.Growth growth, BlockTable.Movable movable) {
        lock.lock();
        try {
            classes.releaseIdle();
            return shut(closed ? List.of() : blocks.movablePieces(growth, movable));
        } finally {
            lock.unlock();
        }
    }

    /** A piece that was shut off is not backed any more. */
    void unbacked(BlockTable.Piece piece) {
        lock.lock();
        try {
            tlsf.free(piece.node());
            tlsf.decommit(piece.region(), piece.byteOffset(), piece.byteSize());
            blocks.book(piece.region(), -piece.byteSize());
            strandedBytes -= piece.byteSize();
            shut.clear(piece.node());
            shutPieces--;
        } finally {
            lock.unlock();
        }
    }

    /** The driver kept a piece that was never entered: it stays shut off for good. */
    void strand(BlockTable.Piece piece) {
        lock.lock();
        try {
            tlsf.commit(piece.region(), piece.byteOffset(), piece.byteSize());
            blocks.book(piece.region(), piece.byteSize());
            shut(piece);
        } finally {
            lock.unlock();
        }
    }

    /** A rehearsal of requests that starts from the state of this book. */
    Rehearsal rehearse(Rehearsal.Terms terms) {
        drain();
        lock.lock();
        try {
            Tlsf copy = tlsf.copy();
            return new Rehearsal(copy, classes.copy(copy), terms);
        } finally {
            lock.unlock();
        }
    }

    /** Closes the book. Everything that was in it belongs to the caller. */
    List<Owned> close() {
        BufferCache atHand = cache;
        if (atHand != null) {
            atHand.close();
        }
        locals.forEach(LocalStore::end);
        lock.lock();
        try {
            closed = true;
            List<Owned> all = blocks.all().stream()
                    .map(block -> new Owned(block.memory(), block.isRange(), block.heldBytes()))
                    .toList();
            blocks.clear();
            return all;
        } finally {
            lock.unlock();
        }
    }

    /** Checks the book against itself; for tests. */
    void validate() {
        withCache(atHand -> {
            if (atHand != null) {
                atHand.validate();
            }
            validateBook();
            return 0;
        });
    }

    private void validateBook() {
        tlsf.validate();
        classes.validate();
        long blockBytes = blocks.heldBytes();
        long held = blocks.all().stream().mapToLong(BlockTable.Block::heldBytes).sum();
        if (held != blockBytes) {
            throw new IllegalStateException("blocks hold " + held + " bytes, but " + blockBytes + " are booked");
        }
        if (tlsf.usedBytes() + tlsf.freeBytes() != blockBytes) {
            throw new IllegalStateException("used " + tlsf.usedBytes() + " + free " + tlsf.freeBytes()
                    + " bytes are not the " + blockBytes + " held");
        }
    }

    /** Looks at the book and at what is kept in front of it at one moment. */
    private <T> T withCache(Function<@Nullable BufferCache, T> look) {
        BufferCache atHand = cache; // one that is made meanwhile is empty
        if (atHand != null) {
            atHand.lockAll();
        }
        lock.lock();
        try {
            return look.apply(atHand);
        } finally {
            lock.unlock();
            if (atHand != null) {
                atHand.unlockAll();
            }
        }
    }

    // From here on the lock is held.

    private int take(long bytes, long alignment) {
        if (closed) {
            return Tlsf.NONE;
        }
        int name = classes.takeAnywhere(bytes, alignment);
        if (name == Tlsf.NONE || ClassBlocks.isBlock(name)) {
            return blockPlace(name);
        }
        counters.used(rounded(bytes));
        return name;
    }

    private int blockPlace(int name) {
        if (name != Tlsf.NONE) {
            long granted = classes.byteSize(name);
            long offset = tlsf.offset(classes.node(name)) + classes.byteOffset(name);
            counters.used(granted);
            classPlaces.put(ClassBlocks.index(name), tlsf.region(classes.node(name)), offset, granted);
        }
        return name;
    }

    long rounded(long bytes) {
        return GrowthPolicy.roundUp(bytes, granule);
    }

    private void enter(int region, BlockTable.Block block) {
        blocks.add(region, block);
        @Nullable
        DriverBlock[] more =
                region < memories.length ? memories : Arrays.copyOf(memories, Math.max(FIRST_BLOCKS, 2 * region));
        more[region] = block.memory();
        memories = more; // also where it is the same, so that whoever reads it then sees the block
    }

    /** Counts a hit if there is one. */
    private int counted(int name) {
        counters.hits += name == Tlsf.NONE ? 0 : 1;
        return name;
    }

    private long usedBytes() {
        return tlsf.usedBytes() - strandedBytes - classes.reservedBytes() + classes.usedBytes();
    }

    /** Counts a miss if the request was served. */
    private int missed(int name) {
        counters.misses += name == Tlsf.NONE ? 0 : 1;
        return name;
    }

    private List<Owned> detach(List<Integer> regions) {
        List<Owned> detached = new ArrayList<>();
        for (int region : regions) {
            tlsf.removeRegion(region);
            BlockTable.Block block = blocks.remove(region);
            detached.add(new Owned(block.memory(), false, block.heldBytes()));
        }
        return detached;
    }

    private List<BlockTable.Piece> shut(List<BlockTable.Piece> pieces) {
        return pieces.stream().map(this::shut).toList();
    }

    private BlockTable.Piece shut(BlockTable.Piece piece) {
        int node = tlsf.allocateAt(piece.region(), piece.byteOffset(), piece.byteSize());
        strandedBytes += piece.byteSize();
        shut.set(node);
        shutPieces++;
        return new BlockTable.Piece(piece.region(), piece.memory(), piece.byteOffset(), piece.byteSize(), node);
    }
}
