package dev.headroom.memory.cuda;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.util.BitSet;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A reserved range of addresses, and the book of what lies behind it, granule by granule. Each granule is an allocation of
 * its own: the driver takes memory away only in the pieces it was mapped in, and any granule may have to go.
 *
 * <p>What the driver would not take back stays in the book and is tried once more when the whole range goes; in a poisoned
 * context it is not, so that each object sees one such call.
 *
 * <p>Thread-safe for disjoint pieces. The lock guards the book only; no driver is called under it.
 */
final class CudaRange implements CudaBlock {

    private final CudaApi cuda;
    private final PrimaryContext context;
    private final long address;
    private final long byteSize;
    private final long granule;
    private final Object lock = new Object();
    private final long[] handles;
    private final BitSet created = new BitSet();
    private final BitSet mapped = new BitSet();
    private final BitSet refused = new BitSet();
    private boolean released;

    CudaRange(CudaApi cuda, PrimaryContext context, long address, long byteSize, long granule) {
        this.cuda = cuda;
        this.context = context;
        this.address = address;
        this.byteSize = byteSize;
        this.granule = granule;
        handles = new long[Math.toIntExact(byteSize / granule)];
    }

    @Override
    public PrimaryContext context() {
        return context;
    }

    @Override
    public long address() {
        return address;
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public MemoryKind kind() {
        return MemoryKind.DEVICE;
    }

    /** Puts memory behind a piece, or behind none of it. */
    void commit(long byteOffset, long size) throws DriverException {
        int first = index(byteOffset);
        int end = index(byteOffset + size);
        boolean committed = false;
        try {
            for (int i = first; i < end; i++) {
                create(i);
                map(i);
            }
            int device = context.device().handle().number();
            context.run("cuMemSetAccess", () -> cuda.allowAccess(address + byteOffset, size, device));
            committed = true;
        } finally {
            if (!committed) {
                takeBack(first, end);
            }
        }
    }

    /** Takes the memory from a piece. */
    FreeOutcome decommit(long byteOffset, long size) {
        return outcome(takeBack(index(byteOffset), index(byteOffset + size)));
    }

    /** Gives everything back, the first time. */
    FreeOutcome release() {
        synchronized (lock) {
            if (released) {
                return FreeOutcome.failed(CudaBlock.freedBefore("cuMemAddressFree"));
            }
            released = true;
        }
        DriverException left = takeBack(0, handles.length);
        if (isMapped()) { // the driver keeps addresses that something lies behind
            return left == null ? FreeOutcome.failed(stillMapped()) : outcome(left);
        }
        FreeOutcome gone = context.giveBack("cuMemAddressFree", () -> cuda.freeAddresses(address, byteSize));
        return left == null ? gone : outcome(left);
    }

    private boolean isMapped() {
        synchronized (lock) {
            return !mapped.isEmpty();
        }
    }

    private void create(int i) throws DriverException {
        long[] handle = new long[1];
        int device = context.device().handle().number();
        context.run("cuMemCreate", () -> cuda.createMemory(handle, granule, device));
        synchronized (lock) {
            handles[i] = handle[0];
            created.set(i);
        }
    }

    private void map(int i) throws DriverException {
        long at = address + i * granule;
        long handle = handles[i];
        context.run("cuMemMap", () -> cuda.mapMemory(at, granule, handle));
        synchronized (lock) {
            mapped.set(i);
        }
    }

    /** Unmaps and releases whatever is there between two granules. Returns the first refusal. */
    private @Nullable DriverException takeBack(int first, int end) {
        DriverException refusal = null;
        for (Run run = next(first, end); run != null; run = next(run.end(), end)) {
            DriverException failure = unmap(run);
            refusal = refusal == null ? failure : refusal;
        }
        for (int i = first; i < end; i++) {
            DriverException failure = releaseHandle(i);
            refusal = refusal == null ? failure : refusal;
        }
        return refusal;
    }

    /**
     * Neighbours that are mapped.
     *
     * @param first the first granule
     * @param end   the one behind the last
     */
    private record Run(int first, int end) {}

    private @Nullable Run next(int from, int end) {
        synchronized (lock) {
            int first = mapped.nextSetBit(from);
            while (first >= 0 && first < end && mayNotBeTried(first)) {
                first = mapped.nextSetBit(first + 1);
            }
            if (first < 0 || first >= end) {
                return null;
            }
            int last = first + 1;
            while (last < end && mapped.get(last) && !mayNotBeTried(last)) {
                last++;
            }
            return new Run(first, last);
        }
    }

    private boolean mayNotBeTried(int i) {
        return refused.get(i) && context.isLost();
    }

    private @Nullable DriverException unmap(Run run) {
        long at = address + run.first() * granule;
        long size = (run.end() - run.first()) * granule;
        FreeOutcome gone = context.giveBack("cuMemUnmap", () -> cuda.unmapMemory(at, size));
        synchronized (lock) {
            if (gone.isFreed()) {
                mapped.clear(run.first(), run.end());
            } else {
                refused.set(run.first(), run.end());
            }
        }
        return gone.failure().orElse(null);
    }

    /** Memory that is still mapped keeps its handle: without it nobody could tell which it was. */
    private @Nullable DriverException releaseHandle(int i) {
        long handle;
        synchronized (lock) {
            if (!created.get(i) || mapped.get(i) || mayNotBeTried(i)) {
                return null;
            }
            handle = handles[i];
        }
        FreeOutcome gone = context.giveBack("cuMemRelease", () -> cuda.releaseMemory(handle));
        synchronized (lock) {
            created.set(i, !gone.isFreed());
            refused.set(i, !gone.isFreed());
        }
        return gone.failure().orElse(null);
    }

    private static DriverException stillMapped() {
        return new DriverException(
                DriverException.Kind.UNEXPECTED, 0, "cuMemAddressFree", "memory behind it could not be taken back");
    }

    private int index(long byteOffset) {
        return Math.toIntExact(byteOffset / granule);
    }

    private static FreeOutcome outcome(@Nullable DriverException failure) {
        return Optional.ofNullable(failure).map(FreeOutcome::failed).orElseGet(FreeOutcome::freed);
    }
}
