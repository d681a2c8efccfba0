package dev.headroom.memory;

import java.util.List;
import java.util.Objects;

/**
 * What a pool holds of one kind of memory. Immutable.
 *
 * <p>Every byte of a block is in a buffer, free, or set aside: {@code blockBytes = bufferBytes + freeBytes + asideBytes}. The
 * totals belong to one moment; the size classes and block classes were counted after it, in short steps, and differ from them
 * where other threads allocated meanwhile.
 *
 * @param kind             the kind
 * @param blocks           blocks from the driver; a reserved address range is one
 * @param blockBytes       bytes held from the driver
 * @param buffers          buffers that take up memory, closed ones whose work is pending included
 * @param bufferBytes      bytes of these, rounded up as they were granted
 * @param freeBytes        bytes free for any buffer
 * @param largestFreeBytes the largest free range, 0 if nothing is free
 * @param asideBytes       bytes no buffer can have now: unused blocks of block classes, and what is on its way back to the driver
 *                         or was not taken back
 * @param idleBytes        bytes that could be given back to the driver now: blocks, or pages of ranges, without a buffer
 * @param freeRanges       free ranges
 * @param sizeClasses      buffers and free ranges by size, in ascending order; sizes there are none of are left out
 * @param blockClasses     the classes of {@link PoolProfile#blockClasses}, by ascending size; empty for {@link PoolProfile#engine}
 */
public record HeapReport(
        MemoryKind kind,
        int blocks,
        long blockBytes,
        long buffers,
        long bufferBytes,
        long freeBytes,
        long largestFreeBytes,
        long asideBytes,
        long idleBytes,
        long freeRanges,
        List<SizeClass> sizeClasses,
        List<BlockClass> blockClasses) {

    /**
     * Buffers and free ranges of about one size.
     *
     * @param fromBytes   the smallest size counted here, a power of two; the largest is below twice that
     * @param buffers     buffers of such a size
     * @param bufferBytes bytes of these
     * @param freeRanges  free ranges of such a size
     * @param freeBytes   bytes of these
     */
    public record SizeClass(long fromBytes, long buffers, long bufferBytes, long freeRanges, long freeBytes) {}

    /**
     * A class of blocks of one size.
     *
     * @param id              its number, from 0
     * @param blockSize       bytes of each block
     * @param totalBlocks     blocks there may be
     * @param allocatedBlocks blocks in use
     * @param freeBlocks      blocks not in use: the others
     * @param reservedBytes   bytes taken from the heap for blocks of this class, in use or not
     */
    public record BlockClass(
            int id, long blockSize, long totalBlocks, long allocatedBlocks, long freeBlocks, long reservedBytes) {}

    /** A heap whose unused share is above this wastes memory; {@link PoolReport} says so. */
    public static final double UNUSED_SHARE_WARNING = 0.3;

    /** Copies the lists. */
    public HeapReport {
        Objects.requireNonNull(kind, "kind");
        sizeClasses = List.copyOf(sizeClasses);
        blockClasses = List.copyOf(blockClasses);
    }

    /**
     * How far the free bytes are from lying together: 1 - largest free range / free bytes.
     *
     * @return 0 if they are one range or there are none, towards 1 where they are many small ones
     */
    public double externalFragmentation() {
        return freeBytes == 0 ? 0 : 1 - (double) largestFreeBytes / freeBytes;
    }

    /**
     * The share of the held bytes that no buffer uses, idle blocks included: 1 - used / held.
     *
     * @return 0 to 1; 0 if nothing is held
     */
    public double unusedShare() {
        return blockBytes == 0 ? 0 : 1 - (double) bufferBytes / blockBytes;
    }

    /**
     * Whether {@link #unusedShare} is above {@link #UNUSED_SHARE_WARNING}.
     *
     * @return true if much of what is held is not used
     */
    public boolean warnsOfUnused() {
        return unusedShare() > UNUSED_SHARE_WARNING;
    }
}
