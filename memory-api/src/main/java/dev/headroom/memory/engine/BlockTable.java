package dev.headroom.memory.engine;

import dev.headroom.memory.spi.DriverBlock;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The blocks of a heap by their regions: how much of each is backed by memory, and what of it is idle for how long. Not
 * thread-safe: the {@link BlockList} holds its lock.
 */
final class BlockTable {

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

    /** A region's block. */
    static final class Block {
        private final DriverBlock memory;
        private final boolean range;
        /** A free range of this size may be given back. */
        private final long idleFromBytes;

        private final IdleAges ages;
        private long heldBytes;

        private Block(DriverBlock memory, boolean range, long idleFromBytes, IdleAges ages) {
            this.memory = memory;
            this.range = range;
            this.idleFromBytes = idleFromBytes;
            this.ages = ages;
        }

        /** A raw allocation, which goes back as a whole. */
        static Block ofAllocation(DriverBlock memory, long byteSize, long nowNanos) {
            return new Block(memory, false, byteSize, IdleAges.ofBlock(nowNanos));
        }

        /** A reserved range, which is backed and goes back page by page. */
        static Block ofRange(DriverBlock memory, long byteSize, long pageBytes) {
            return new Block(memory, true, pageBytes, IdleAges.ofRange(byteSize, pageBytes, 0));
        }

        DriverBlock memory() {
            return memory;
        }

        boolean isRange() {
            return range;
        }

        long heldBytes() {
            return heldBytes;
        }

        IdleAges ages() {
            return ages;
        }

        /** Whether a free range of this size may contain something that could be given back. */
        boolean isIdleFrom(long freeBytes) {
            return freeBytes >= idleFromBytes;
        }
    }

    private final Tlsf tlsf;
    private final long unit;
    /** By region; null where a region is not in use. */
    private final List<@Nullable Block> blocks = new ArrayList<>();

    /** Regions that were left idle by a free since somebody looked, whole blocks among them; so that a look is not at all blocks. */
    private final BitSet leftIdle = new BitSet();

    private long heldBytes;

    /**
     * An empty table.
     *
     * @param tlsf the regions
     * @param unit what sizes and places of pieces are multiples of
     */
    BlockTable(Tlsf tlsf, long unit) {
        this.tlsf = tlsf;
        this.unit = unit;
    }

    void add(int region, Block block) {
        while (blocks.size() <= region) {
            blocks.add(null);
        }
        blocks.set(region, block);
    }

    Block get(int region) {
        return Objects.requireNonNull(blocks.get(region));
    }

    Block remove(int region) {
        Block block = get(region);
        blocks.set(region, null);
        leftIdle.clear(region);
        heldBytes -= block.heldBytes;
        return block;
    }

    /** A free left something idle there. */
    void leftIdle(int region) {
        leftIdle.set(region);
    }

    /** More of a region is backed, or less. */
    void book(int region, long bytes) {
        get(region).heldBytes += bytes;
        heldBytes += bytes;
    }

    /** What is backed in all regions. */
    long heldBytes() {
        return heldBytes;
    }

    List<Block> all() {
        List<Block> all = new ArrayList<>();
        for (Block block : blocks) {
            if (block != null) {
                all.add(block);
            }
        }
        return all;
    }

    void clear() {
        blocks.clear();
        leftIdle.clear();
        heldBytes = 0;
    }

    /** Idle memory that could be given back. */
    long idleBytes() {
        long bytes = 0;
        for (int region : idleBlocks(Long.MAX_VALUE, IdleAges.Due.ANY)) {
            bytes += get(region).heldBytes;
        }
        for (Piece piece : idlePieces(Long.MAX_VALUE, IdleAges.Due.ANY)) {
            bytes += piece.byteSize();
        }
        return bytes;
    }

    /** How long a part of that has been idle, at most; 0 if there is none. */
    long longestIdleNanos(long nowNanos) {
        long longest = 0;
        for (int region : idleBlocks(Long.MAX_VALUE, IdleAges.Due.ANY)) {
            Block block = get(region);
            longest = Math.max(longest, block.ages.longestNanos(0, block.heldBytes, nowNanos));
        }
        for (Piece piece : idlePieces(Long.MAX_VALUE, IdleAges.Due.ANY)) {
            IdleAges ages = get(piece.region()).ages;
            longest = Math.max(longest, ages.longestNanos(piece.byteOffset(), piece.byteSize(), nowNanos));
        }
        return longest;
    }

    /** Regions of wholly idle blocks that are due, until there are enough bytes. */
    List<Integer> idleBlocks(long wantedBytes, IdleAges.Due due) {
        List<Integer> regions = new ArrayList<>();
        long[] found = {0};
        for (int region = 0; region < blocks.size() && found[0] < wantedBytes; region++) {
            Block block = blocks.get(region);
            if (block != null && !block.range && tlsf.isRegionFree(region)) {
                int idle = region;
                block.ages.forEachDue(0, block.heldBytes, due, (_, byteSize) -> {
                    regions.add(idle);
                    found[0] += byteSize;
                });
            }
        }
        return regions;
    }

    /**
     * Idle pieces of ranges that are due, until there are enough bytes; of each run the upper end, so that what is left lies
     * together.
     */
    List<Piece> idlePieces(long wantedBytes, IdleAges.Due due) {
        List<Piece> pieces = new ArrayList<>();
        long[] found = {0};
        tlsf.forEachFreePageRun(unit, (region, runOffset, runSize) -> {
            Block block = get(region);
            if (block.range && found[0] < wantedBytes) {
                block.ages.forEachDue(runOffset, runSize, due, (offset, size) -> {
                    long part = Math.min(size, GrowthPolicy.roundUp(Math.max(0, wantedBytes - found[0]), unit));
                    if (part > 0) {
                        pieces.add(new Piece(region, block.memory, offset + size - part, part, Tlsf.NONE));
                        found[0] += part;
                    }
                });
            }
        });
        return pieces;
    }

    /**
     * How much of what lies idle may go back before a growth.
     *
     * @param wantedBytes what makes the growth up, or what there is credit for
     * @param keptBytes   how much idle memory stays
     * @param leastBytes  without so much the growth is refused, and what goes back has gone in vain
     */
    record Movable(long wantedBytes, long keptBytes, long leastBytes) {

        static final Movable NOTHING = new Movable(0, 0, 0);

        long of(long idleBytes) {
            long bytes = Math.min(wantedBytes, Math.max(0, idleBytes - keptBytes));
            return bytes < leastBytes ? 0 : bytes;
        }
    }

    /**
     * Wholly idle blocks that may go back: of the first that are enough the largest first, which takes the fewest calls. Looks
     * at no more than go back.
     */
    List<Integer> movableBlocks(Movable movable) {
        List<Integer> idle = new ArrayList<>();
        long idleBytes = 0;
        for (int region = leftIdle.nextSetBit(0);
                region >= 0 && idleBytes - movable.keptBytes() < movable.wantedBytes();
                region = leftIdle.nextSetBit(region + 1)) {
            if (!get(region).range && tlsf.isRegionFree(region)) {
                idle.add(region);
                idleBytes += get(region).heldBytes;
            } else {
                leftIdle.clear(region);
            }
        }
        idle.sort(Comparator.comparingLong((Integer region) -> get(region).heldBytes)
                .reversed());
        List<Integer> regions = new ArrayList<>();
        long left = movable.of(idleBytes);
        for (int region : idle) {
            if (left > 0 && idleBytes - get(region).heldBytes >= movable.keptBytes()) {
                regions.add(region);
                left -= get(region).heldBytes;
                idleBytes -= get(region).heldBytes;
            }
        }
        return regions;
    }

    /**
     * Idle pages of ranges that may go back before a growth, which itself needs those beside its own place. Shorter runs first,
     * for they are the least likely to serve anybody else; of the last one the upper end. Looks at no more than go back.
     */
    List<Piece> movablePieces(Tlsf.Growth growth, Movable movable) {
        List<Piece> idle = new ArrayList<>();
        long[] idleBytes = {0};
        tlsf.searchFreePageRuns(unit, (region, runOffset, runSize) -> {
            Block block = get(region);
            boolean beside = region == growth.region()
                    && runOffset <= growth.byteOffset() + growth.byteSize()
                    && growth.byteOffset() <= runOffset + runSize;
            if (block.range && !beside) {
                idle.add(new Piece(region, block.memory, runOffset, runSize, Tlsf.NONE));
                idleBytes[0] += runSize;
            }
            return idleBytes[0] - movable.keptBytes() < movable.wantedBytes();
        });
        List<Piece> pieces = new ArrayList<>();
        long left = movable.of(idleBytes[0]) / unit * unit;
        for (Piece run : idle) {
            long part = Math.min(run.byteSize(), left);
            if (part > 0) {
                long offset = run.byteOffset() + run.byteSize() - part;
                pieces.add(new Piece(run.region(), run.memory(), offset, part, Tlsf.NONE));
                left -= part;
            }
        }
        return pieces;
    }
}
