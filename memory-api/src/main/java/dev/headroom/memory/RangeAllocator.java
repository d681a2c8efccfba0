package dev.headroom.memory;

import dev.headroom.memory.engine.Tlsf;
import java.util.Arrays;

/**
 * Divides a <em>range</em> of bytes into allocations that do not overlap, without touching any memory: bookkeeping for a
 * part of a file, a buffer of another library, a texture heap, a staging ring. It uses the algorithm of Headroom's own
 * pools, two-level segregated fit: allocating and freeing take constant time and create no garbage.
 *
 * <p>The range starts at offset 0. Every size is rounded up to the <em>granule</em>, and neighbouring free ranges are always
 * merged. A request succeeds whenever some free range can hold it; only a request that fails, or nearly does, may cost time
 * linear in the free ranges of about its size.
 *
 * <p>An allocation is named by a {@code long} id. An id that was freed is refused: its slot must have been reused 2<sup>31</sup>
 * times before an old id could be taken for a new one. Ids are never negative, so {@link #NONE} is none of them.
 *
 * <p>An allocator lives as long as it is referenced; there is nothing to close. It is not thread-safe: calls from several
 * threads need a lock around them. A method that throws has changed nothing.
 *
 * {@snippet :
 * RangeAllocator ranges = RangeAllocator.of(64L << 20);
 * long weights = ranges.allocate(10_000_000, 4096);
 * if (weights == RangeAllocator.NONE) {
 *     throw new IllegalStateException("largest free range: " + ranges.largestFreeBytes());
 * }
 * long start = ranges.offset(weights); // a multiple of 4096
 * ranges.free(weights);
 * }
 */
public final class RangeAllocator {
    /** What {@link #allocate} returns when no free range can hold the request. */
    public static final long NONE = -1;

    /** The granule where none is named, in bytes. */
    public static final long DEFAULT_GRANULE = Tlsf.DEFAULT_GRANULE;

    /** The largest range, in bytes (128 TiB). */
    public static final long MAX_BYTES = Tlsf.MAX_CAPACITY;

    private final Tlsf tlsf;

    /** For each node of the engine how often it was freed: the upper half of the id. */
    private int[] generations = new int[64];

    private RangeAllocator(long byteSize, long granule) {
        tlsf = new Tlsf(granule);
        if (byteSize < granule || byteSize > MAX_BYTES || byteSize % granule != 0) {
            throw new IllegalArgumentException("size of the range must be a multiple of the granule " + granule
                    + " from " + granule + " to " + MAX_BYTES + " bytes: " + byteSize);
        }
        int region = tlsf.addRegion(byteSize);
        assert region == 0;
    }

    /**
     * Creates an allocator over a range, with a granule of {@value #DEFAULT_GRANULE} bytes.
     *
     * @param byteSize the size of the range in bytes: a multiple of {@value #DEFAULT_GRANULE}, up to {@link #MAX_BYTES}
     * @return an allocator whose whole range is free
     * @throws IllegalArgumentException if {@code byteSize} is not such a value
     */
    public static RangeAllocator of(long byteSize) {
        return new RangeAllocator(byteSize, DEFAULT_GRANULE);
    }

    /**
     * Creates an allocator over a range.
     *
     * @param byteSize the size of the range in bytes: a multiple of {@code granule}, up to {@link #MAX_BYTES}
     * @param granule the unit of every size and offset in bytes: a power of two, 1 to 2<sup>30</sup>
     * @return an allocator whose whole range is free
     * @throws IllegalArgumentException if an argument is not such a value
     */
    public static RangeAllocator of(long byteSize, long granule) {
        return new RangeAllocator(byteSize, granule);
    }

    /**
     * Takes a part of the range.
     *
     * @param bytes the size wanted in bytes, at least 1; more than the range holds is a request that fails, not an error
     * @param alignment what the offset must be a multiple of, in bytes: a power of two, 1 to 2<sup>62</sup>
     * @return the id of the allocation, or {@link #NONE} if no free range can hold it
     * @throws IllegalArgumentException if an argument is out of its range
     */
    public long allocate(long bytes, long alignment) {
        int node = tlsf.allocate(bytes, alignment);
        if (node < 0) {
            return NONE;
        }
        if (node >= generations.length) {
            growGenerations(node);
        }
        return (long) generations[node] << Integer.SIZE | node;
    }

    /**
     * Where an allocation starts.
     *
     * @param id what {@link #allocate} returned
     * @return bytes from the start of the range: a multiple of the alignment asked for
     * @throws IllegalArgumentException if {@code id} is not an allocation in use
     */
    public long offset(long id) {
        return tlsf.offset(nodeOf(id));
    }

    /**
     * How large an allocation is.
     *
     * @param id what {@link #allocate} returned
     * @return granted bytes: the size asked for, rounded up to the granule
     * @throws IllegalArgumentException if {@code id} is not an allocation in use
     */
    public long byteSize(long id) {
        return tlsf.byteSize(nodeOf(id));
    }

    /**
     * Gives an allocation back. Its id is refused from then on.
     *
     * @param id what {@link #allocate} returned
     * @throws IllegalArgumentException if {@code id} is not an allocation in use, for one because it was freed before
     */
    public void free(long id) {
        int node = nodeOf(id);
        tlsf.free(node);
        retire(node);
    }

    /** Gives all allocations back. Every id handed out so far is refused from then on. Linear in the allocations made. */
    public void clear() {
        for (int node = 0; node < generations.length; node++) {
            if (tlsf.isAllocated(node)) {
                tlsf.free(node);
                retire(node);
            }
        }
    }

    /**
     * The size of the range.
     *
     * @return bytes: {@link #usedBytes} and {@link #freeBytes} together
     */
    public long capacity() {
        return tlsf.capacity();
    }

    /**
     * The unit of every size and offset.
     *
     * @return bytes, a power of two
     */
    public long granule() {
        return tlsf.granule();
    }

    /**
     * The bytes that allocations hold.
     *
     * @return granted bytes, rounding included
     */
    public long usedBytes() {
        return tlsf.usedBytes();
    }

    /**
     * The bytes that no allocation holds. They need not be in one piece: see {@link #largestFreeBytes}.
     *
     * @return free bytes
     */
    public long freeBytes() {
        return tlsf.freeBytes();
    }

    /**
     * The largest request that would succeed now, at an alignment up to the granule. Linear in the free ranges of about this
     * size.
     *
     * @return bytes of the largest free range; 0 if the range is full
     */
    public long largestFreeBytes() {
        return tlsf.largestFree();
    }

    /**
     * The number of allocations in use.
     *
     * @return allocations made and not freed
     */
    public long allocationCount() {
        return tlsf.allocationCount();
    }

    /**
     * The number of pieces the free bytes are in. Linear in that number.
     *
     * @return free ranges; 0 if the range is full
     */
    public int freeRangeCount() {
        return tlsf.freeRangeCount();
    }

    /**
     * The share of the free bytes that lies outside the largest free range.
     *
     * @return 0 where all free bytes are in one piece or nothing is free, towards 1 the more they are scattered
     */
    public double fragmentation() {
        long free = freeBytes();
        return free == 0 ? 0 : 1 - (double) largestFreeBytes() / free;
    }

    /**
     * Checks the whole bookkeeping: nothing overlaps, free neighbours are merged, totals agree. Linear in the allocations
     * and free ranges; for tests and for suspicion.
     *
     * @throws IllegalStateException naming the first thing that is wrong: a defect of this class, or of the lock around it
     */
    public void validate() {
        tlsf.validate();
    }

    private int nodeOf(long id) {
        int node = (int) id;
        if (node < 0
                || node >= generations.length
                || generations[node] != (int) (id >>> Integer.SIZE)
                || !tlsf.isAllocated(node)) {
            throw new IllegalArgumentException("id " + id + " is not an allocation in use");
        }
        return node;
    }

    /** Makes the next id of this node differ from the ones before, and stay positive. */
    private void retire(int node) {
        generations[node] = (generations[node] + 1) & Integer.MAX_VALUE;
    }

    private void growGenerations(int node) {
        try {
            generations = Arrays.copyOf(generations, Math.max(node + 1, generations.length * 2));
        } catch (OutOfMemoryError e) {
            tlsf.free(node);
            throw e;
        }
    }
}
