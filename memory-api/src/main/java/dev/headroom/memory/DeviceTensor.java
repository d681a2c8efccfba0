package dev.headroom.memory;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;

/**
 * A tensor in a buffer: the shape says how many bytes travel, the type says from which Java arrays.
 *
 * {@snippet :
 * TensorSpec spec = TensorSpec.of(DataType.F32, 128, 256).named("bias");
 * try (DeviceTensor bias = DeviceTensor.allocate(pool, spec)) {
 *     bias.upload(values);                     // float[128 * 256]
 *     bias.slice(0, 1).download(firstRow);     // float[256]
 * }
 * }
 *
 * <p>A tensor that was {@linkplain #allocate allocated} owns its buffer. One made {@linkplain #of over a buffer}, and every
 * {@linkplain #slice slice}, borrows: it lives as long as the buffer does, and closing it does nothing.
 *
 * <p>An upload and a download move all values; a part is moved through a {@linkplain #slice slice}. Sizes must agree exactly.
 * Arrays must have the element type of the values: {@code float[]} for F32 and C64, {@code double[]} for F64, {@code long[]},
 * {@code int[]} and {@code short[]} for integers of that width, signed or not, and {@code short[]} for the bits of F16 and
 * BF16 ({@link Float#floatToFloat16} converts). {@code byte[]} and native memory hold the bytes as they are, for every type,
 * block types included. Values wider than a byte have the byte order of the host.
 *
 * <p>Threads, waiting and failures are those of {@link MemoryBuffer}. A closed buffer throws {@link BufferClosedException}.
 */
public final class DeviceTensor implements AutoCloseable {

    private final TensorSpec spec;
    private final MemoryBuffer buffer;
    private final boolean owner;

    private DeviceTensor(TensorSpec spec, MemoryBuffer buffer, boolean owner) {
        this.spec = spec;
        this.buffer = buffer;
        this.owner = owner;
    }

    /**
     * Allocates memory for a tensor on a pool's device. Its values are undefined. The name becomes the buffer's tag.
     *
     * @param pool the pool
     * @param spec shape and type, of at least one value
     * @return the tensor, which owns its buffer
     * @throws IllegalArgumentException    if the tensor has no values
     * @throws DeviceOutOfMemoryException  if there is no room, after everything was tried
     * @throws AllocationTooLargeException if there can never be room
     */
    public static DeviceTensor allocate(GpuMemoryPool pool, TensorSpec spec) {
        return new DeviceTensor(spec, pool.allocate(request(spec)), true);
    }

    /**
     * Allocates memory for a tensor on a pool's device, or on the host if the device is full. Its values are undefined. The
     * name becomes the buffer's tag.
     *
     * @param pool the pool
     * @param spec shape and type, of at least one value
     * @return the tensor, which owns its buffer
     * @throws IllegalArgumentException    if the tensor has no values
     * @throws DeviceOutOfMemoryException  if neither has room, or the configuration forbids the fallback
     * @throws AllocationTooLargeException if there can never be room here, and the host did not stand in
     */
    public static DeviceTensor allocateWithFallback(GpuMemoryPool pool, TensorSpec spec) {
        return new DeviceTensor(spec, pool.allocateWithFallback(request(spec)), true);
    }

    /**
     * Looks at a buffer as a tensor, from the buffer's first byte on.
     *
     * @param buffer the buffer, still the caller's; it may be longer than the tensor
     * @param spec   shape and type
     * @return the tensor, which borrows the buffer
     * @throws IllegalArgumentException if the buffer is too short
     */
    public static DeviceTensor of(MemoryBuffer buffer, TensorSpec spec) {
        if (buffer.byteSize() < spec.byteSize()) {
            throw new IllegalArgumentException(
                    spec + " takes " + spec.byteSize() + " bytes, but the buffer has " + buffer.byteSize());
        }
        return new DeviceTensor(spec, buffer, false);
    }

    /**
     * Shape and type.
     *
     * @return the spec
     */
    public TensorSpec spec() {
        return spec;
    }

    /**
     * The memory, from whose first byte on the values lie.
     *
     * @return the buffer; of a tensor allocated with fallback a {@link FallbackBuffer}
     */
    public MemoryBuffer buffer() {
        return buffer;
    }

    /**
     * A part of this tensor along its first extent: some rows of a matrix, some values of a vector.
     *
     * @param first where the part begins
     * @param count how much of the extent it has, 1 or more
     * @return the part, which borrows this tensor's buffer
     * @throws IndexOutOfBoundsException if the part is not inside the extent
     * @throws IllegalArgumentException  if there is no extent, the part is empty, or it would cut a block
     */
    public DeviceTensor slice(long first, long count) {
        if (spec.shape().isEmpty() || count == 0) {
            throw new IllegalArgumentException(spec + " has no part of " + count + ": nothing can be sliced off");
        }
        Objects.checkFromIndexSize(first, count, spec.shape().getFirst());
        List<Long> shape = new ArrayList<>(spec.shape());
        shape.set(0, first);
        TensorSpec before = new TensorSpec(spec.name(), shape, spec.type());
        shape.set(0, count);
        TensorSpec part = new TensorSpec(spec.name(), shape, spec.type());
        return new DeviceTensor(part, buffer.slice(before.byteSize(), part.byteSize()), false);
    }

    /**
     * Copies all values in, from an array or native memory.
     *
     * @param source exactly as many bytes as the tensor has
     * @throws IllegalArgumentException if size or element type do not fit the tensor
     */
    public void upload(MemorySegment source) {
        buffer.write(0, fitting(source));
    }

    /**
     * Copies all values in.
     *
     * @param values the bytes of the tensor
     * @throws IllegalArgumentException if the length does not fit the tensor
     */
    public void upload(byte[] values) {
        upload(MemorySegment.ofArray(values));
    }

    /**
     * Copies all values in.
     *
     * @param values the values of a tensor of 16-bit values
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void upload(short[] values) {
        upload(MemorySegment.ofArray(values));
    }

    /**
     * Copies all values in.
     *
     * @param values the values of a tensor of 32-bit integers
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void upload(int[] values) {
        upload(MemorySegment.ofArray(values));
    }

    /**
     * Copies all values in.
     *
     * @param values the values of a tensor of 64-bit integers
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void upload(long[] values) {
        upload(MemorySegment.ofArray(values));
    }

    /**
     * Copies all values in.
     *
     * @param values the values of an F32 tensor, or the pairs of a C64 one
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void upload(float[] values) {
        upload(MemorySegment.ofArray(values));
    }

    /**
     * Copies all values in.
     *
     * @param values the values of an F64 tensor
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void upload(double[] values) {
        upload(MemorySegment.ofArray(values));
    }

    /**
     * Copies all values in behind the caller's back. The source, which {@link MemorySegment#ofArray} makes of an array, may
     * be reused as soon as this returns.
     *
     * @param source exactly as many bytes as the tensor has
     * @return done when they have arrived
     * @throws IllegalArgumentException if size or element type do not fit the tensor
     */
    public CompletableFuture<Void> uploadAsync(MemorySegment source) {
        return uploadAsync(source, KeepAlive.STAGED);
    }

    /**
     * Copies all values in behind the caller's back.
     *
     * @param source    exactly as many bytes as the tensor has; native memory for {@link KeepAlive#CALLER}
     * @param keepAlive who keeps the source valid
     * @return done when they have arrived
     * @throws IllegalArgumentException if size or element type do not fit the tensor
     */
    public CompletableFuture<Void> uploadAsync(MemorySegment source, KeepAlive keepAlive) {
        Objects.requireNonNull(keepAlive, "keepAlive");
        return buffer.writeAsync(0, fitting(source), keepAlive);
    }

    /**
     * Copies all values out, to an array or native memory.
     *
     * @param target exactly as many bytes as the tensor has, writable
     * @throws IllegalArgumentException if size or element type do not fit the tensor
     */
    public void download(MemorySegment target) {
        buffer.read(0, fitting(target));
    }

    /**
     * Copies all values out.
     *
     * @param target takes the bytes of the tensor
     * @throws IllegalArgumentException if the length does not fit the tensor
     */
    public void download(byte[] target) {
        download(MemorySegment.ofArray(target));
    }

    /**
     * Copies all values out.
     *
     * @param target takes the values of a tensor of 16-bit values
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void download(short[] target) {
        download(MemorySegment.ofArray(target));
    }

    /**
     * Copies all values out.
     *
     * @param target takes the values of a tensor of 32-bit integers
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void download(int[] target) {
        download(MemorySegment.ofArray(target));
    }

    /**
     * Copies all values out.
     *
     * @param target takes the values of a tensor of 64-bit integers
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void download(long[] target) {
        download(MemorySegment.ofArray(target));
    }

    /**
     * Copies all values out.
     *
     * @param target takes the values of an F32 tensor, or the pairs of a C64 one
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void download(float[] target) {
        download(MemorySegment.ofArray(target));
    }

    /**
     * Copies all values out.
     *
     * @param target takes the values of an F64 tensor
     * @throws IllegalArgumentException if length or type do not fit the tensor
     */
    public void download(double[] target) {
        download(MemorySegment.ofArray(target));
    }

    /**
     * Copies all values out behind the caller's back. The caller keeps the target, which {@link MemorySegment#ofArray} makes
     * of an array, open and unused until the future ends.
     *
     * @param target exactly as many bytes as the tensor has, writable
     * @return done when they have arrived
     * @throws IllegalArgumentException if size or element type do not fit the tensor
     */
    public CompletableFuture<Void> downloadAsync(MemorySegment target) {
        return buffer.readAsync(0, fitting(target));
    }

    /** Closes the buffer, if the tensor owns it. Closing twice does nothing. Never throws. */
    @Override
    public void close() {
        if (owner) {
            buffer.close();
        }
    }

    /**
     * The tensor as it stands in messages, with its buffer.
     *
     * @return spec and buffer
     */
    @Override
    public String toString() {
        return spec + " in " + buffer;
    }

    private static AllocationRequest request(TensorSpec spec) {
        if (spec.byteSize() == 0) {
            throw new IllegalArgumentException(spec + " has no values: there is nothing to allocate");
        }
        AllocationRequest request = AllocationRequest.of(spec.byteSize());
        return spec.name().map(request::tagged).orElse(request);
    }

    private MemorySegment fitting(MemorySegment segment) {
        if (segment.byteSize() != spec.byteSize()) {
            throw new IllegalArgumentException(
                    spec + " has " + spec.byteSize() + " bytes, but " + segment.byteSize() + " were given");
        }
        segment.heapBase().ifPresent(array -> requireElementType(array.getClass()));
        return segment;
    }

    private void requireElementType(Class<?> array) {
        Class<?> own = switch (spec.type()) {
            case F32, C64 -> float[].class;
            case F64 -> double[].class;
            case I64, U64 -> long[].class;
            case I32, U32 -> int[].class;
            case I16, U16, F16, BF16 -> short[].class;
            default -> byte[].class;
        };
        if (!array.equals(own) && !array.equals(byte[].class)) {
            String accepted = own.equals(byte[].class) ? "byte[]" : own.getSimpleName() + " or byte[]";
            throw new IllegalArgumentException(spec + " takes " + accepted + ", not " + array.getSimpleName());
        }
    }
}
