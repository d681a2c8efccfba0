package dev.headroom.memory;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The memory of a {@link FixedBlockPool}: takes slabs from the pool when no block is free, and gives empty ones back. Slabs come
 * and go under the monitor of the bits, which is never held while the pool is called. Thread-safe.
 */
final class BlockSlabs {

    /** How long to wait for the slab another thread is taking; a listener it has to ask may be waiting for us. */
    private static final long TURN_MILLIS = 1000;

    private final String name;
    private final GpuMemoryPool pool;
    private final AllocationRequest request;
    private final BlockBits bits;
    private final PendingBlocks pending;
    private final AtomicReferenceArray<@Nullable DeviceBuffer> slabs;
    private final ReentrantLock growing = new ReentrantLock();
    private volatile boolean closed;

    BlockSlabs(
            String name,
            GpuMemoryPool pool,
            AllocationRequest request,
            int slabCount,
            BlockBits bits,
            PendingBlocks pending) {
        this.name = name;
        this.pool = pool;
        this.request = request;
        this.bits = bits;
        this.pending = pending;
        this.slabs = new AtomicReferenceArray<>(slabCount);
    }

    @Nullable
    DeviceBuffer slab(int number) {
        return slabs.get(number);
    }

    void requireOpen() {
        if (closed) {
            throw new BufferClosedException(name + " is closed");
        }
    }

    /** A block, after none was free. */
    int takeSlowly() {
        int block = pending.collect() ? bits.take() : BlockBits.NONE;
        if (block == BlockBits.NONE) {
            int[] one = new int[1];
            takeRest(one, 0, 1, 0);
            block = one[0];
        }
        return block;
    }

    /** Blocks, after only some were free: all, or these are free again and no slab more than before is held. */
    void takeRest(int[] target, int from, int count, int first) {
        BitSet added = new BitSet();
        int taken = first;
        boolean turn = takeTurn();
        try {
            while (taken < count) {
                if (mustGrow(count - taken)) {
                    grow(added);
                }
                taken += bits.take(target, from + taken, count - taken);
            }
        } finally {
            if (taken < count) {
                if (bits.retire(target, from, taken) == BlockBits.NONE) { // not if all was closed
                    bits.release(target, from, taken);
                }
                added.stream().forEach(this::removeIfEmpty);
            }
            if (turn) {
                growing.unlock();
            }
        }
    }

    /** Gives empty slabs back, and says how many bytes they had. */
    long giveBack() {
        boolean ignored = pending.collect();
        long bytes = 0;
        for (int number = slabs.length() - 1; number >= 0; number--) {
            if (slabs.get(number) != null) {
                bytes += removeIfEmpty(number);
            }
        }
        return bytes;
    }

    /** Gives all slabs back. How many blocks were in use; -1 if all was closed before. */
    int close() {
        List<DeviceBuffer> closing = new ArrayList<>();
        List<DeviceBuffer> waiting = new ArrayList<>();
        int used;
        synchronized (bits) {
            if (closed) {
                return -1;
            }
            closed = true;
            BitSet withPending = new BitSet();
            used = bits.close(withPending);
            for (int number = 0; number < slabs.length(); number++) {
                DeviceBuffer slab = slabs.getAndSet(number, null);
                if (slab != null) {
                    (withPending.get(number) ? waiting : closing).add(slab);
                }
            }
        }
        CompletionStage<?> lastStage = pending.close();
        for (DeviceBuffer slab : waiting) {
            closeAfter(slab, lastStage);
        }
        closing.forEach(DeviceBuffer::close);
        return used;
    }

    private static void closeAfter(DeviceBuffer slab, CompletionStage<?> lastStage) {
        try (slab) {
            slab.closeAfter(lastStage);
        } catch (GpuMemoryException e) {
            // The pool was closed before, and has seen to its memory itself.
        }
    }

    /** Waits while another thread takes a slab that may do for both. */
    private boolean takeTurn() {
        try {
            return growing.tryLock(TURN_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // an interrupt ends no allocation
            return false;
        }
    }

    /** Whether nothing can be had and a slab can; seen at one moment, so that nobody is refused what another makes free. */
    private boolean mustGrow(int missing) {
        if (pending.collect()) {
            return false;
        }
        synchronized (bits) {
            requireOpen();
            if (bits.hasRoom()) {
                return false;
            }
            if (bits.vacant() == BlockBits.NONE) {
                throw exhausted(missing);
            }
            return true;
        }
    }

    private void grow(BitSet added) {
        DeviceBuffer slab;
        try {
            slab = pool.allocate(request);
        } catch (DeviceOutOfMemoryException e) {
            if (bits.hasRoom() || pending.collect()) {
                return; // somebody freed, or got the slab there was no room for twice
            }
            throw e;
        }
        int number = add(slab);
        if (number == BlockBits.NONE) { // closed, or a thread that did not wait for its turn took the last one
            slab.close();
        } else {
            added.set(number);
        }
    }

    private int add(DeviceBuffer slab) {
        synchronized (bits) {
            int number = bits.vacant();
            if (number != BlockBits.NONE) {
                slabs.set(number, slab);
                bits.add(number);
            }
            return number;
        }
    }

    private long removeIfEmpty(int number) {
        DeviceBuffer slab;
        synchronized (bits) {
            slab = bits.remove(number) ? slabs.getAndSet(number, null) : null;
        }
        if (slab == null) {
            return 0;
        }
        slab.close();
        return request.byteSize();
    }

    private DeviceOutOfMemoryException exhausted(int missing) {
        long blockBytes = request.byteSize() / bits.blocksPerSlab();
        int all = slabs.length() * bits.blocksPerSlab();
        FixedBlockStats stats = bits.stats(blockBytes);
        return new DeviceOutOfMemoryException(
                "%s: no more than %d blocks, %d in use and %d waiting for work, but %d more wanted. To make room, free some, or raise maxBlocks"
                        .formatted(name, all, stats.inUseBlocks(), stats.waitingBlocks(), missing),
                new DeviceOutOfMemoryException.Figures(
                        name,
                        missing * blockBytes,
                        0,
                        stats.inUseBlocks() * blockBytes,
                        stats.byteSize(),
                        0,
                        all * blockBytes,
                        true,
                        stats.inUseBlocks()));
    }
}
