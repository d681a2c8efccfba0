package dev.headroom.memory.engine;

import dev.headroom.memory.spi.DriverBlock;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The book of a heap: its blocks, and the buffers inside them. A block is either one raw allocation or a reserved address range
 * that is backed piece by piece; both are regions of one {@link Tlsf}, so that a search looks everywhere at once. Never calls a
 * driver. Thread-safe: every method holds the lock the heaps of a pool share.
 *
 * <p>Bytes the driver kept although they were to be given back are <em>stranded</em>: held, but never handed out again.
 */
final class BlockList {

    /**
     * Where a buffer lies.
     *
     * @param node         its name in the book
     * @param block        the driver's block
     * @param byteOffset   where it begins in the block
     * @param grantedBytes what it takes up, rounded
     */
    record Place(int node, DriverBlock block, long byteOffset, long grantedBytes) {}

    /**
     * Part of a reserved range.
     *
     * @param region     the range's region
     * @param memory     the range
     * @param byteOffset where the part begins
     * @param byteSize   how long it is
     * @param node       the allocation that keeps others out of it, or {@link Tlsf#NONE}
     */
    record Piece(int region, DriverBlock memory, long byteOffset, long byteSize, int node) {}

    /**
     * A block taken out of the book.
     *
     * @param memory    the driver's block
     * @param range     whether it is a reserved range
     * @param heldBytes how much of it is backed by memory
     */
    record Owned(DriverBlock memory, boolean range, long heldBytes) {}

    /**
     * The figures at one moment.
     *
     * @param blockBytes  held from the driver
     * @param usedBytes   in buffers
     * @param largestFree the longest range a buffer could get without growth
     * @param buffers     buffers that take up memory
     */
    record Figures(long blockBytes, long usedBytes, long largestFree, long buffers) {}

    /** A region's block, and how much of it is backed by memory. */
    private static final class Block {
        private final DriverBlock memory;
        private final boolean range;
        private long heldBytes;

        private Block(DriverBlock memory, boolean range) {
            this.memory = memory;
            this.range = range;
        }
    }

    private final PoolCounters counters;
    private final EngineLock lock;
    private final long unit;
    private final Tlsf tlsf;
    /** By region; null where a region is not in use. */
    private final List<@Nullable Block> blocks = new ArrayList<>();

    private long blockBytes;
    private long strandedBytes;
    private long strandedNodes;
    private boolean closed;

    /**
     * An empty book.
     *
     * @param counters shared by the heaps of a pool, with their lock
     * @param unit     what sizes of blocks and pieces are multiples of
     * @param granule  what buffers begin at multiples of
     */
    BlockList(PoolCounters counters, long unit, long granule) {
        this.counters = counters;
        this.lock = counters.lock;
        this.unit = unit;
        this.tlsf = new Tlsf(granule);
    }

    /** Finds room, and counts a hit if there is any. */
    @Nullable
    Place hit(long bytes, long alignment) {
        lock.lock();
        try {
            Place place = take(bytes, alignment);
            counters.hits += place == null ? 0 : 1;
            return place;
        } finally {
            lock.unlock();
        }
    }

    /** Takes a buffer's memory back. Harmless after close. */
    void free(int node) {
        lock.lock();
        try {
            if (!closed) {
                counters.usedBytes -= tlsf.byteSize(node);
                tlsf.free(node);
            }
        } finally {
            lock.unlock();
        }
    }

    Figures figures() {
        lock.lock();
        try {
            return new Figures(
                    blockBytes,
                    closed ? 0 : tlsf.usedBytes() - strandedBytes,
                    closed ? 0 : tlsf.largestFree(),
                    closed ? 0 : tlsf.allocationCount() - strandedNodes);
        } finally {
            lock.unlock();
        }
    }

    /** Idle memory that could be given back. */
    long idleBytes() {
        lock.lock();
        try {
            long bytes = 0;
            for (int region : idleBlocks(Long.MAX_VALUE)) {
                bytes += blockOf(region).heldBytes;
            }
            for (Piece piece : idlePieces(Long.MAX_VALUE)) {
                bytes += piece.byteSize();
            }
            return bytes;
        } finally {
            lock.unlock();
        }
    }

    /** Where a request would fit if the holes there were filled; null if nowhere. */
    Tlsf.@Nullable Growth planGrowth(long bytes, long alignment) {
        lock.lock();
        try {
            return tlsf.findGrowth(bytes, alignment, unit);
        } finally {
            lock.unlock();
        }
    }

    /** The holes of a planned growth, and those in so many bytes behind it. */
    List<Piece> holes(Tlsf.Growth growth, long aheadBytes) {
        lock.lock();
        try {
            List<Piece> holes = new ArrayList<>();
            DriverBlock memory = blockOf(growth.region()).memory;
            long end = tlsf.regionByteSize(growth.region()) - growth.byteOffset();
            long window = Math.min(growth.byteSize() + aheadBytes / unit * unit, end);
            tlsf.forEachHole(
                    growth.region(),
                    growth.byteOffset(),
                    window,
                    (region, offset, size) -> holes.add(new Piece(region, memory, offset, size, Tlsf.NONE)));
            return holes;
        } finally {
            lock.unlock();
        }
    }

    /** Enters a reserved range; nothing in it is backed yet. */
    void addRange(DriverBlock range, long byteSize) {
        lock.lock();
        try {
            register(tlsf.addReservedRegion(byteSize), new Block(range, true));
        } finally {
            lock.unlock();
        }
    }

    /** Enters pieces that are backed now, and finds room for a request before anybody else does. */
    @Nullable
    Place addPieces(List<Piece> pieces, long bytes, long alignment) {
        lock.lock();
        try {
            for (Piece piece : pieces) {
                tlsf.commit(piece.region(), piece.byteOffset(), piece.byteSize());
                book(piece.region(), piece.byteSize());
            }
            return missed(take(bytes, alignment));
        } finally {
            lock.unlock();
        }
    }

    /** Enters a block, and finds room for a request before anybody else does. */
    @Nullable
    Place addBlock(DriverBlock memory, long byteSize, long bytes, long alignment) {
        lock.lock();
        try {
            int region = tlsf.addRegion(byteSize);
            register(region, new Block(memory, false));
            book(region, byteSize);
            return missed(take(bytes, alignment));
        } finally {
            lock.unlock();
        }
    }

    /** Takes idle blocks out of the book, until there are enough bytes. */
    List<Owned> detachIdleBlocks(long wantedBytes) {
        lock.lock();
        try {
            List<Owned> detached = new ArrayList<>();
            for (int region : closed ? List.<Integer>of() : idleBlocks(wantedBytes)) {
                Block block = blockOf(region);
                tlsf.removeRegion(region);
                blocks.set(region, null);
                blockBytes -= block.heldBytes;
                detached.add(new Owned(block.memory, false, block.heldBytes));
            }
            return detached;
        } finally {
            lock.unlock();
        }
    }

    /** Shuts idle pieces of ranges off, until there are enough bytes: nobody is given them before {@link #unbacked}. */
    List<Piece> shutIdlePieces(long wantedBytes) {
        lock.lock();
        try {
            List<Piece> shut = new ArrayList<>();
            for (Piece piece : closed ? List.<Piece>of() : idlePieces(wantedBytes)) {
                shut.add(shut(piece));
            }
            return shut;
        } finally {
            lock.unlock();
        }
    }

    /** A piece that was shut off is not backed any more. */
    void unbacked(Piece piece) {
        lock.lock();
        try {
            tlsf.free(piece.node());
            tlsf.decommit(piece.region(), piece.byteOffset(), piece.byteSize());
            book(piece.region(), -piece.byteSize());
            strandedBytes -= piece.byteSize();
            strandedNodes--;
        } finally {
            lock.unlock();
        }
    }

    /** The driver kept a piece that was never entered: it stays shut off for good. */
    void strand(Piece piece) {
        lock.lock();
        try {
            tlsf.commit(piece.region(), piece.byteOffset(), piece.byteSize());
            book(piece.region(), piece.byteSize());
            shut(piece);
        } finally {
            lock.unlock();
        }
    }

    /** Closes the book. Everything that was in it belongs to the caller. */
    List<Owned> close() {
        lock.lock();
        try {
            closed = true;
            List<Owned> all = new ArrayList<>();
            for (Block block : blocks) {
                if (block != null) {
                    all.add(new Owned(block.memory, block.range, block.heldBytes));
                }
            }
            blocks.clear();
            blockBytes = 0;
            return all;
        } finally {
            lock.unlock();
        }
    }

    /** Checks the book against itself; for tests. */
    void validate() {
        lock.lock();
        try {
            tlsf.validate();
            long held = 0;
            for (Block block : blocks) {
                held += block == null ? 0 : block.heldBytes;
            }
            if (held != blockBytes) {
                throw new IllegalStateException("blocks hold " + held + " bytes, but " + blockBytes + " are booked");
            }
            if (tlsf.usedBytes() + tlsf.freeBytes() != blockBytes) {
                throw new IllegalStateException("used " + tlsf.usedBytes() + " + free " + tlsf.freeBytes()
                        + " bytes are not the " + blockBytes + " held");
            }
        } finally {
            lock.unlock();
        }
    }

    // From here on the lock is held.

    private @Nullable Place take(long bytes, long alignment) {
        int node = closed ? Tlsf.NONE : tlsf.allocate(bytes, alignment);
        if (node == Tlsf.NONE) {
            return null;
        }
        long granted = tlsf.byteSize(node);
        counters.used(granted);
        return new Place(node, blockOf(tlsf.region(node)).memory, tlsf.offset(node), granted);
    }

    /** Counts a miss if the request was served. */
    private @Nullable Place missed(@Nullable Place place) {
        counters.misses += place == null ? 0 : 1;
        return place;
    }

    private Piece shut(Piece piece) {
        int node = tlsf.allocateAt(piece.region(), piece.byteOffset(), piece.byteSize());
        strandedBytes += piece.byteSize();
        strandedNodes++;
        return new Piece(piece.region(), piece.memory(), piece.byteOffset(), piece.byteSize(), node);
    }

    /** Regions of wholly idle blocks, until there are enough bytes. */
    private List<Integer> idleBlocks(long wantedBytes) {
        List<Integer> regions = new ArrayList<>();
        long found = 0;
        for (int region = 0; region < blocks.size() && found < wantedBytes; region++) {
            Block block = blocks.get(region);
            if (block != null && !block.range && tlsf.isRegionFree(region)) {
                regions.add(region);
                found += block.heldBytes;
            }
        }
        return regions;
    }

    /** Idle pieces of ranges, until there are enough bytes; of each run the upper end, so that what is left lies together. */
    private List<Piece> idlePieces(long wantedBytes) {
        List<Piece> pieces = new ArrayList<>();
        long[] found = {0};
        tlsf.forEachFreePageRun(unit, (region, offset, size) -> {
            Block block = blockOf(region);
            if (block.range && found[0] < wantedBytes) {
                long part = Math.min(size, GrowthPolicy.roundUp(wantedBytes - found[0], unit));
                pieces.add(new Piece(region, block.memory, offset + size - part, part, Tlsf.NONE));
                found[0] += part;
            }
        });
        return pieces;
    }

    private void register(int region, Block block) {
        while (blocks.size() <= region) {
            blocks.add(null);
        }
        blocks.set(region, block);
    }

    private void book(int region, long bytes) {
        blockOf(region).heldBytes += bytes;
        blockBytes += bytes;
    }

    private Block blockOf(int region) {
        return Objects.requireNonNull(blocks.get(region));
    }
}
