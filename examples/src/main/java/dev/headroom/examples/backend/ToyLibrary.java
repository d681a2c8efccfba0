package dev.headroom.examples.backend;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Stands for a vendor's library: handles and status codes, as in C. Its one card has 256 MiB, which the host reaches through
 * {@link #write} and {@link #read} only; beside it there is pinned host memory. Really all of it lies in Java's own memory, and
 * every call is finished when it returns.
 */
final class ToyLibrary {

    static final int OK = 0;
    static final int OUT_OF_CARD_MEMORY = 2;
    static final int BAD_HANDLE = 5;
    static final int CARD_FELL_OFF_THE_BUS = 7;

    static final long TOTAL_BYTES = 256L << 20;

    private record Allocation(Arena arena, MemorySegment bytes, long cardBytes) {}

    private static final Map<Long, Allocation> LIVE = new ConcurrentHashMap<>();
    private static final AtomicLong HANDLES = new AtomicLong();
    private static final AtomicLong FREE_BYTES = new AtomicLong(TOTAL_BYTES);

    private ToyLibrary() {}

    static long freeBytes() {
        return FREE_BYTES.get();
    }

    static int allocate(long byteSize, long[] handle) {
        if (FREE_BYTES.addAndGet(-byteSize) < 0) {
            FREE_BYTES.addAndGet(byteSize);
            return OUT_OF_CARD_MEMORY;
        }
        return allocate(byteSize, byteSize, handle);
    }

    static int allocatePinned(long byteSize, long[] handle) {
        return allocate(byteSize, 0, handle);
    }

    private static int allocate(long byteSize, long cardBytes, long[] handle) {
        Arena arena = Arena.ofShared();
        handle[0] = HANDLES.incrementAndGet();
        LIVE.put(handle[0], new Allocation(arena, arena.allocate(byteSize, 4096), cardBytes));
        return OK;
    }

    static MemorySegment addressOfPinned(long handle, long byteOffset, long byteSize) {
        return part(handle, byteOffset, byteSize);
    }

    static int free(long handle) {
        Allocation allocation = LIVE.remove(handle);
        if (allocation == null) {
            return BAD_HANDLE;
        }
        FREE_BYTES.addAndGet(allocation.cardBytes());
        allocation.arena().close();
        return OK;
    }

    static int write(MemorySegment source, long handle, long byteOffset) {
        return move(source, part(handle, byteOffset, source.byteSize()));
    }

    static int read(long handle, long byteOffset, MemorySegment target) {
        return move(part(handle, byteOffset, target.byteSize()), target);
    }

    static int copy(long from, long fromOffset, long to, long toOffset, long byteSize) {
        return move(part(from, fromOffset, byteSize), part(to, toOffset, byteSize));
    }

    static int fill(long handle, long byteOffset, long byteSize, byte value) {
        part(handle, byteOffset, byteSize).fill(value);
        return OK;
    }

    private static int move(MemorySegment source, MemorySegment target) {
        target.copyFrom(source);
        return OK;
    }

    private static MemorySegment part(long handle, long byteOffset, long byteSize) {
        return Objects.requireNonNull(LIVE.get(handle)).bytes().asSlice(byteOffset, byteSize);
    }
}
