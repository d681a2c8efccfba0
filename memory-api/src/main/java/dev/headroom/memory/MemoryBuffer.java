package dev.headroom.memory;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletableFuture;

/**
 * A range of memory, wherever it lies: what programs that need not care use.
 *
 * <p>Contents of a new buffer are undefined unless it was asked to be cleared. Offsets and sizes are bytes; a range outside
 * the buffer throws {@link IndexOutOfBoundsException} before any driver call. Calls may come from any thread; two calls that
 * touch the same bytes at the same time leave them undefined, as do a call and a kernel. After {@link #close} every call
 * that needs the memory throws {@link BufferClosedException}.
 *
 * <p>{@code write}, {@code read}, {@code copyTo} and {@code fill} return when the bytes have arrived. The asynchronous forms
 * return a future that fails with {@link DeviceLostException} or {@link DriverFailedException} if the device does;
 * cancelling it does not cancel the copy. Work on one buffer is ordered as submitted.
 */
public interface MemoryBuffer extends AutoCloseable {

    /**
     * How long the buffer is: exactly what was asked for.
     *
     * @return bytes
     */
    long byteSize();

    /**
     * Where the buffer lies now.
     *
     * @return CPU in a pool of the backend {@code cpu}, else GPU
     */
    BufferLocation location();

    /**
     * Whether kernels of the device the buffer was asked for can use it: false once it has fallen back to the host.
     *
     * @return true if they can
     */
    boolean deviceAccessible();

    /**
     * Copies bytes into the buffer.
     *
     * @param byteOffset where they go
     * @param source     the bytes, heap or native
     */
    void write(long byteOffset, MemorySegment source);

    /**
     * Copies bytes out of the buffer.
     *
     * @param byteOffset where they come from
     * @param target     where they go, heap or native, writable
     */
    void read(long byteOffset, MemorySegment target);

    /**
     * Copies bytes to another buffer, of this or any other device. Within one buffer the ranges must not overlap.
     *
     * @param byteOffset   where they come from
     * @param target       where they go
     * @param targetOffset where in it
     * @param byteSize     how many
     */
    void copyTo(long byteOffset, MemoryBuffer target, long targetOffset, long byteSize);

    /**
     * Sets bytes.
     *
     * @param byteOffset where the range begins
     * @param byteSize   how long it is
     * @param value      the byte to set
     */
    void fill(long byteOffset, long byteSize, byte value);

    /**
     * Copies bytes into the buffer behind the caller's back. The caller may reuse the segment as soon as this returns: its
     * bytes are in staging memory by then, which may mean waiting for room there.
     *
     * @param byteOffset where they go
     * @param source     the bytes, heap or native
     * @return done when they have arrived
     */
    default CompletableFuture<Void> writeAsync(long byteOffset, MemorySegment source) {
        return writeAsync(byteOffset, source, KeepAlive.STAGED);
    }

    /**
     * Copies bytes into the buffer behind the caller's back.
     *
     * @param byteOffset where they go
     * @param source     the bytes; native memory for {@link KeepAlive#CALLER}
     * @param keepAlive  who keeps the bytes valid
     * @return done when they have arrived
     */
    CompletableFuture<Void> writeAsync(long byteOffset, MemorySegment source, KeepAlive keepAlive);

    /**
     * Copies bytes out of the buffer behind the caller's back. The caller keeps the segment open and unused until the future
     * ends.
     *
     * @param byteOffset where they come from
     * @param target     where they go, heap or native, writable
     * @return done when they have arrived
     */
    CompletableFuture<Void> readAsync(long byteOffset, MemorySegment target);

    /**
     * Copies bytes to another buffer behind the caller's back.
     *
     * @param byteOffset   where they come from
     * @param target       where they go
     * @param targetOffset where in it
     * @param byteSize     how many
     * @return done when they have arrived
     */
    CompletableFuture<Void> copyToAsync(long byteOffset, MemoryBuffer target, long targetOffset, long byteSize);

    /**
     * A view of part of this buffer. It dies with the buffer, follows it when it moves, and closing it does nothing.
     *
     * @param byteOffset where the part begins
     * @param byteSize   how long it is, above 0
     * @return the view
     */
    default MemoryBuffer slice(long byteOffset, long byteSize) {
        MemoryBuffer slice = new BufferSlice(this, byteOffset, byteSize);
        resolve(byteOffset, byteSize);
        return slice;
    }

    /**
     * The device buffer behind a range of this one: itself, the buffer a fallback holds now, or a slice's parent. What
     * copies between buffers of different sorts go through.
     *
     * @param byteOffset where the range begins
     * @param byteSize   how long it is
     * @return buffer and offset
     */
    BufferRange resolve(long byteOffset, long byteSize);

    /**
     * Gives the memory back, once pending work on it is finished; this call does not wait for that. Closing twice does
     * nothing. Never throws.
     */
    @Override
    void close();
}
