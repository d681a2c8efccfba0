package dev.headroom.memory;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletionStage;

/**
 * Blocks of one size on a device: the KV cache of a serving engine, whose thousands of equal blocks come and go with every step.
 * Made by {@link GpuMemoryPool#fixedBlocks(AllocationRequest, int, int)}. Thread-safe.
 *
 * {@snippet :
 * try (FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(64 << 10).tagged("kv cache"), 512)) {
 *     int block = blocks.allocate();                       // a number for the block table
 *     blocks.slab(block).write(blocks.byteOffset(block), values);
 *     blocks.free(block);
 * }
 * }
 *
 * <p>A block is named by its number, from 0 to {@link #maxBlocks} - 1. Blocks lie side by side in <em>slabs</em>, buffers of the
 * pool: block {@code n} in slab {@code n / blocksPerSlab}. A slab is taken when no block is free; it is given back by
 * {@link #shrink} once it is empty, which also happens by itself when the pool runs short. Partly used slabs are preferred, so
 * that others run empty.
 *
 * <p>Allocating and freeing take constant time and make no garbage; no thread waits for another, unless a slab has to be taken.
 * Contents of a block are undefined. A block that is freed twice or was never allocated is refused, and nothing has changed
 * then; a number that has been allocated again meanwhile is somebody else's, as with any number.
 *
 * <p><b>Work on a block.</b> {@link #free(int)} lets the next caller have the block at once. That is right for copies of
 * Headroom's, which are ordered by slab, and for kernels of one queue, which are done in order. What anything else may still use
 * is freed with {@link #freeAfter(NativeQueue, int...)} or {@link #freeAfter(CompletionStage, int...)}.
 */
public final class FixedBlockPool implements AutoCloseable {

    /** The most blocks a pool can have. */
    public static final int MAX_BLOCKS = 1 << 24;

    /** The most blocks of a slab. */
    public static final int MAX_BLOCKS_PER_SLAB = 1 << 16;

    /** The largest block, in bytes. */
    public static final long MAX_BLOCK_BYTES = 1L << 38;

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final String name;
    private final GpuMemoryPool pool;
    private final long blockBytes;
    private final int slabShift;
    private final int maxBlocks;
    private final BlockBits bits;
    private final PendingBlocks pending;
    private final BlockSlabs slabs;
    private final PressureListener listener;

    FixedBlockPool(GpuMemoryPool pool, AllocationRequest block, int blocksPerSlab, int maxBlocks) {
        this.pool = pool;
        this.blockBytes = block.byteSize();
        if (block.zero()) {
            throw new IllegalArgumentException("blocks are used again and again, and never cleared: fill them");
        }
        if (blockBytes % block.byteAlignment() != 0 || blockBytes > MAX_BLOCK_BYTES) {
            throw new IllegalArgumentException("byteSize is " + blockBytes + ": must be a multiple of the alignment "
                    + block.byteAlignment() + " up to " + MAX_BLOCK_BYTES);
        }
        if (blocksPerSlab < BlockWords.BLOCKS_PER_WORD
                || blocksPerSlab > MAX_BLOCKS_PER_SLAB
                || Integer.bitCount(blocksPerSlab) != 1) {
            throw new IllegalArgumentException("blocksPerSlab is " + blocksPerSlab + ": must be a power of two from "
                    + BlockWords.BLOCKS_PER_WORD + " to " + MAX_BLOCKS_PER_SLAB);
        }
        if (maxBlocks < blocksPerSlab || maxBlocks > MAX_BLOCKS || maxBlocks % blocksPerSlab != 0) {
            throw new IllegalArgumentException("maxBlocks is " + maxBlocks + ": must be a multiple of " + blocksPerSlab
                    + " from there to " + MAX_BLOCKS);
        }
        this.name = "fixed blocks of " + ByteSize.format(blockBytes) + " on "
                + pool.device().id();
        this.slabShift = Integer.numberOfTrailingZeros(blocksPerSlab);
        this.maxBlocks = maxBlocks;
        this.bits = BlockBits.of(blocksPerSlab, maxBlocks >> slabShift);
        this.pending = new PendingBlocks(bits);
        AllocationRequest slab = new AllocationRequest(
                blockBytes * blocksPerSlab, block.byteAlignment(), block.kind(), false, false, block.tag());
        this.slabs = new BlockSlabs(name, pool, slab, maxBlocks >> slabShift, bits, pending);
        this.listener = (_, _, _) -> slabs.giveBack();
        pool.addPressureListener(listener);
    }

    /**
     * How large a block is.
     *
     * @return bytes
     */
    public long blockBytes() {
        return blockBytes;
    }

    /**
     * How many blocks a slab has.
     *
     * @return a power of two
     */
    public int blocksPerSlab() {
        return 1 << slabShift;
    }

    /**
     * How many blocks there can be at the same time.
     *
     * @return a multiple of {@link #blocksPerSlab}
     */
    public int maxBlocks() {
        return maxBlocks;
    }

    /**
     * Allocates a block.
     *
     * @return its number
     * @throws DeviceOutOfMemoryException  if all {@link #maxBlocks} are taken, or the pool has no room for a slab
     * @throws AllocationTooLargeException if the pool can never have room for a slab
     * @throws DeviceLostException         if a slab is needed and the device is lost
     */
    public int allocate() {
        int block = bits.take();
        return block == BlockBits.NONE ? slabs.takeSlowly() : block;
    }

    /**
     * Allocates several blocks, all or none.
     *
     * @param target where their numbers go; the part is undefined if this fails
     * @param from   where in it
     * @param count  how many, 0 or more
     * @throws IndexOutOfBoundsException   if the target is too short
     * @throws DeviceOutOfMemoryException  if so many are not to be had; nothing has changed then
     * @throws AllocationTooLargeException if the pool can never have room for a slab
     * @throws DeviceLostException         if a slab is needed and the device is lost
     */
    public void allocate(int[] target, int from, int count) {
        Objects.checkFromIndexSize(from, count, target.length);
        int taken = bits.take(target, from, count);
        if (taken < count) {
            slabs.takeRest(target, from, count, taken);
        }
    }

    /**
     * Frees a block. The next caller may have it at once.
     *
     * @param block its number
     * @throws IllegalArgumentException if the block is not in use
     */
    public void free(int block) {
        if (!bits.free(block)) {
            throw refusal(block);
        }
    }

    /**
     * Frees several blocks, all or none. The next caller may have them at once. Fastest where numbers of the same 32 follow each
     * other, as {@link #allocate(int[], int, int)} gives them.
     *
     * @param blocks their numbers
     * @param from   where in the array
     * @param count  how many, 0 or more
     * @throws IndexOutOfBoundsException if the array is too short
     * @throws IllegalArgumentException  if one of them is not in use, or comes twice; nothing has changed then
     */
    public void free(int[] blocks, int from, int count) {
        Objects.checkFromIndexSize(from, count, blocks.length);
        retire(blocks, from, count);
        bits.release(blocks, from, count);
    }

    /**
     * Frees blocks, all or none, that nobody can have before a stage has ended, well or badly. Copies do not wait for it.
     *
     * @param use    what still uses the blocks
     * @param blocks their numbers
     * @throws IllegalArgumentException if one of them is not in use, or comes twice; nothing has changed then
     */
    public void freeAfter(CompletionStage<?> use, int... blocks) {
        Objects.requireNonNull(use, "use");
        int[] own = blocks.clone();
        retire(own, 0, own.length);
        pending.add(use, own);
    }

    /**
     * Frees blocks, all or none, that nobody can have before the work submitted to a queue so far is finished. To be called after
     * the launch. Declares the work on the slabs of the blocks as {@link DeviceBuffer#usedOn} does, so that copies wait for it too.
     *
     * @param queue  the user's queue, of the pool's backend
     * @param blocks their numbers
     * @throws IllegalArgumentException if the queue belongs to another backend, or a block is not in use or comes twice; the
     *                                  blocks are still in use then
     */
    public void freeAfter(NativeQueue queue, int... blocks) {
        Objects.requireNonNull(queue, "queue");
        int[] own = blocks.clone();
        retire(own, 0, own.length);
        boolean done = false;
        try {
            pending.add(declare(queue, own), own);
            done = true;
        } finally {
            if (!done) {
                bits.restore(own, 0, own.length);
            }
        }
    }

    /**
     * The buffer a block in use lies in, for copies and for a backend's views. It belongs to this pool: do not close it.
     *
     * @param block the block's number
     * @return the buffer, the same for all blocks of a slab
     * @throws IllegalArgumentException if there is no memory for this block
     */
    public DeviceBuffer slab(int block) {
        DeviceBuffer slab = block < 0 || block >= maxBlocks ? null : slabs.slab(block >> slabShift);
        if (slab == null) {
            throw refusal(block);
        }
        return slab;
    }

    /**
     * Where a block begins in its {@link #slab}.
     *
     * @param block the block's number, from 0 to {@link #maxBlocks} - 1
     * @return bytes, a multiple of {@link #blockBytes}
     */
    public long byteOffset(int block) {
        Objects.checkIndex(block, maxBlocks);
        return (block & (1 << slabShift) - 1) * blockBytes;
    }

    /**
     * The figures at this moment. Looks at every block once, 32 at a time.
     *
     * @return the figures
     */
    public FixedBlockStats stats() {
        return bits.stats(blockBytes);
    }

    /**
     * Gives empty slabs back to the pool, which keeps their memory at hand for its other buffers.
     *
     * @return bytes given back
     */
    public long shrink() {
        slabs.requireOpen();
        return slabs.giveBack();
    }

    /**
     * Gives all slabs back, once work declared on them is finished; this call does not wait for that. Blocks still in use are
     * reported in the log. Closing twice does nothing. Never throws.
     */
    @Override
    public void close() {
        int used = slabs.close();
        pool.removePressureListener(listener);
        if (used > 0) {
            LOG.log(
                    System.Logger.Level.WARNING,
                    () -> "%s closed with %s still in use, %s in all; the memory was given back"
                            .formatted(
                                    name,
                                    used == 1 ? "1 block" : used + " blocks",
                                    ByteSize.format(used * blockBytes)));
        }
    }

    @Override
    public String toString() {
        return name;
    }

    /** Checks the books while nobody takes or frees; for tests. */
    void validate() {
        bits.validate();
    }

    private void retire(int[] blocks, int from, int count) {
        int wrong = bits.retire(blocks, from, count);
        if (wrong != BlockBits.NONE) {
            throw refusal(blocks[wrong]);
        }
    }

    private List<QueueFence> declare(NativeQueue queue, int[] blocks) {
        BitSet declared = new BitSet();
        List<QueueFence> fences = new ArrayList<>();
        for (int block : blocks) {
            if (!declared.get(block >> slabShift)) {
                declared.set(block >> slabShift);
                fences.add(slab(block).usedOn(queue));
            }
        }
        return fences;
    }

    private RuntimeException refusal(int block) {
        slabs.requireOpen();
        if (block < 0 || block >= maxBlocks) {
            return new IllegalArgumentException("block is " + block + ": must be 0 to " + (maxBlocks - 1));
        }
        return new IllegalArgumentException(
                "block " + block + " of " + name + " is not in use: it was freed twice, or never allocated");
    }
}
