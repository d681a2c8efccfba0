package dev.headroom.memory.opencl;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import org.jocl.CL;
import org.jocl.cl_mem;
import org.jspecify.annotations.Nullable;

/**
 * One buffer of OpenCL's, and what the host has mapped of it.
 *
 * <p>OpenCL does not define what happens where regions mapped for writing overlap. So a mapping that lies within another
 * shares it, and only the last of them is unmapped.
 *
 * <p><b>One thread at a time maps or unmaps a block</b>, until the driver is done with it: this is the one place where a
 * lock is held during calls, and it is held for the driver's sake. PoCL finds the mapping to end by its address; while
 * one is being ended, a second one at the same address is taken for it, and ended twice. That corrupts PoCL's memory (3.1:
 * four threads that map one buffer end the process within a second). Nothing waits for anything else under the lock.
 *
 * <p>The segments of all mappings belong to one arena, which ends with the block: one that somebody kept throws, where a
 * bare address would end the process. Thread-safe.
 */
final class OpenClBlock implements DriverBlock {

    /** Part of the block as OpenCL has mapped it. */
    private static final class Region {
        private final long byteOffset;
        private final long flags;
        private final MemorySegment segment;
        private int users = 1;

        private Region(long byteOffset, long flags, MemorySegment segment) {
            this.byteOffset = byteOffset;
            this.flags = flags;
            this.segment = segment;
        }

        private boolean covers(long offset, long byteSize, long wanted) {
            boolean within = offset >= byteOffset && offset - byteOffset <= segment.byteSize() - byteSize;
            return within && (flags == wanted || flags == (CL.CL_MAP_READ | CL.CL_MAP_WRITE));
        }
    }

    private final ClApi cl;
    private final MemoryKind kind;
    private final long byteSize;
    private final cl_mem handle;
    private final AtomicBoolean freed = new AtomicBoolean();
    private final Lock lock = new ReentrantLock();
    private final List<Region> regions = new ArrayList<>();
    private @Nullable Arena arena;

    OpenClBlock(ClApi cl, MemoryKind kind, long byteSize, cl_mem handle) {
        this.cl = cl;
        this.kind = kind;
        this.byteSize = byteSize;
        this.handle = handle;
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public MemoryKind kind() {
        return kind;
    }

    cl_mem handle() {
        return handle;
    }

    /** Maps a part, or shares a mapping that is there. */
    ClMapping map(ClQueueCalls queue, long byteOffset, long size, long flags) throws DriverException {
        lock.lock();
        try {
            Region region = shared(byteOffset, size, flags);
            if (region == null) {
                long address = queue.map(handle, flags, byteOffset, size);
                region = new Region(byteOffset, flags, segment(address, size));
                regions.add(region);
            }
            Region mapped = region;
            MemorySegment part = mapped.segment.asSlice(byteOffset - mapped.byteOffset, size);
            return new ClMapping(part, () -> unmap(queue, mapped));
        } finally {
            lock.unlock();
        }
    }

    private @Nullable Region shared(long byteOffset, long size, long flags) {
        for (Region region : regions) {
            if (region.covers(byteOffset, size, flags)) {
                region.users++;
                return region;
            }
        }
        return null;
    }

    @SuppressWarnings("restricted")
    private MemorySegment segment(long address, long size) {
        Arena owner = arena;
        if (owner == null) {
            owner = Arena.ofShared();
            arena = owner;
        }
        return MemorySegment.ofAddress(address).reinterpret(size, owner, null);
    }

    private void unmap(ClQueueCalls queue, Region region) throws DriverException {
        lock.lock();
        try {
            if (--region.users == 0) {
                regions.remove(region);
                queue.unmap(handle, region.segment.address());
            }
        } finally {
            lock.unlock();
        }
    }

    /** Gives the buffer back, the first time; a second release would end the process. */
    FreeOutcome free() {
        if (freed.getAndSet(true)) {
            return refused("the block was freed before");
        }
        if (!endSegments()) {
            return refused("somebody is inside native code with its memory");
        }
        int code = cl.releaseBuffer(handle);
        return code == ClApi.SUCCESS
                ? FreeOutcome.freed()
                : FreeOutcome.failed(ClError.failed("clReleaseMemObject", code));
    }

    private boolean endSegments() {
        lock.lock();
        try {
            if (arena != null) {
                arena.close();
            }
            return true;
        } catch (IllegalStateException inUse) {
            return false;
        } finally {
            lock.unlock();
        }
    }

    private static FreeOutcome refused(String why) {
        return FreeOutcome.failed(new DriverException(DriverException.Kind.UNEXPECTED, 0, "clReleaseMemObject", why));
    }
}
