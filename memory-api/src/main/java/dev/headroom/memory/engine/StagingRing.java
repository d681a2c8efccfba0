package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Memory both sides can reach, in a few equal slots: bytes on their way to or from a device that the host cannot reach
 * directly. Opened on first use with the configured size, or less where the host is short of memory even after its pools gave
 * back what they do not use. Thread-safe; who finds no free slot waits for one.
 */
final class StagingRing {

    private static final int SLOTS = 4;
    private static final long SMALLEST_BYTES = 64L << 10;

    /** One slot. The previous transfer out of it may still be under way. */
    static final class Slot {
        private final DriverBlock block;
        private final long byteOffset;
        private final long byteSize;
        private Point.@Nullable OnQueue busyUntil;

        private Slot(DriverBlock block, long byteOffset, long byteSize) {
            this.block = block;
            this.byteOffset = byteOffset;
            this.byteSize = byteSize;
        }

        DriverBlock block() {
            return block;
        }

        long byteOffset() {
            return byteOffset;
        }

        long byteSize() {
            return byteSize;
        }
    }

    private final DeviceSession session;
    private final @Nullable Heap heap;
    private final long byteSize;
    private final Duration patience;
    private final Waiter waiter;
    private final LinkedBlockingQueue<Slot> idle = new LinkedBlockingQueue<>();
    private final SingleFlight opening = new SingleFlight();
    private volatile boolean open;

    /** A ring in a heap of its own; without a heap the device has no memory of that kind, and every use is refused. */
    StagingRing(DeviceSession session, @Nullable Heap heap, long byteSize, Duration patience, Waiter waiter) {
        this.session = session;
        this.heap = heap;
        this.byteSize = byteSize;
        this.patience = patience;
        this.waiter = waiter;
    }

    /** Waits for a slot whose last transfer is finished. */
    Slot acquire() {
        ensureOpen();
        Slot slot = poll(patience);
        if (slot == null) {
            throw new GpuMemoryException(
                    "%s: no staging memory became free within %d s; raise stagingBytes or wait for transfers"
                            .formatted(session.device(), patience.toSeconds()));
        }
        return ready(slot);
    }

    /** A slot, if one is free now; its last transfer may have to be waited for. */
    @Nullable
    Slot tryAcquire() {
        ensureOpen();
        Slot slot = idle.poll();
        return slot == null ? null : ready(slot);
    }

    /** Returns a slot, busy until the point is reached. */
    void release(Slot slot, Point.@Nullable OnQueue busyUntil) {
        slot.busyUntil = busyUntil;
        idle.add(slot);
    }

    /** Whether every slot is free; for tests. */
    boolean isIdle() {
        return !open || idle.size() == SLOTS;
    }

    /** Gives the memory back. Nobody uses it any more. False if it had to be left alone. */
    boolean close(Duration closePatience) {
        return heap == null || heap.close(closePatience);
    }

    private Slot ready(Slot slot) {
        Point.OnQueue busy = slot.busyUntil;
        try {
            if (busy != null) {
                waiter.await(busy);
                slot.busyUntil = null;
            }
            return slot;
        } catch (RuntimeException | Error e) {
            idle.add(slot);
            throw e;
        }
    }

    private void ensureOpen() {
        if (open) {
            return;
        }
        if (!opening.begin(patience)) {
            throw new GpuMemoryException(session.device() + ": staging memory is still being opened by another thread");
        }
        try {
            if (!open) {
                openSlots();
                open = true;
            }
        } finally {
            opening.end();
        }
    }

    private void openSlots() {
        if (heap == null) {
            throw new UnsupportedKindException(session.device()
                    + " takes no host memory and has no staging memory: its buffers cannot be copied from here");
        }
        try {
            Heap.Attempt attempt = grow(heap, byteSize);
            for (long size = byteSize / 2; !attempt.served() && size >= SMALLEST_BYTES; size /= 2) {
                attempt = grow(heap, size);
            }
            if (!attempt.served()) {
                throw refusal(heap, attempt.refusal());
            }
            BlockList blocks = heap.blocks();
            int name = attempt.name();
            long slotBytes = blocks.byteSize(name) / SLOTS / Tlsf.DEFAULT_GRANULE * Tlsf.DEFAULT_GRANULE;
            for (int i = 0; i < SLOTS; i++) {
                idle.add(new Slot(blocks.memory(name), blocks.byteOffset(name) + i * slotBytes, slotBytes));
            }
        } catch (DriverException e) {
            throw session.failed("opening staging memory", e);
        }
    }

    private Heap.Attempt grow(Heap heap, long size) throws DriverException {
        long rounded = size / (SLOTS * Tlsf.DEFAULT_GRANULE) * (SLOTS * Tlsf.DEFAULT_GRANULE);
        Heap.Attempt attempt = growOnce(heap, rounded);
        Heap.Refusal refusal = attempt.refusal();
        DomainLedger ledger = heap.accountant().ledger();
        if (refusal != null && ledger.collectIdle(refusal.missingBytes(), null) > 0) {
            attempt = growOnce(heap, rounded);
        }
        boolean last = size / 2 < SMALLEST_BYTES;
        return last && !attempt.served() && ledger.collectIdle(Long.MAX_VALUE, null) > 0
                ? growOnce(heap, rounded)
                : attempt;
    }

    private Heap.Attempt growOnce(Heap heap, long size) throws DriverException {
        return heap.grow(size, Tlsf.DEFAULT_GRANULE, new DomainLedger.Claim(), patience, List.of());
    }

    private GpuMemoryException refusal(Heap heap, Heap.@Nullable Refusal refusal) {
        BudgetRule.Allowance allowance = refusal == null ? BudgetRule.Allowance.NONE : refusal.allowance();
        BlockList.Figures figures = heap.blocks().figures();
        String message = "%s: no memory for staging (%s). Lower minFreeBytes or free host memory"
                .formatted(session.device(), allowance.terms());
        DeviceOutOfMemoryException.Figures all = new DeviceOutOfMemoryException.Figures(
                session.device().id() + " staging",
                SMALLEST_BYTES,
                figures.largestFree(),
                figures.usedBytes(),
                figures.blockBytes(),
                allowance.usableBytes(),
                allowance.ceilingBytes(),
                false,
                0);
        return refusal == null || refusal.cause() == null
                ? new DeviceOutOfMemoryException(message, all)
                : new DeviceOutOfMemoryException(message, all, refusal.cause());
    }

    private @Nullable Slot poll(Duration timeout) {
        boolean interrupted = false;
        long deadline = System.nanoTime() + timeout.toNanos();
        try {
            while (true) {
                try {
                    return idle.poll(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
