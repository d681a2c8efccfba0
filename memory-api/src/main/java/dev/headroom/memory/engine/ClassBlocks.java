package dev.headroom.memory.engine;

import dev.headroom.memory.HeapReport;
import dev.headroom.memory.PoolProfile;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Blocks of a few fixed sizes, carved out of a heap in slabs, each aligned to its block size. A slab is taken when a class needs
 * it and given back to the heap when memory is short and none of its blocks is in use. A block is named by an {@code int} below
 * {@link Tlsf#NONE}, so that it cannot be taken for a node of the heap.
 *
 * <p>Not thread-safe: the {@link BlockList} holds its lock.
 */
final class ClassBlocks {

    /** What a slab has, unless memory is short or a block is larger: few slabs, and little lost when one is not full. */
    private static final long SLAB_BYTES = 2L << 20;

    private static final int BLOCK_BITS = 11;
    private static final int BLOCK_MASK = (1 << BLOCK_BITS) - 1;
    private static final int MAX_SLABS = 1 << 19;
    private static final int FIRST_NAME = -2;

    /** Blocks of one size in one piece of the heap. */
    private static final class Slab {
        private final Size size;
        private final int node;
        private final int number;
        private final int blocks;
        private final BitSet used;
        private int inUse;

        private Slab(Size size, int node, int number, int blocks) {
            this.size = size;
            this.node = node;
            this.number = number;
            this.blocks = blocks;
            this.used = new BitSet(blocks);
        }

        private Slab copy(Size in) {
            Slab copy = new Slab(in, node, number, blocks);
            copy.used.or(used);
            copy.inUse = inUse;
            return copy;
        }
    }

    /** A class. */
    private static final class Size {
        private final PoolProfile.BlockClass plan;
        /** Slabs with a free block; the first is used first. */
        private final Deque<Slab> open = new ArrayDeque<>();

        private long reserved;
        private long inUse;

        private Size(PoolProfile.BlockClass plan) {
            this.plan = plan;
        }

        private long blockBytes() {
            return plan.blockBytes();
        }
    }

    private final Tlsf tlsf;
    /** An array, because going through a list makes an iterator each time. */
    private final Size[] sizes;

    private final List<@Nullable Slab> slabs = new ArrayList<>();
    private final BitSet spareNumbers = new BitSet();
    private final BitSet slabNodes = new BitSet();
    private long reservedBytes;
    private long usedBytes;
    private long blocksInUse;
    private int slabCount;

    /**
     * Classes without blocks yet.
     *
     * @param tlsf    where slabs come from
     * @param classes by ascending size
     */
    ClassBlocks(Tlsf tlsf, List<PoolProfile.BlockClass> classes) {
        this.tlsf = tlsf;
        this.sizes = classes.stream().map(Size::new).toArray(Size[]::new);
    }

    /** These classes in the same state, on a copy of their heap. */
    ClassBlocks copy(Tlsf heap) {
        ClassBlocks copy = new ClassBlocks(
                heap, Arrays.stream(sizes).map(size -> size.plan).toList());
        for (Slab slab : slabs) {
            copy.slabs.add(
                    slab == null
                            ? null
                            : slab.copy(copy.sizes[Arrays.asList(sizes).indexOf(slab.size)]));
        }
        for (int i = 0; i < sizes.length; i++) {
            Size size = copy.sizes[i];
            size.reserved = sizes[i].reserved;
            size.inUse = sizes[i].inUse;
            sizes[i].open.forEach(slab -> size.open.addLast(Objects.requireNonNull(copy.slabs.get(slab.number))));
        }
        copy.spareNumbers.or(spareNumbers);
        copy.slabNodes.or(slabNodes);
        copy.reservedBytes = reservedBytes;
        copy.usedBytes = usedBytes;
        copy.blocksInUse = blocksInUse;
        copy.slabCount = slabCount;
        return copy;
    }

    /** Whether a name is that of a block, not of a node. */
    static boolean isBlock(int name) {
        return name <= FIRST_NAME;
    }

    /** The number behind a block's name, 0 or more. */
    static int index(int name) {
        return FIRST_NAME - name;
    }

    /** Takes a block of the first class that has one; {@link Tlsf#NONE} if the heap has no room for a slab, or no class has one. */
    int take(long bytes, long alignment) {
        for (Size size : sizes) {
            if (fits(size, bytes, alignment) && size.inUse < size.plan.blocks()) {
                Slab slab = size.open.isEmpty() ? carve(size) : size.open.getFirst();
                return slab == null ? Tlsf.NONE : take(slab);
            }
        }
        return Tlsf.NONE;
    }

    /** Takes a block of a class, or else a range of the heap: its name or node, {@link Tlsf#NONE} if there is no room. */
    int takeAnywhere(long bytes, long alignment) {
        int name = take(bytes, alignment);
        if (name == Tlsf.NONE) {
            name = tlsf.allocate(bytes, alignment);
        }
        return name == Tlsf.NONE && releaseIdle() ? tlsf.allocate(bytes, alignment) : name;
    }

    /** Takes a block of any class that has one in a slab already. */
    int takeLarger(long bytes, long alignment) {
        for (Size size : sizes) {
            if (fits(size, bytes, alignment) && !size.open.isEmpty()) {
                return take(size.open.getFirst());
            }
        }
        return Tlsf.NONE;
    }

    /** Whether any class has blocks for such a request. */
    boolean serves(long bytes, long alignment) {
        return Arrays.stream(sizes).anyMatch(size -> fits(size, bytes, alignment));
    }

    /** Gives a block back. True if its slab is empty now. */
    boolean free(int name) {
        Slab slab = slab(name);
        slab.used.clear(blockOf(name));
        if (slab.inUse-- == slab.blocks) {
            slab.size.open.addFirst(slab);
        }
        slab.size.inUse--;
        usedBytes -= slab.size.blockBytes();
        blocksInUse--;
        return slab.inUse == 0;
    }

    /** Gives empty slabs back to the heap. True if there were any. */
    boolean releaseIdle() {
        boolean any = false;
        for (Size size : sizes) {
            for (Iterator<Slab> slabsOfSize = size.open.iterator(); slabsOfSize.hasNext(); ) {
                Slab slab = slabsOfSize.next();
                if (slab.inUse == 0) {
                    slabsOfSize.remove();
                    release(slab);
                    any = true;
                }
            }
        }
        return any;
    }

    long byteSize(int name) {
        return slab(name).size.blockBytes();
    }

    /** The node of the slab a block lies in. */
    int node(int name) {
        return slab(name).node;
    }

    /** Where a block begins in its slab. */
    long byteOffset(int name) {
        return blockOf(name) * slab(name).size.blockBytes();
    }

    /** Whether a node of the heap is a slab. */
    boolean isSlab(int node) {
        return slabNodes.get(node);
    }

    /** Bytes of the heap in slabs. */
    long reservedBytes() {
        return reservedBytes;
    }

    /** Bytes of these in blocks that are in use. */
    long usedBytes() {
        return usedBytes;
    }

    int slabCount() {
        return slabCount;
    }

    long blocksInUse() {
        return blocksInUse;
    }

    List<HeapReport.BlockClass> figures() {
        return Arrays.stream(sizes)
                .map(size -> new HeapReport.BlockClass(
                        size.plan.id(),
                        size.blockBytes(),
                        size.plan.blocks(),
                        size.inUse,
                        size.plan.blocks() - size.inUse,
                        size.reserved * size.blockBytes()))
                .toList();
    }

    /** Checks the books against themselves; for tests. */
    void validate() {
        long reserved = 0;
        long used = 0;
        for (Slab slab : slabs) {
            if (slab != null) {
                reserved += slab.blocks * slab.size.blockBytes();
                used += slab.inUse * slab.size.blockBytes();
                if (slab.used.cardinality() != slab.inUse || !slabNodes.get(slab.node)) {
                    throw new IllegalStateException("slab " + slab.number + " counts " + slab.inUse
                            + " blocks, but has " + slab.used.cardinality());
                }
                if (slab.size.open.contains(slab) == (slab.inUse == slab.blocks)) {
                    throw new IllegalStateException("slab " + slab.number + " is full and open, or neither");
                }
            }
        }
        if (reserved != reservedBytes || used != usedBytes) {
            throw new IllegalStateException("slabs have " + reserved + " bytes, " + used + " of them in use, but "
                    + reservedBytes + " and " + usedBytes + " are booked");
        }
    }

    private boolean fits(Size size, long bytes, long alignment) {
        return size.blockBytes() >= GrowthPolicy.roundUp(bytes, PoolProfile.ALIGNMENT_BYTES)
                && size.blockBytes() >= Math.max(alignment, tlsf.granule()); // where a kernel could bind it
    }

    private int take(Slab slab) {
        int block = slab.used.nextClearBit(0);
        slab.used.set(block);
        slab.inUse++;
        if (slab.inUse == slab.blocks) {
            slab.size.open.removeFirst();
        }
        slab.size.inUse++;
        usedBytes += slab.size.blockBytes();
        blocksInUse++;
        return FIRST_NAME - (slab.number << BLOCK_BITS | block);
    }

    /** Takes as large a slab as there is room for. */
    private @Nullable Slab carve(Size size) {
        int number = spareNumbers.isEmpty() ? slabs.size() : spareNumbers.nextSetBit(0);
        if (number == MAX_SLABS) {
            return null;
        }
        long most = Math.max(1, SLAB_BYTES / size.blockBytes());
        for (long blocks = Math.min(most, size.plan.blocks() - size.reserved); blocks > 0; blocks = fewer(blocks)) {
            int node = tlsf.allocate(blocks * size.blockBytes(), size.blockBytes());
            if (node != Tlsf.NONE) {
                Slab slab = new Slab(size, node, number, (int) blocks);
                if (number == slabs.size()) {
                    slabs.add(slab);
                } else {
                    slabs.set(number, slab);
                    spareNumbers.clear(number);
                }
                slabNodes.set(node);
                slabCount++;
                size.open.addFirst(slab);
                size.reserved += blocks;
                reservedBytes += blocks * size.blockBytes();
                return slab;
            }
        }
        return null;
    }

    /** A quarter, but one before none. */
    private static long fewer(long blocks) {
        return blocks == 1 ? 0 : Math.max(1, blocks / 4);
    }

    private void release(Slab slab) {
        tlsf.free(slab.node);
        slabNodes.clear(slab.node);
        slabCount--;
        slabs.set(slab.number, null);
        spareNumbers.set(slab.number);
        slab.size.reserved -= slab.blocks;
        reservedBytes -= slab.blocks * slab.size.blockBytes();
    }

    private Slab slab(int name) {
        return Objects.requireNonNull(slabs.get((FIRST_NAME - name) >> BLOCK_BITS));
    }

    private static int blockOf(int name) {
        return (FIRST_NAME - name) & BLOCK_MASK;
    }
}
