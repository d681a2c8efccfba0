package dev.headroom.memory.opencl;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jocl.CL;
import org.jocl.cl_mem;
import org.jspecify.annotations.Nullable;

/**
 * One buffer of OpenCL's, and what the host has mapped of it.
 *
 * <p>OpenCL does not define what happens where regions mapped for writing overlap. So a mapping that lies within another
 * shares it, and only the last of them is unmapped.
 *
 * <p>The segments of all mappings belong to one arena, which ends with the block: one that somebody kept throws, where a
 * bare address would end the process. Thread-safe; no driver is called under the lock.
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
    private final Object lock = new Object();
    private final List<Region> regions = new ArrayList<>();
    private @Nullable Arena arena;
    private boolean freed;

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
        Region region;
        synchronized (lock) {
            region = shared(byteOffset, size, flags);
        }
        if (region == null) {
            long address = queue.map(handle, flags, byteOffset, size);
            synchronized (lock) {
                region = new Region(byteOffset, flags, segment(address, size));
                regions.add(region);
            }
        }
        Region mapped = region;
        return new ClMapping(mapped.segment.asSlice(byteOffset - mapped.byteOffset, size), () -> unmap(queue, mapped));
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
        synchronized (lock) {
            if (--region.users > 0) {
                return;
            }
            regions.remove(region);
        }
        queue.unmap(handle, region.segment.address());
    }

    /** Gives the buffer back, the first time; a second release would end the process. */
    FreeOutcome free() {
        Arena segments;
        synchronized (lock) {
            if (freed) {
                return refused("the block was freed before");
            }
            freed = true;
            segments = arena;
        }
        try {
            if (segments != null) {
                segments.close();
            }
        } catch (IllegalStateException inUse) {
            return refused("somebody is inside native code with its memory");
        }
        int code = cl.releaseBuffer(handle);
        return code == ClApi.SUCCESS
                ? FreeOutcome.freed()
                : FreeOutcome.failed(ClError.failed("clReleaseMemObject", code));
    }

    private static FreeOutcome refused(String why) {
        return FreeOutcome.failed(new DriverException(DriverException.Kind.UNEXPECTED, 0, "clReleaseMemObject", why));
    }
}
