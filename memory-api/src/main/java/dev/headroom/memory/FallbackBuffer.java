package dev.headroom.memory;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A buffer that lies on its device, or on the host because the device was full. Owns exactly one {@link DeviceBuffer}, which
 * may be replaced by {@link #moveTo}. Thread-safe; a call that meets a move in progress throws
 * {@link IllegalStateException} and has done nothing.
 */
public final class FallbackBuffer implements MemoryBuffer {

    /** What the reference holds instead of a buffer. */
    private enum Absent {
        MOVING,
        TAKEN
    }

    /** A buffer that was closed: it still knows where. Empty if that came in the middle of a move. */
    private record Closed(Optional<DeviceBuffer> buffer) {}

    private final long byteSize;
    private final boolean madeByFallback;
    /** The device asked for; empty if it was full, and then any device stands for it. */
    private final Optional<GpuDevice> askedFor;
    /** A {@link DeviceBuffer}, an {@link Absent} or a {@link Closed}. */
    private final AtomicReference<Object> content;

    private FallbackBuffer(DeviceBuffer buffer, boolean madeByFallback) {
        this.byteSize = buffer.byteSize();
        this.madeByFallback = madeByFallback;
        this.askedFor =
                madeByFallback ? Optional.empty() : Optional.of(buffer.pool().device());
        this.content = new AtomicReference<>(buffer);
    }

    /**
     * Wraps a buffer that got the memory it asked for.
     *
     * @param buffer the buffer; the new object owns it
     * @return the buffer
     */
    public static FallbackBuffer onDevice(DeviceBuffer buffer) {
        return new FallbackBuffer(buffer, false);
    }

    /**
     * Wraps a host buffer that stands in for one its device had no room for.
     *
     * @param buffer the buffer; the new object owns it
     * @return the buffer
     */
    public static FallbackBuffer onHost(DeviceBuffer buffer) {
        return new FallbackBuffer(buffer, true);
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public BufferLocation location() {
        return current().location();
    }

    @Override
    public boolean deviceAccessible() {
        DeviceBuffer buffer = current();
        boolean there = askedFor.map(buffer.pool().device()::equals).orElse(buffer.location() == BufferLocation.GPU);
        return there && buffer.deviceAccessible();
    }

    /**
     * The number of the buffer held now.
     *
     * @return the id
     */
    public BufferId id() {
        return current().id();
    }

    /**
     * Whether the buffer has been taken out.
     *
     * @return true after {@link #takeGpu} or {@link #takeCpu} succeeded
     */
    public boolean isEmpty() {
        return content.get() == Absent.TAKEN;
    }

    /**
     * Whether the bytes lie on a device.
     *
     * @return true if so
     */
    public boolean isGpu() {
        return location() == BufferLocation.GPU;
    }

    /**
     * Whether host memory stands in for a device that was full. False for a buffer of a host pool that was asked for.
     *
     * @return true if so
     */
    public boolean isCpuFallback() {
        return madeByFallback && location() == BufferLocation.CPU;
    }

    /**
     * Borrows the buffer, if it lies on a device. The loan ends when this object is closed or moved.
     *
     * @return the buffer
     */
    public Optional<DeviceBuffer> asGpu() {
        return borrow(BufferLocation.GPU);
    }

    /**
     * Borrows the buffer, if it lies on the host. The loan ends when this object is closed or moved.
     *
     * @return the buffer
     */
    public Optional<DeviceBuffer> asCpu() {
        return borrow(BufferLocation.CPU);
    }

    /**
     * Takes the buffer out, if it lies on a device: the caller closes it from then on, and this object is empty.
     *
     * @return the buffer
     */
    public Optional<DeviceBuffer> takeGpu() {
        return take(BufferLocation.GPU);
    }

    /**
     * Takes the buffer out, if it lies on the host: the caller closes it from then on, and this object is empty.
     *
     * @return the buffer
     */
    public Optional<DeviceBuffer> takeCpu() {
        return take(BufferLocation.CPU);
    }

    /**
     * Moves the bytes to another pool: back to a device that has room again, or to the host to make room.
     *
     * @param target the other pool
     * @throws IllegalStateException      if a view or a pending use holds the buffer in place, or another move is under way
     * @throws DeviceOutOfMemoryException if the other pool has no room; nothing has changed then
     */
    public void moveTo(GpuMemoryPool target) {
        DeviceBuffer before = current();
        if (!content.compareAndSet(before, Absent.MOVING)) {
            current();
            throw moving();
        }
        DeviceBuffer after = before;
        try {
            after = before.moveTo(target);
        } finally {
            if (!content.compareAndSet(Absent.MOVING, after)) {
                after.close(); // closed meanwhile
            }
        }
    }

    @Override
    public void write(long byteOffset, MemorySegment source) {
        current().write(byteOffset, source);
    }

    @Override
    public void read(long byteOffset, MemorySegment target) {
        current().read(byteOffset, target);
    }

    @Override
    public void copyTo(long byteOffset, MemoryBuffer target, long targetOffset, long size) {
        current().copyTo(byteOffset, target, targetOffset, size);
    }

    @Override
    public void fill(long byteOffset, long size, byte value) {
        current().fill(byteOffset, size, value);
    }

    @Override
    public CompletableFuture<Void> writeAsync(long byteOffset, MemorySegment source, KeepAlive keepAlive) {
        return current().writeAsync(byteOffset, source, keepAlive);
    }

    @Override
    public CompletableFuture<Void> readAsync(long byteOffset, MemorySegment target) {
        return current().readAsync(byteOffset, target);
    }

    @Override
    public CompletableFuture<Void> copyToAsync(long byteOffset, MemoryBuffer target, long targetOffset, long size) {
        return current().copyToAsync(byteOffset, target, targetOffset, size);
    }

    @Override
    public BufferRange resolve(long byteOffset, long size) {
        return current().resolve(byteOffset, size);
    }

    @Override
    public void close() {
        Object before = content.getAndUpdate(FallbackBuffer::closed);
        switch (before) {
            case DeviceBuffer buffer -> buffer.close();
            case Closed(Optional<DeviceBuffer> buffer) -> buffer.ifPresent(DeviceBuffer::close); // takes note of it
            default -> {}
        }
    }

    @Override
    public String toString() {
        Object now = content.get();
        return now instanceof DeviceBuffer
                ? now.toString()
                : "FallbackBuffer[" + (now instanceof Closed ? "CLOSED" : now) + ", " + byteSize + " bytes]";
    }

    private Optional<DeviceBuffer> borrow(BufferLocation wanted) {
        DeviceBuffer buffer = current();
        return buffer.location() == wanted ? Optional.of(buffer) : Optional.empty();
    }

    private Optional<DeviceBuffer> take(BufferLocation wanted) {
        DeviceBuffer buffer = current();
        if (buffer.location() != wanted) {
            return Optional.empty();
        }
        if (!content.compareAndSet(buffer, Absent.TAKEN)) {
            current();
            throw moving();
        }
        return Optional.of(buffer);
    }

    private DeviceBuffer current() {
        return switch (content.get()) {
            case DeviceBuffer buffer -> buffer;
            case Absent.MOVING -> throw moving();
            case Absent.TAKEN ->
                throw new BufferClosedException(
                        "the buffer was taken out of this FallbackBuffer; use what take returned");
            case Closed(Optional<DeviceBuffer> buffer) -> throw closed(buffer);
            default -> throw new IllegalStateException("unknown content");
        };
    }

    private static Object closed(Object content) {
        return switch (content) {
            case DeviceBuffer buffer -> new Closed(Optional.of(buffer));
            case Absent.MOVING -> new Closed(Optional.empty());
            default -> content;
        };
    }

    /** What the buffer itself says of it has the places where it was closed and allocated, as far as they are remembered. */
    private static BufferClosedException closed(Optional<DeviceBuffer> buffer) {
        BufferClosedException refusal = new BufferClosedException("FallbackBuffer is closed");
        if (buffer.isPresent()) {
            try {
                buffer.get().resolve(0, 1);
            } catch (BufferClosedException itself) {
                for (Throwable place : itself.getSuppressed()) {
                    refusal.addSuppressed(place);
                }
            }
        }
        return refusal;
    }

    private static IllegalStateException moving() {
        return new IllegalStateException("the buffer is being moved by another thread; try again when that is done");
    }
}
