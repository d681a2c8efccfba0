package dev.headroom.memory.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Finds room for allocations in one or many <em>regions</em>. A region is a range of bytes that starts at offset 0, the
 * bookkeeping side of one driver block; this class does arithmetic on offsets and never touches memory.
 *
 * <p>The algorithm is two-level segregated fit (M. Masmano, I. Ripoll, J. Real, A. Crespo, A. J. Wellings:
 * "Implementation of a constant-time dynamic storage allocator", Software: Practice and Experience 38, 2008). Free ranges
 * lie in bins: one level per power of two, 32 bins per level, one bitmap word for the levels and one per level. Two
 * find-first-bit steps give the smallest bin whose every range is large enough, so a range taken from there is at most
 * 1/32 larger than needed wherever such a range exists ("good fit"). A freed range is merged with its free neighbours at
 * once. Allocating and freeing take a bounded number of steps and create no garbage.
 *
 * <p>What differs from the paper:
 *
 * <ul>
 *   <li>All regions share one set of bins: one search covers every block of a pool.
 *   <li>The request's own bin is looked at first: its newest range is taken if it fits. A size freed and asked for again is
 *       reused exactly.
 *   <li>A fit is never missed. Where the bounded search finds nothing, the bins that may still hold a fit are walked: one
 *       bin, or for an alignment above the granule the bins between the size and the size plus the alignment. This walk
 *       is linear in the ranges of these bins, and happens only where the caller would have to grow or fail.
 *   <li>The lower part of a split range is handed out; the rest keeps its node, and its place if its bin stays the same.
 *   <li>A region may contain <em>holes</em>: parts that are reserved but not committed, hence never handed out. See
 *       {@link #addReservedRegion}, {@link #commit}, {@link #decommit}, {@link #findGrowth}.
 * </ul>
 *
 * <p>Among ranges of one bin the most recently freed comes first, whatever its region. Across bins the smallest sufficient
 * bin wins, so a region that is wholly free, being a large range, is broken into last, and regions can run empty.
 *
 * <p>An allocation is named by a <em>node</em>, an {@code int} that is valid until freed and then reused. Sizes and offsets
 * are bytes. All requests are rounded up to the granule, and every range starts and ends at a multiple of it.
 *
 * <p>Not thread-safe: the caller holds a lock. The plain totals ({@link #usedBytes}, {@link #freeBytes},
 * {@link #holeBytes}, {@link #capacity}, {@link #allocationCount}) may be read without it and are then approximate. A
 * method that throws has changed nothing.
 */
public final class Tlsf {
    /** What {@link #allocate} returns when nothing fits. */
    public static final int NONE = -1;

    /** The granule of {@link #Tlsf()}, in bytes. */
    public static final long DEFAULT_GRANULE = 256;

    /** The largest granule, in bytes (1 GiB). */
    public static final long MAX_GRANULE = 1L << 30;

    /** The most bytes all regions of one instance may have together (128 TiB). */
    public static final long MAX_CAPACITY = 1L << 47;

    /** The most regions one instance may have. */
    public static final int MAX_REGIONS = 1 << 16;

    private static final int LEVEL_BITS = 5;
    private static final int BINS_PER_LEVEL = 1 << LEVEL_BITS;
    private static final int LEVELS = 64;

    // A node is four longs, in one line of the processor's cache where the array begins at one: the region above the
    // offset, the size above the state, and two pairs of links.
    private static final int NODE_SHIFT = 2;
    private static final int FIRST_WORD = 2;
    private static final int PLACE = 0;
    private static final int SPAN = 1;
    private static final int OFFSET_BITS = 47;
    private static final long OFFSET_MASK = (1L << OFFSET_BITS) - 1;
    private static final int STATE_BITS = 2;
    private static final int STATE_MASK = (1 << STATE_BITS) - 1;
    private static final int SPARE = 0;
    private static final int FREE = 1;
    private static final int USED = 2;
    private static final int HOLE = 3;

    // Links by word and half: neighbours in address order, and in the list of its bin (or of holes, or of spare nodes).
    private static final int PREV = 4;
    private static final int NEXT = 5;
    private static final int LIST_PREV = 6;
    private static final int LIST_NEXT = 7;
    private static final long LOWER_HALF = 0xFFFF_FFFFL;

    private static final VarHandle WORDS;

    static {
        try {
            WORDS = MethodHandles.lookup().findVarHandle(Tlsf.class, "words", long[].class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private static final int FIRST_NODES = 256;
    private static final int MAX_NODES = (1 << 29) - 8;
    private static final int FIRST_REGIONS = 8;

    private final long granule;
    private final int granuleShift;

    private long levelMap;
    private final int[] binMaps = new int[LEVELS];
    private final int[] heads = new int[LEVELS * BINS_PER_LEVEL];
    private int holes = NONE;

    private int nodeCapacity = FIRST_NODES;
    private long[] words = new long[at(FIRST_NODES)];
    private int spares = NONE;
    /** Nodes ever taken; those from here on are untouched. */
    private int nodeLimit;

    /** Size of each region; 0 marks an id that is not in use. */
    private long[] regionSizes = new long[FIRST_REGIONS];

    private int[] regionFirst = new int[FIRST_REGIONS];
    private long[] regionHoles = new long[FIRST_REGIONS];
    private int regionLimit;
    /** All ids below are in use. */
    private int lowestSpareRegion;

    private int regionCount;

    private long capacity;
    private long free;
    private long holeBytes;
    private int holeCount;
    private long allocations;

    /** Sees one range of a walk. It must not change the allocator. */
    @FunctionalInterface
    public interface RangeVisitor {
        /**
         * Called once for each range.
         *
         * @param region the region the range lies in
         * @param byteOffset where it starts in the region, in bytes
         * @param byteSize its size in bytes, at least one granule
         */
        void visit(int region, long byteOffset, long byteSize);
    }

    /** Sees one allocation or free range of a walk in steps. It must not change the allocator. */
    @FunctionalInterface
    public interface NodeVisitor {
        /**
         * Called once for each.
         *
         * @param node its node
         * @param used whether it is an allocation
         * @param byteSize its size in bytes, at least one granule
         */
        void visit(int node, boolean used, long byteSize);
    }

    /**
     * A place where a request fits once the holes in it are committed.
     *
     * @param region the region to grow
     * @param byteOffset start of the first part to commit, in bytes from the start of the region
     * @param byteSize bytes from there to the end of the last part to commit; free ranges may lie between the parts
     * @param missingBytes bytes to commit in all: the sum of the parts, at most {@code byteSize}
     */
    public record Growth(int region, long byteOffset, long byteSize, long missingBytes) {}

    /** Creates an allocator without regions and with a granule of {@value #DEFAULT_GRANULE} bytes. */
    public Tlsf() {
        this(DEFAULT_GRANULE);
    }

    /**
     * Creates an allocator without regions.
     *
     * @param granule the unit of every range in bytes: a power of two, 1 to 2^30
     * @throws IllegalArgumentException if {@code granule} is not such a value
     */
    public Tlsf(long granule) {
        if (granule < 1 || granule > MAX_GRANULE || Long.bitCount(granule) != 1) {
            throw new IllegalArgumentException(
                    "granule must be a power of two from 1 to " + MAX_GRANULE + ": " + granule);
        }
        this.granule = granule;
        this.granuleShift = Long.numberOfTrailingZeros(granule);
        Arrays.fill(heads, NONE);
    }

    /**
     * An allocator in the same state, which shares nothing with this one: the same requests get the same nodes and places. For
     * trying out what would happen. Copies some arrays, about 32 bytes for each range.
     *
     * @return the copy
     */
    public Tlsf copy() {
        Tlsf copy = new Tlsf(granule);
        copy.levelMap = levelMap;
        System.arraycopy(binMaps, 0, copy.binMaps, 0, binMaps.length);
        System.arraycopy(heads, 0, copy.heads, 0, heads.length);
        copy.holes = holes;
        copy.nodeCapacity = nodeCapacity;
        copy.words = words.clone();
        copy.spares = spares;
        copy.nodeLimit = nodeLimit;
        copy.regionSizes = regionSizes.clone();
        copy.regionFirst = regionFirst.clone();
        copy.regionHoles = regionHoles.clone();
        copy.regionLimit = regionLimit;
        copy.lowestSpareRegion = lowestSpareRegion;
        copy.regionCount = regionCount;
        copy.capacity = capacity;
        copy.free = free;
        copy.holeBytes = holeBytes;
        copy.holeCount = holeCount;
        copy.allocations = allocations;
        return copy;
    }

    // ---- regions

    /**
     * Adds a region that is wholly free.
     *
     * @param byteSize its size in bytes: a multiple of the granule
     * @return the id of the region: the lowest that is not in use
     * @throws IllegalArgumentException if {@code byteSize} is not positive, not a multiple of the granule, or makes the
     *     capacity exceed {@link #MAX_CAPACITY}
     * @throws IllegalStateException if there are {@link #MAX_REGIONS} regions already
     */
    public int addRegion(long byteSize) {
        return addRegion(byteSize, FREE);
    }

    /**
     * Adds a region that is one hole: an address range that is reserved, with nothing committed. {@link #commit} makes
     * parts of it free.
     *
     * @param byteSize its size in bytes: a multiple of the granule
     * @return the id of the region: the lowest that is not in use
     * @throws IllegalArgumentException as for {@link #addRegion}
     * @throws IllegalStateException as for {@link #addRegion}
     */
    public int addReservedRegion(long byteSize) {
        return addRegion(byteSize, HOLE);
    }

    private int addRegion(long byteSize, int state) {
        if (byteSize <= 0 || byteSize > MAX_CAPACITY - capacity || (byteSize & (granule - 1)) != 0) {
            throw new IllegalArgumentException("region size must be a multiple of " + granule + " from " + granule
                    + " to " + ((MAX_CAPACITY - capacity) & -granule) + " bytes: " + byteSize);
        }
        int region = lowestSpareRegion;
        while (region < regionLimit && regionSizes[region] != 0) {
            region++;
        }
        lowestSpareRegion = region;
        if (region == MAX_REGIONS) {
            throw new IllegalStateException("no more than " + MAX_REGIONS + " regions");
        }
        if (region == regionSizes.length) {
            growRegions();
        }
        int node = newNode((long) region << OFFSET_BITS, byteSize, state);
        setLink(node, PREV, NONE);
        setLink(node, NEXT, NONE);
        regionSizes[region] = byteSize;
        regionFirst[region] = node;
        regionHoles[region] = 0;
        regionLimit = Math.max(regionLimit, region + 1);
        regionCount++;
        lowestSpareRegion = region + 1;
        capacity += byteSize;
        if (state == HOLE) {
            holeBytes += byteSize;
            regionHoles[region] = byteSize;
        } else {
            free += byteSize;
        }
        attach(node, state);
        return region;
    }

    /**
     * Removes a region that holds no allocation. Its id will be used again.
     *
     * @param region a region of this allocator
     * @throws IllegalArgumentException if there is no such region
     * @throws IllegalStateException if an allocation lies in it
     */
    public void removeRegion(int region) {
        requireRegion(region);
        if (!isRegionFree(region)) {
            throw new IllegalStateException(
                    "region " + region + " still holds " + regionUsedBytes(region) + " bytes in use");
        }
        int node = regionFirst[region];
        while (node >= 0) {
            int next = link(node, NEXT);
            detach(node);
            releaseNode(node);
            node = next;
        }
        capacity -= regionSizes[region];
        holeBytes -= regionHoles[region];
        free -= regionSizes[region] - regionHoles[region];
        regionSizes[region] = 0;
        regionHoles[region] = 0;
        regionFirst[region] = NONE;
        lowestSpareRegion = Math.min(lowestSpareRegion, region);
        regionCount--;
    }

    /**
     * The number of regions.
     *
     * @return regions added and not removed
     */
    public int regionCount() {
        return regionCount;
    }

    /**
     * The size of a region.
     *
     * @param region a region of this allocator
     * @return its size in bytes, holes included
     * @throws IllegalArgumentException if there is no such region
     */
    public long regionByteSize(int region) {
        requireRegion(region);
        return regionSizes[region];
    }

    /**
     * The bytes of a region that allocations hold. Linear in the ranges of the region.
     *
     * @param region a region of this allocator
     * @return granted bytes, 0 to the size of the region
     * @throws IllegalArgumentException if there is no such region
     */
    public long regionUsedBytes(int region) {
        requireRegion(region);
        long used = 0;
        for (int node = regionFirst[region]; node >= 0; node = link(node, NEXT)) {
            used += stateOf(node) == USED ? size(node) : 0;
        }
        return used;
    }

    /**
     * The bytes of a region that are not committed.
     *
     * @param region a region of this allocator
     * @return bytes in holes, 0 to the size of the region
     * @throws IllegalArgumentException if there is no such region
     */
    public long regionHoleBytes(int region) {
        requireRegion(region);
        return regionHoles[region];
    }

    /**
     * Whether a region holds no allocation, so that {@link #removeRegion} would accept it. Looks no further than the first
     * allocation: constant time without holes, so that it can be asked after every {@link #free}.
     *
     * @param region a region of this allocator
     * @return true if nothing in it is in use, be it free or a hole
     * @throws IllegalArgumentException if there is no such region
     */
    public boolean isRegionFree(int region) {
        requireRegion(region);
        int node = regionFirst[region];
        while (node >= 0 && stateOf(node) != USED) {
            node = link(node, NEXT);
        }
        return node < 0;
    }

    // ---- allocations

    /**
     * Takes a free range. Offsets are aligned from the start of a region, so an absolute address is aligned only as far as
     * the address of its region is.
     *
     * @param bytes the size wanted, at least 1
     * @param alignment what the offset is a multiple of: a power of two; up to the granule it costs nothing
     * @return the node of the allocation, or {@link #NONE} if no free range fits
     * @throws IllegalArgumentException if an argument is out of its range
     */
    public int allocate(long bytes, long alignment) {
        if (bytes <= 0 || alignment <= 0 || (alignment & (alignment - 1)) != 0) {
            throw badRequest(bytes, alignment);
        }
        if (bytes > free) {
            return NONE;
        }
        long size = (bytes + granule - 1) & -granule;
        if (alignment > granule) {
            return allocateAligned(size, alignment);
        }
        int bin = binOf(size);
        int node = heads[bin];
        if (node < 0 || words[at(node) + SPAN] < size << STATE_BITS) {
            int above = binAbove(bin);
            if (above < 0) {
                return allocateFrom(bin, size);
            }
            bin = above;
            node = heads[above];
        }
        return take(node, bin, size);
    }

    /** The failing path: looks at every range of the request's own bin. */
    private int allocateFrom(int bin, long size) {
        int node = searchBins(bin, bin, size, granule);
        return node < 0 ? NONE : take(node, bin, size);
    }

    private int allocateAligned(long size, long alignment) {
        int bin = binOf(size);
        int node = heads[bin];
        if (node < 0 || !fits(node, size, alignment)) {
            // The usual good fit, which may happen to be aligned; then one so large that it must contain an aligned
            // part.
            node = headAbove(bin);
            if (node >= 0 && !fits(node, size, alignment)) {
                int surelyBelow = binOf(size + alignment - granule);
                node = headAbove(surelyBelow);
                if (node < 0) {
                    node = searchBins(bin, surelyBelow, size, alignment);
                }
            } else if (node < 0) {
                node = searchBins(bin, bin, size, alignment);
            }
            if (node < 0) {
                return NONE;
            }
        }
        int nodeBin = binOf(size(node));
        long offset = offsetOf(node);
        long front = alignUp(offset, alignment) - offset;
        if (front == 0) {
            return take(node, nodeBin, size);
        }
        return takeInside(node, nodeBin, front, size);
    }

    /** Takes the lower end of a free range. */
    private int take(int node, int bin, long size) {
        int at = at(node);
        long rest = (words[at + SPAN] >>> STATE_BITS) - size;
        int taken;
        if (rest == 0) {
            taken = node;
            removeFree(node, bin);
            setSize(node, size, USED);
        } else {
            long place = words[at + PLACE];
            taken = newNode(place, size, USED);
            words[at + PLACE] = place + size;
            words[at + SPAN] = rest << STATE_BITS | FREE;
            linkBefore(taken, node);
            moveFree(node, bin, binOf(rest));
        }
        charge(size);
        return taken;
    }

    /** Takes a part of a free range that leaves some of it free in front, for a large alignment. */
    private int takeInside(int node, int bin, long front, long size) {
        ensureTwoNodes();
        long place = words[at(node) + PLACE];
        long back = size(node) - front - size;
        removeFree(node, bin);
        setSize(node, front, FREE);
        insertFree(node, binOf(front));
        int taken = newNode(place + front, size, USED);
        linkAfter(taken, node);
        if (back > 0) {
            int rest = newNode(place + front + size, back, FREE);
            linkAfter(rest, taken);
            insertFree(rest, binOf(back));
        }
        charge(size);
        return taken;
    }

    /**
     * Allocates a given part of a free range, so that nobody else gets it while the driver takes its memory away.
     *
     * @param region a region of this allocator
     * @param byteOffset start of the part in bytes, a multiple of the granule
     * @param byteSize size of the part in bytes, a positive multiple of the granule
     * @return the node
     * @throws IllegalArgumentException if there is no such region, or the part does not lie inside one free range
     */
    public int allocateAt(int region, long byteOffset, long byteSize) {
        int node = requireInside(region, byteOffset, byteSize, FREE);
        int bin = binOf(size(node));
        long front = byteOffset - offsetOf(node);
        return front == 0 ? take(node, bin, byteSize) : takeInside(node, bin, front, byteSize);
    }

    private void charge(long size) {
        free -= size;
        allocations++;
    }

    /**
     * Gives an allocation back and merges it with its free neighbours.
     *
     * @param node what {@link #allocate} returned
     * @return the size of the free range it is part of now, in bytes
     * @throws IllegalArgumentException if {@code node} is not an allocation in use
     */
    public long free(int node) {
        requireAllocated(node);
        long size = size(node);
        free += size;
        allocations--;
        int prev = link(node, PREV);
        int next = link(node, NEXT);
        if (prev >= 0 && stateOf(prev) == FREE) {
            return mergeDown(node, prev, next, size);
        } else if (next >= 0 && stateOf(next) == FREE) {
            long after = size(next);
            words[at(next) + PLACE] -= size;
            setSize(next, after + size, FREE);
            unlink(node);
            moveFree(next, binOf(after), binOf(after + size));
            return after + size;
        } else {
            setSize(node, size, FREE);
            insertFree(node, binOf(size));
            return size;
        }
    }

    /** Merges a freed range into the free one below it, and that with the one above if it is free too. */
    private long mergeDown(int node, int prev, int next, long size) {
        long before = size(prev);
        long merged = before + size;
        if (next >= 0 && stateOf(next) == FREE) {
            long after = size(next);
            merged += after;
            removeFree(next, binOf(after));
            unlink(next);
        }
        setSize(prev, merged, FREE);
        unlink(node);
        moveFree(prev, binOf(before), binOf(merged));
        return merged;
    }

    /**
     * Whether a node names an allocation now. A node is reused after it was freed, so true does not prove that it is still
     * the same allocation.
     *
     * @param node any value
     * @return true if {@link #free} would accept it
     */
    public boolean isAllocated(int node) {
        return node >= 0 && node < nodeLimit && stateOf(node) == USED;
    }

    /**
     * Where an allocation starts.
     *
     * @param node what {@link #allocate} returned
     * @return bytes from the start of its region
     * @throws IllegalArgumentException if {@code node} is not an allocation in use
     */
    public long offset(int node) {
        requireAllocated(node);
        return offsetOf(node);
    }

    /**
     * How large an allocation is.
     *
     * @param node what {@link #allocate} returned
     * @return granted bytes: the size asked for, rounded up to the granule
     * @throws IllegalArgumentException if {@code node} is not an allocation in use
     */
    public long byteSize(int node) {
        requireAllocated(node);
        return words[at(node) + SPAN] >>> STATE_BITS;
    }

    /**
     * The region an allocation lies in.
     *
     * @param node what {@link #allocate} returned
     * @return the id of the region
     * @throws IllegalArgumentException if {@code node} is not an allocation in use
     */
    public int region(int node) {
        requireAllocated(node);
        return regionOf(node);
    }

    // For who owns an allocation, and needs no lock: its place and size stay what they are until it is freed, and a
    // larger array is published whole.

    int ownedRegion(int node) {
        return (int) (ownedWord(node, PLACE) >>> OFFSET_BITS);
    }

    long ownedOffset(int node) {
        return ownedWord(node, PLACE) & OFFSET_MASK;
    }

    long ownedByteSize(int node) {
        return ownedWord(node, SPAN) >>> STATE_BITS;
    }

    private long ownedWord(int node, int word) {
        return ((long[]) WORDS.getAcquire(this))[at(node) + word];
    }

    // ---- holes

    /**
     * Makes a part of a hole free, and merges it with free neighbours. Call it after the driver has committed the part.
     *
     * @param region a region of this allocator
     * @param byteOffset start of the part in bytes, a multiple of the granule
     * @param byteSize size of the part in bytes, a positive multiple of the granule
     * @throws IllegalArgumentException if there is no such region, or the part does not lie inside one hole
     */
    public void commit(int region, long byteOffset, long byteSize) {
        int node = requireInside(region, byteOffset, byteSize, HOLE);
        convert(node, byteOffset, byteSize, HOLE, FREE);
        holeBytes -= byteSize;
        regionHoles[region] -= byteSize;
        free += byteSize;
    }

    /**
     * Makes a part of a free range a hole, and merges it with neighbouring holes. Call it before the driver decommits the
     * part, so that nobody is given it meanwhile.
     *
     * @param region a region of this allocator
     * @param byteOffset start of the part in bytes, a multiple of the granule
     * @param byteSize size of the part in bytes, a positive multiple of the granule
     * @throws IllegalArgumentException if there is no such region, or the part does not lie inside one free range
     */
    public void decommit(int region, long byteOffset, long byteSize) {
        int node = requireInside(region, byteOffset, byteSize, FREE);
        convert(node, byteOffset, byteSize, FREE, HOLE);
        free -= byteSize;
        holeBytes += byteSize;
        regionHoles[region] += byteSize;
    }

    /**
     * Finds where the fewest bytes have to be committed so that a request fits: free ranges beside and between holes count,
     * and only what is missing is named, rounded out to pages inside its hole. Among equal costs the lowest region, then
     * the lowest offset wins. Ask after {@link #allocate} returned {@link #NONE}; commit every part that
     * {@link #forEachHole(int, long, long, RangeVisitor)} shows for the answer, and the same request fits.
     *
     * <p>Walks the holes. An answer is found whenever one exists; it is the cheapest where holes start and end at pages.
     *
     * @param bytes the size wanted, at least 1
     * @param alignment what the offset must be a multiple of, a power of two
     * @param pageSize the unit in which the driver commits, in bytes: a power of two, at least the granule
     * @return the place, or null if the request fits in no region even with all holes committed
     * @throws IllegalArgumentException if an argument is out of its range
     */
    public @Nullable Growth findGrowth(long bytes, long alignment, long pageSize) {
        return findGrowth(bytes, alignment, pageSize, Integer.MAX_VALUE);
    }

    /**
     * As {@link #findGrowth(long, long, long)}, but of many holes the first that serve are good enough: not all need be looked at.
     *
     * @param bytes the size wanted, at least 1
     * @param alignment what the offset must be a multiple of, a power of two
     * @param pageSize the unit in which the driver commits, in bytes: a power of two, at least the granule
     * @param enough after so many holes, those made last first, the cheapest place found is taken if there is one
     * @return the place, or null if the request fits in no region even with all holes committed
     * @throws IllegalArgumentException if an argument is out of its range
     */
    public @Nullable Growth findGrowth(long bytes, long alignment, long pageSize, int enough) {
        if (bytes <= 0 || alignment <= 0 || (alignment & (alignment - 1)) != 0) {
            throw badRequest(bytes, alignment);
        }
        requirePage(pageSize);
        if (bytes > free + holeBytes) {
            return null;
        }
        long size = (bytes + granule - 1) & -granule;
        Growth best = null;
        int looked = 0;
        for (int hole = holes; hole >= 0 && (looked++ < enough || best == null); hole = link(hole, LIST_NEXT)) {
            int first = hole;
            int before = link(hole, PREV);
            if (before >= 0 && stateOf(before) == FREE) {
                first = before;
                before = link(before, PREV);
            }
            // A run of free ranges and holes is looked at once, from its first hole.
            if (before < 0 || stateOf(before) == USED) {
                best = cheapestInRun(first, size, alignment, pageSize, best);
            }
        }
        return best;
    }

    /**
     * Tries the aligned places next to those that start where a range of the run starts, or end where one ends. Between
     * them the cost only rises or only falls, so a cheapest one is among them.
     */
    private @Nullable Growth cheapestInRun(int first, long size, long alignment, long pageSize, @Nullable Growth best) {
        Growth cheapest = best;
        for (int node = first; node >= 0 && stateOf(node) != USED; node = link(node, NEXT)) {
            long start = offsetOf(node);
            long last = start + size(node) - size;
            cheapest = cheaper(cheapest, first, node, start & -alignment, size, pageSize);
            cheapest = cheaper(cheapest, first, node, alignUp(start, alignment), size, pageSize);
            cheapest = cheaper(cheapest, first, node, last & -alignment, size, pageSize);
            cheapest = cheaper(cheapest, first, node, alignUp(last, alignment), size, pageSize);
        }
        return cheapest;
    }

    /** The better of a known place and the one at {@code start}, looked for from {@code near} on, either way. */
    private @Nullable Growth cheaper(@Nullable Growth best, int first, int near, long start, long size, long pageSize) {
        if (start < offsetOf(first)) {
            return best;
        }
        int node = near;
        while (offsetOf(node) > start) {
            node = link(node, PREV);
        }
        long end = start + size;
        long pageStart = start & -pageSize;
        long pageEnd = alignUp(end, pageSize);
        long missing = 0;
        long commitStart = -1;
        long commitEnd = -1;
        int at = node;
        while (true) {
            if (at < 0 || stateOf(at) == USED || (best != null && missing > best.missingBytes)) {
                return best;
            }
            long nodeStart = offsetOf(at);
            long nodeEnd = nodeStart + size(at);
            if (nodeEnd > start && stateOf(at) == HOLE) {
                long from = Math.max(nodeStart, pageStart);
                commitEnd = Math.min(nodeEnd, pageEnd);
                commitStart = commitStart < 0 ? from : commitStart;
                missing += commitEnd - from;
            }
            if (nodeEnd >= end) {
                break;
            }
            at = link(at, NEXT);
        }
        if (missing == 0) {
            return best;
        }
        int region = regionOf(node);
        if (best == null
                || missing < best.missingBytes
                || (missing == best.missingBytes
                        && (region < best.region || (region == best.region && commitStart < best.byteOffset)))) {
            return new Growth(region, commitStart, commitEnd - commitStart, missing);
        }
        return best;
    }

    private void convert(int node, long byteOffset, long byteSize, int from, int to) {
        ensureTwoNodes();
        long front = byteOffset - offsetOf(node);
        long back = size(node) - front - byteSize;
        long place = words[at(node) + PLACE] + front;
        detach(node);
        int middle = node;
        if (front > 0) {
            setSize(node, front, from);
            attach(node, from);
            middle = newNode(place, byteSize, to);
            linkAfter(middle, node);
        } else {
            setSize(node, byteSize, to);
        }
        if (back > 0) {
            int rest = newNode(place + byteSize, back, from);
            linkAfter(rest, middle);
            attach(rest, from);
        }
        int prev = link(middle, PREV);
        if (prev >= 0 && stateOf(prev) == to) {
            detach(prev);
            setSize(prev, size(prev) + size(middle), to);
            unlink(middle);
            middle = prev;
        }
        int next = link(middle, NEXT);
        if (next >= 0 && stateOf(next) == to) {
            detach(next);
            setSize(middle, size(middle) + size(next), to);
            unlink(next);
        }
        attach(middle, to);
    }

    // ---- walks

    /**
     * Shows the free ranges of at least a given size, larger bins first. Linear in the ranges of that size.
     *
     * @param minBytes the smallest size to show, in bytes; 0 for all
     * @param visitor sees each range once
     */
    public void forEachFreeRange(long minBytes, RangeVisitor visitor) {
        int lowest = minBytes <= granule ? 0 : binOf(Math.min(minBytes, MAX_CAPACITY) & -granule);
        for (int bin = topBin(); bin >= lowest; bin--) {
            for (int node = heads[bin]; node >= 0; node = link(node, LIST_NEXT)) {
                if (size(node) >= minBytes) {
                    visitor.visit(regionOf(node), offsetOf(node), size(node));
                }
            }
        }
    }

    /**
     * Shows the runs of wholly free pages: what {@link #decommit} may take. Larger bins come first.
     *
     * @param pageSize the unit in which the driver commits, in bytes: a power of two, at least the granule
     * @param visitor sees each run once, from page boundary to page boundary
     * @throws IllegalArgumentException if {@code pageSize} is not such a value
     */
    public void forEachFreePageRun(long pageSize, RangeVisitor visitor) {
        requirePage(pageSize);
        forEachFreeRange(pageSize, (region, byteOffset, byteSize) -> {
            long start = alignUp(byteOffset, pageSize);
            long end = (byteOffset + byteSize) & -pageSize;
            if (start < end) {
                visitor.visit(region, start, end - start);
            }
        });
    }

    /** Sees one range of a walk that need not go on to the end. It must not change the allocator. */
    @FunctionalInterface
    public interface RangeSearch {
        /**
         * Called once for each range.
         *
         * @param region the region the range lies in
         * @param byteOffset where it starts in the region, in bytes
         * @param byteSize its size in bytes
         * @return whether to go on
         */
        boolean visit(int region, long byteOffset, long byteSize);
    }

    /**
     * As {@link #forEachFreePageRun}, but smaller bins come first, and the walk ends where the visitor wants no more.
     *
     * @param pageSize the unit in which the driver commits, in bytes: a power of two, at least the granule
     * @param search sees each run once, until it returns false
     * @throws IllegalArgumentException if {@code pageSize} is not such a value
     */
    public void searchFreePageRuns(long pageSize, RangeSearch search) {
        requirePage(pageSize);
        int lowest = binOf(pageSize);
        boolean more = true;
        for (int bin = heads[lowest] < 0 ? binAbove(lowest) : lowest; more && bin >= 0; bin = binAbove(bin)) {
            for (int node = heads[bin]; more && node >= 0; node = link(node, LIST_NEXT)) {
                long start = alignUp(offsetOf(node), pageSize);
                long end = (offsetOf(node) + size(node)) & -pageSize;
                more = start >= end || search.visit(regionOf(node), start, end - start);
            }
        }
    }

    /**
     * Shows the holes, in no particular order.
     *
     * @param visitor sees each hole once
     */
    public void forEachHole(RangeVisitor visitor) {
        for (int node = holes; node >= 0; node = link(node, LIST_NEXT)) {
            visitor.visit(regionOf(node), offsetOf(node), size(node));
        }
    }

    /**
     * Shows the parts of holes that lie in one range, in no particular order.
     *
     * @param region the region to look at
     * @param byteOffset start of the range in bytes
     * @param byteSize size of the range in bytes
     * @param visitor sees each hole that overlaps the range once, cut to the range
     * @throws IllegalArgumentException if there is no such region, or the range does not lie in it
     */
    public void forEachHole(int region, long byteOffset, long byteSize, RangeVisitor visitor) {
        requireRange(region, byteOffset, byteSize);
        for (int node = holes; node >= 0; node = link(node, LIST_NEXT)) {
            long start = Math.max(byteOffset, offsetOf(node));
            long end = Math.min(byteOffset + byteSize, offsetOf(node) + size(node));
            if (regionOf(node) == region && start < end) {
                visitor.visit(region, start, end - start);
            }
        }
    }

    /**
     * Shows the allocations, region by region, by ascending offset.
     *
     * @param visitor sees each allocation once
     */
    public void forEachAllocation(RangeVisitor visitor) {
        for (int region = 0; region < regionLimit; region++) {
            int first = regionSizes[region] == 0 ? NONE : regionFirst[region];
            for (int node = first; node >= 0; node = link(node, NEXT)) {
                if (stateOf(node) == USED) {
                    visitor.visit(region, offsetOf(node), size(node));
                }
            }
        }
    }

    /**
     * Shows the allocations and free ranges among some nodes, so that a long walk can be cut into steps. Between two steps the
     * allocator may change; what changes may then be missed or seen twice.
     *
     * @param from the first node: 0, or what the step before returned
     * @param count how many nodes to look at, at least 1
     * @param visitor sees each allocation and free range among them
     * @return where the next step begins, or {@link #NONE} if that was the last one
     */
    public int visitNodes(int from, int count, NodeVisitor visitor) {
        int end = (int) Math.min(nodeLimit, (long) from + count);
        for (int node = from; node < end; node++) {
            int state = stateOf(node);
            if (state == USED || state == FREE) {
                visitor.visit(node, state == USED, size(node));
            }
        }
        return end < nodeLimit ? end : NONE;
    }

    // ---- totals

    /**
     * The unit of every range.
     *
     * @return bytes, a power of two
     */
    public long granule() {
        return granule;
    }

    /**
     * The bytes that allocations hold.
     *
     * @return granted bytes of all regions
     */
    public long usedBytes() {
        return Math.max(0, capacity - holeBytes - free);
    }

    /**
     * The bytes that could be handed out, fragmentation aside.
     *
     * @return free bytes of all regions, holes not included
     */
    public long freeBytes() {
        return free;
    }

    /**
     * The bytes that are reserved but not committed.
     *
     * @return bytes in holes of all regions
     */
    public long holeBytes() {
        return holeBytes;
    }

    /**
     * The size of all regions: used, free and hole bytes together.
     *
     * @return bytes, at most {@link #MAX_CAPACITY}
     */
    public long capacity() {
        return capacity;
    }

    /**
     * The number of allocations in use.
     *
     * @return allocations not yet freed
     */
    public long allocationCount() {
        return allocations;
    }

    /**
     * The number of free ranges. Walks them.
     *
     * @return free ranges of all regions; 0 if nothing is free
     */
    public int freeRangeCount() {
        int count = 0;
        for (int bin = topBin(); bin >= 0; bin--) {
            for (int node = heads[bin]; node >= 0; node = link(node, LIST_NEXT)) {
                count++;
            }
        }
        return count;
    }

    /**
     * The number of holes.
     *
     * @return holes of all regions
     */
    public int holeCount() {
        return holeCount;
    }

    /**
     * The largest free range, exactly. Walks the ranges of the highest bin in use.
     *
     * @return bytes; 0 if nothing is free
     */
    public long largestFree() {
        long largest = 0;
        int bin = topBin();
        for (int node = bin < 0 ? NONE : heads[bin]; node >= 0; node = link(node, LIST_NEXT)) {
            largest = Math.max(largest, size(node));
        }
        return largest;
    }

    // ---- bins

    /**
     * The bin of a size. With u granules less one and s = max(0, floor(log2 u) - 5) this is 32 s + (u >> s): sizes up to 64
     * granules have a bin each, and from there on every doubling has 32. A power of two is the largest size of its bin, so
     * that a whole region of such a size keeps its bin when a little is taken from it.
     */
    private int binOf(long size) {
        long units = (size - 1) >>> granuleShift;
        int shift = 63 - LEVEL_BITS - Long.numberOfLeadingZeros(units | BINS_PER_LEVEL);
        return (shift << LEVEL_BITS) + (int) (units >>> shift);
    }

    /** The lowest non-empty bin above this one, or NONE. Every range there is larger than any size of this bin. */
    private int binAbove(int bin) {
        int level = bin >>> LEVEL_BITS;
        int map = binMaps[level] & (-2 << (bin & (BINS_PER_LEVEL - 1)));
        if (map == 0) {
            long levels = levelMap & (-2L << level);
            if (levels == 0) {
                return NONE;
            }
            level = Long.numberOfTrailingZeros(levels);
            map = binMaps[level];
        }
        return (level << LEVEL_BITS) + Integer.numberOfTrailingZeros(map);
    }

    private int headAbove(int bin) {
        int above = binAbove(bin);
        return above < 0 ? NONE : heads[above];
    }

    private int topBin() {
        if (levelMap == 0) {
            return NONE;
        }
        int level = 63 - Long.numberOfLeadingZeros(levelMap);
        return (level << LEVEL_BITS) + 31 - Integer.numberOfLeadingZeros(binMaps[level]);
    }

    /** Walks the bins from one to another, both included, for a range that fits. */
    private int searchBins(int from, int to, long size, long alignment) {
        for (int bin = from; bin >= 0 && bin <= to; bin = binAbove(bin)) {
            for (int node = heads[bin]; node >= 0; node = link(node, LIST_NEXT)) {
                if (fits(node, size, alignment)) {
                    return node;
                }
            }
        }
        return NONE;
    }

    private boolean fits(int node, long size, long alignment) {
        long offset = offsetOf(node);
        return alignUp(offset, alignment) - offset + size <= size(node);
    }

    private void insertFree(int node, int bin) {
        int head = heads[bin];
        words[at(node) + (LIST_PREV >> 1)] = pair(NONE, head);
        heads[bin] = node;
        if (head >= 0) {
            setLink(head, LIST_PREV, node);
        } else {
            binMaps[bin >>> LEVEL_BITS] |= 1 << (bin & (BINS_PER_LEVEL - 1));
            levelMap |= 1L << (bin >>> LEVEL_BITS);
        }
    }

    private void removeFree(int node, int bin) {
        int prev = link(node, LIST_PREV);
        int next = link(node, LIST_NEXT);
        if (next >= 0) {
            setLink(next, LIST_PREV, prev);
        }
        if (prev >= 0) {
            setLink(prev, LIST_NEXT, next);
        } else {
            heads[bin] = next;
            if (next < 0) {
                int level = bin >>> LEVEL_BITS;
                int map = binMaps[level] & ~(1 << (bin & (BINS_PER_LEVEL - 1)));
                binMaps[level] = map;
                if (map == 0) {
                    levelMap &= ~(1L << level);
                }
            }
        }
    }

    private void moveFree(int node, int from, int to) {
        if (from != to) {
            removeFree(node, from);
            insertFree(node, to);
        }
    }

    /** Puts a free range into its bin, or a hole into the list of holes. */
    private void attach(int node, int state) {
        if (state == FREE) {
            insertFree(node, binOf(size(node)));
            return;
        }
        setLink(node, LIST_NEXT, holes);
        setLink(node, LIST_PREV, NONE);
        if (holes >= 0) {
            setLink(holes, LIST_PREV, node);
        }
        holes = node;
        holeCount++;
    }

    private void detach(int node) {
        if (stateOf(node) == FREE) {
            removeFree(node, binOf(size(node)));
            return;
        }
        int prev = link(node, LIST_PREV);
        int next = link(node, LIST_NEXT);
        if (next >= 0) {
            setLink(next, LIST_PREV, prev);
        }
        if (prev >= 0) {
            setLink(prev, LIST_NEXT, next);
        } else {
            holes = next;
        }
        holeCount--;
    }

    // ---- nodes

    private long offsetOf(int node) {
        return words[at(node) + PLACE] & OFFSET_MASK;
    }

    private int regionOf(int node) {
        return (int) (words[at(node) + PLACE] >>> OFFSET_BITS);
    }

    private long size(int node) {
        return words[at(node) + SPAN] >>> STATE_BITS;
    }

    private int stateOf(int node) {
        return (int) words[at(node) + SPAN] & STATE_MASK;
    }

    private void setSize(int node, long size, int state) {
        words[at(node) + SPAN] = size << STATE_BITS | state;
    }

    /** Where the words of a node begin, and those of all nodes before it end. */
    private static int at(int node) {
        return (node << NODE_SHIFT) + FIRST_WORD;
    }

    private int link(int node, int which) {
        long pair = words[at(node) + (which >> 1)];
        return (int) ((which & 1) == 0 ? pair >>> Integer.SIZE : pair);
    }

    private void setLink(int node, int which, int value) {
        int at = at(node) + (which >> 1);
        long pair = words[at];
        words[at] = (which & 1) == 0 ? pair(value, (int) pair) : pair((int) (pair >>> Integer.SIZE), value);
    }

    private static long pair(int upper, int lower) {
        return ((long) upper << Integer.SIZE) | (lower & LOWER_HALF);
    }

    private static long alignUp(long value, long alignment) {
        return (value + alignment - 1) & -alignment;
    }

    /** Puts a new node before another in address order. */
    private void linkBefore(int node, int next) {
        int prev = link(next, PREV);
        words[at(node) + (PREV >> 1)] = pair(prev, next);
        setLink(next, PREV, node);
        if (prev >= 0) {
            setLink(prev, NEXT, node);
        } else {
            regionFirst[regionOf(node)] = node;
        }
    }

    private void linkAfter(int node, int prev) {
        int next = link(prev, NEXT);
        setLink(node, PREV, prev);
        setLink(node, NEXT, next);
        setLink(prev, NEXT, node);
        if (next >= 0) {
            setLink(next, PREV, node);
        }
    }

    /** Takes a node out of the address order and releases it. */
    private void unlink(int node) {
        int prev = link(node, PREV);
        int next = link(node, NEXT);
        if (prev >= 0) {
            setLink(prev, NEXT, next);
        } else {
            regionFirst[regionOf(node)] = next;
        }
        if (next >= 0) {
            setLink(next, PREV, prev);
        }
        releaseNode(node);
    }

    private void releaseNode(int node) {
        words[at(node) + SPAN] = SPARE;
        setLink(node, LIST_NEXT, spares);
        spares = node;
    }

    /**
     * Takes a spare or a fresh node. It may have to make room, so it comes before any change: running out of heap leaves
     * the allocator as it was.
     */
    private int newNode(long place, long size, int state) {
        int node = spares;
        if (node >= 0) {
            spares = link(node, LIST_NEXT);
        } else {
            if (nodeLimit == nodeCapacity) {
                growNodes();
            }
            node = nodeLimit++;
        }
        words[at(node) + PLACE] = place;
        words[at(node) + SPAN] = size << STATE_BITS | state;
        return node;
    }

    /** Makes room for two nodes, where the second is taken after the first change. */
    private void ensureTwoNodes() {
        if (nodeCapacity - nodeLimit < 2 && (spares < 0 || link(spares, LIST_NEXT) < 0)) {
            growNodes();
        }
    }

    private void growNodes() {
        if (nodeCapacity == MAX_NODES) {
            throw new IllegalStateException("more than " + MAX_NODES + " ranges");
        }
        int wanted = Math.min(nodeCapacity * 2, MAX_NODES);
        WORDS.setRelease(this, Arrays.copyOf(words, at(wanted)));
        nodeCapacity = wanted;
    }

    private void growRegions() {
        int wanted = regionSizes.length * 2;
        long[] newSizes = Arrays.copyOf(regionSizes, wanted);
        int[] newFirst = Arrays.copyOf(regionFirst, wanted);
        regionHoles = Arrays.copyOf(regionHoles, wanted);
        regionSizes = newSizes;
        regionFirst = newFirst;
    }

    // ---- checks

    private void requireAllocated(int node) {
        if (node < 0 || node >= nodeLimit || ((int) words[at(node) + SPAN] & STATE_MASK) != USED) {
            throw new IllegalArgumentException("node " + node + " is not an allocation in use");
        }
    }

    private void requireRegion(int region) {
        if (region < 0 || region >= regionLimit || regionSizes[region] == 0) {
            throw new IllegalArgumentException("no region " + region);
        }
    }

    private void requireRange(int region, long byteOffset, long byteSize) {
        requireRegion(region);
        if (byteOffset < 0 || byteSize <= 0 || byteOffset > regionSizes[region] - byteSize) {
            throw new IllegalArgumentException("range of " + byteSize + " bytes at " + byteOffset + " must lie in the "
                    + regionSizes[region] + " bytes of region " + region);
        }
    }

    private void requirePage(long pageSize) {
        if (pageSize < granule || Long.bitCount(pageSize) != 1) {
            throw new IllegalArgumentException("page size must be a power of two from " + granule + ": " + pageSize);
        }
    }

    private int requireInside(int region, long byteOffset, long byteSize, int state) {
        requireRange(region, byteOffset, byteSize);
        if (((byteOffset | byteSize) & (granule - 1)) != 0) {
            throw new IllegalArgumentException(
                    "range of " + byteSize + " bytes at " + byteOffset + " must be in multiples of " + granule);
        }
        int bin = state == HOLE ? NONE : binOf(byteSize);
        if (bin >= 0 && heads[bin] < 0) {
            bin = binAbove(bin);
        }
        int node = state == HOLE ? holes : bin < 0 ? NONE : heads[bin];
        while (node >= 0) {
            long start = offsetOf(node);
            if (regionOf(node) == region && start <= byteOffset && byteOffset + byteSize <= start + size(node)) {
                return node;
            }
            node = link(node, LIST_NEXT);
            if (node < 0 && bin >= 0) {
                bin = binAbove(bin);
                node = bin < 0 ? NONE : heads[bin];
            }
        }
        throw new IllegalArgumentException("range of " + byteSize + " bytes at " + byteOffset + " of region " + region
                + " is not inside one " + nameOf(state));
    }

    private static IllegalArgumentException badRequest(long bytes, long alignment) {
        return new IllegalArgumentException(
                bytes <= 0
                        ? "size must be 1 to " + Long.MAX_VALUE + " bytes: " + bytes
                        : "alignment must be a power of two from 1 to 2^62: " + alignment);
    }

    private static String nameOf(int state) {
        return switch (state) {
            case FREE -> "free range";
            case USED -> "allocation";
            case HOLE -> "hole";
            default -> "spare node";
        };
    }

    /**
     * Walks everything and compares it: ranges cover each region without gap or overlap, neighbours are merged, each free
     * range is in its bin, bitmaps and totals agree. Linear in the ranges; for tests and reports.
     *
     * @throws IllegalStateException naming the first thing that is wrong
     */
    public void validate() {
        int[] counts = new int[STATE_MASK + 1];
        long[] sums = new long[STATE_MASK + 1];
        int regions = 0;
        for (int region = 0; region < regionLimit; region++) {
            if (regionSizes[region] != 0) {
                regions++;
                validateRegion(region, counts, sums);
            }
        }
        expect("regions", regions, regionCount);
        expect("free bytes", sums[FREE], free);
        expect("hole bytes", sums[HOLE], holeBytes);
        expect("capacity", sums[USED] + sums[FREE] + sums[HOLE], capacity);
        expect("allocations", counts[USED], allocations);
        expect("holes", counts[HOLE], holeCount);
        int binned = 0;
        for (int bin = 0; bin < heads.length; bin++) {
            int level = bin >>> LEVEL_BITS;
            boolean marked = (binMaps[level] & 1 << (bin & (BINS_PER_LEVEL - 1))) != 0;
            check(
                    marked == heads[bin] >= 0,
                    "bin",
                    bin,
                    marked ? "is marked but empty" : "is not marked but holds ranges");
            check((levelMap >>> level & 1) == (binMaps[level] != 0 ? 1 : 0), "level", level, "is marked wrongly");
            binned += validateList(heads[bin], FREE, bin, counts[FREE]);
        }
        expect("ranges in bins", binned, counts[FREE]);
        expect("holes in their list", validateList(holes, HOLE, NONE, counts[HOLE]), counts[HOLE]);
        int spareCount = 0;
        for (int node = spares; node >= 0; node = link(node, LIST_NEXT)) {
            check(stateOf(node) == SPARE, "spare node", node, "is in use");
            check(++spareCount <= nodeLimit, "spare node", node, "is in a circle");
        }
        expect("nodes", (long) counts[USED] + counts[FREE] + counts[HOLE] + spareCount, nodeLimit);
    }

    private void validateRegion(int region, int[] counts, long[] sums) {
        long at = 0;
        long holesHere = 0;
        int prev = NONE;
        int prevState = USED;
        for (int node = regionFirst[region]; node >= 0; node = link(node, NEXT)) {
            int state = stateOf(node);
            long size = size(node);
            check(state != SPARE, "node", node, "is spare but in the order of region " + region);
            check(regionOf(node) == region, "node", node, "is in the order of region " + region + " but not of it");
            check(link(node, PREV) == prev, "node", node, "does not point back to " + prev);
            check(offsetOf(node) == at, "node", node, "starts at " + offsetOf(node) + " where " + at + " was expected");
            check(size > 0 && (size & (granule - 1)) == 0, "node", node, "has a size of " + size + " bytes");
            check(
                    state == USED || state != prevState,
                    "node",
                    node,
                    "is a " + nameOf(state) + " unmerged with " + prev);
            counts[state]++;
            sums[state] += size;
            holesHere += state == HOLE ? size : 0;
            at += size;
            check(at <= regionSizes[region], "node", node, "reaches beyond region " + region);
            prev = node;
            prevState = state;
        }
        expect("end of region " + region, at, regionSizes[region]);
        expect("hole bytes of region " + region, holesHere, regionHoles[region]);
    }

    private int validateList(int head, int state, int bin, int limit) {
        int count = 0;
        int prev = NONE;
        for (int node = head; node >= 0; node = link(node, LIST_NEXT)) {
            check(stateOf(node) == state, "node", node, "is no " + nameOf(state) + " but in a list of them");
            check(bin < 0 || binOf(size(node)) == bin, "node", node, "is in bin " + bin + ", not in its own");
            check(link(node, LIST_PREV) == prev, "node", node, "does not point back to " + prev + " in its list");
            check(++count <= limit, "node", node, "is in a circle");
            prev = node;
        }
        return count;
    }

    private static void check(boolean right, String what, int which, String wrong) {
        if (!right) {
            throw new IllegalStateException(what + " " + which + " " + wrong);
        }
    }

    private static void expect(String what, long counted, long kept) {
        if (counted != kept) {
            throw new IllegalStateException(what + ": counted " + counted + ", kept " + kept);
        }
    }
}
