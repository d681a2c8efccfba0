package dev.headroom.memory.cuda;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.spi.PinnedRange;
import java.util.concurrent.atomic.AtomicBoolean;
import jcuda.driver.CUdeviceptr;

/**
 * A buffer as kernels see it: an address on the device. While a view is open its buffer stays where it is. Close it once
 * the kernel has been launched and declared with {@code usedOn}: the buffer's memory is then kept until the kernel is
 * through.
 *
 * {@snippet :
 * CudaStream stream = CudaStream.of(yours);
 * try (CudaPointer view = CudaPointer.of(buffer)) {
 *     Pointer arguments = Pointer.to(Pointer.to(view.pointer()), Pointer.to(new int[] {count}));
 *     buffer.waitOn(stream);
 *     cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream.stream(), arguments, null);
 *     buffer.usedOn(stream);
 * }
 * }
 *
 * <p>Buffers of the staging kinds have an address too: kernels reach them across the bus. Safe for use by several threads.
 */
public final class CudaPointer implements AutoCloseable {

    private final String buffer;
    private final PinnedRange range;
    private final long address;
    private final AtomicBoolean closed = new AtomicBoolean();

    private CudaPointer(String buffer, PinnedRange range, long address) {
        this.buffer = buffer;
        this.range = range;
        this.address = address;
    }

    /**
     * Opens a view.
     *
     * @param buffer an open buffer of a CUDA pool
     * @return the view, to be closed by the caller
     * @throws IllegalArgumentException if the buffer belongs to another backend
     * @throws BufferClosedException if it is closed
     */
    public static CudaPointer of(DeviceBuffer buffer) {
        if (buffer instanceof PinnedRange.Source source) {
            PinnedRange range = source.pin();
            if (range.block() instanceof CudaBlock block) {
                return new CudaPointer(buffer.toString(), range, block.address() + range.byteOffset());
            }
            range.close();
        }
        throw new IllegalArgumentException(buffer + " is not a buffer of a CUDA pool");
    }

    /**
     * The address for JCuda.
     *
     * @return a pointer to the buffer's first byte, not to be freed
     * @throws BufferClosedException if the view is closed
     */
    public CUdeviceptr pointer() {
        return new DevicePointer(address());
    }

    /**
     * The address as a number, for bindings other than JCuda.
     *
     * @return where the buffer's first byte is
     * @throws BufferClosedException if the view is closed
     */
    public long address() {
        if (closed.get()) {
            throw new BufferClosedException("the CUDA view of " + buffer + " was used after it was closed");
        }
        return address;
    }

    /**
     * The size of the buffer.
     *
     * @return bytes
     */
    public long byteSize() {
        return range.byteSize();
    }

    /** Lets the buffer go. Closing twice does nothing. */
    @Override
    public void close() {
        if (!closed.getAndSet(true)) {
            range.close();
        }
    }
}
