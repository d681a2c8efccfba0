package dev.headroom.memory;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;

/** Part of another buffer: every call goes through the parent, so a slice sees the parent move and close. */
final class BufferSlice implements MemoryBuffer {

    private final MemoryBuffer parent;
    private final long start;
    private final long byteSize;
    private final Runnable guard;

    /** Checks the range against the parent. */
    BufferSlice(MemoryBuffer parent, long start, long byteSize) {
        this(parent, start, byteSize, () -> {});
    }

    /** A part that may end before its parent does: the guard is run before each use, and throws then. */
    BufferSlice(MemoryBuffer parent, long start, long byteSize, Runnable guard) {
        if (byteSize <= 0) {
            throw new IllegalArgumentException("byteSize is " + byteSize + ": must be above 0");
        }
        Objects.checkFromIndexSize(start, byteSize, parent.byteSize());
        this.parent = parent;
        this.start = start;
        this.byteSize = byteSize;
        this.guard = guard;
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public BufferLocation location() {
        return parent.location();
    }

    @Override
    public boolean deviceAccessible() {
        return parent.deviceAccessible();
    }

    @Override
    public void write(long byteOffset, MemorySegment source) {
        parent.write(within(byteOffset, source.byteSize()), source);
    }

    @Override
    public void read(long byteOffset, MemorySegment target) {
        parent.read(within(byteOffset, target.byteSize()), target);
    }

    @Override
    public void copyTo(long byteOffset, MemoryBuffer target, long targetOffset, long size) {
        parent.copyTo(within(byteOffset, size), target, targetOffset, size);
    }

    @Override
    public void fill(long byteOffset, long size, byte value) {
        parent.fill(within(byteOffset, size), size, value);
    }

    @Override
    public CompletableFuture<Void> writeAsync(long byteOffset, MemorySegment source, KeepAlive keepAlive) {
        return parent.writeAsync(within(byteOffset, source.byteSize()), source, keepAlive);
    }

    @Override
    public CompletableFuture<Void> readAsync(long byteOffset, MemorySegment target) {
        return parent.readAsync(within(byteOffset, target.byteSize()), target);
    }

    @Override
    public CompletableFuture<Void> copyToAsync(long byteOffset, MemoryBuffer target, long targetOffset, long size) {
        return parent.copyToAsync(within(byteOffset, size), target, targetOffset, size);
    }

    @Override
    public MemoryBuffer slice(long byteOffset, long size) {
        return new BufferSlice(parent, within(byteOffset, size), size, guard);
    }

    @Override
    public void close() {
        // The parent owns the memory.
    }

    @Override
    public BufferRange resolve(long byteOffset, long size) {
        return parent.resolve(within(byteOffset, size), size);
    }

    private long within(long byteOffset, long size) {
        guard.run();
        return start + Objects.checkFromIndexSize(byteOffset, size, byteSize);
    }
}
