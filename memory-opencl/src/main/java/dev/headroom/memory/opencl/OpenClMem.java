package dev.headroom.memory.opencl;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DriverFailedException;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.PinnedRange;
import java.util.concurrent.atomic.AtomicReference;
import org.jocl.cl_mem;

/**
 * A buffer as kernels see it: a {@code cl_mem} of exactly its bytes. While a view is open its buffer stays where it is;
 * it is made when first asked for. Close it once the kernel has been launched and declared with {@code usedOn}: OpenCL
 * keeps the object for as long as queued work needs it.
 *
 * {@snippet :
 * OpenClQueue queue = context.queue();
 * try (OpenClMem view = OpenClMem.of(buffer)) {
 *     clSetKernelArg(kernel, 0, Sizeof.cl_mem, Pointer.to(view.mem()));
 *     buffer.waitOn(queue);
 *     clEnqueueNDRangeKernel(queue.queue(), kernel, 1, null, size, null, 0, null, null);
 *     buffer.usedOn(queue);
 * }
 * }
 *
 * <p>Safe for use by several threads. A queue that a view's kernel runs in belongs to {@link OpenClContext}.
 */
public final class OpenClMem implements AutoCloseable {

    private final String buffer;
    private final PinnedRange range;
    private final OpenClDriver driver;
    private final AtomicReference<State> state = new AtomicReference<>(new State.Pinned());

    /** How far a view is. */
    private sealed interface State {
        /** Nothing made yet. */
        record Pinned() implements State {}

        /** In use. */
        record Made(cl_mem handle) implements State {}

        /** Over. */
        record Closed() implements State {}
    }

    private OpenClMem(String buffer, PinnedRange range, OpenClDriver driver) {
        this.buffer = buffer;
        this.range = range;
        this.driver = driver;
    }

    /**
     * Opens a view.
     *
     * @param buffer an open buffer of an OpenCL pool
     * @return the view, to be closed by the caller
     * @throws IllegalArgumentException if the buffer belongs to another backend
     * @throws BufferClosedException if it is closed
     */
    public static OpenClMem of(DeviceBuffer buffer) {
        if (buffer instanceof PinnedRange.Source source) {
            PinnedRange range = source.pin();
            if (range.driver() instanceof OpenClDriver driver) {
                return new OpenClMem(buffer.toString(), range, driver);
            }
            range.close();
        }
        throw new IllegalArgumentException(buffer + " is not a buffer of an OpenCL pool");
    }

    /**
     * The bytes as an OpenCL object, a sub-buffer of the block they lie in. It has no sub-buffers of its own.
     *
     * @return the object, the same each time; released by {@link #close}, never by the caller
     * @throws BufferClosedException if the view is closed
     * @throws DriverFailedException if OpenCL cannot make it; the view stays usable
     */
    public cl_mem mem() {
        while (true) {
            State before = state.get();
            switch (before) {
                case State.Made(cl_mem handle) -> {
                    return handle;
                }
                case State.Closed() ->
                    throw new BufferClosedException("the OpenCL view of " + buffer + " was used after it was closed");
                case State.Pinned() -> {
                    cl_mem handle = make();
                    if (state.compareAndSet(before, new State.Made(handle))) {
                        return handle;
                    }
                    driver.releaseSubBuffer(handle); // another thread was faster
                }
            }
        }
    }

    /**
     * The size of the buffer.
     *
     * @return bytes
     */
    public long byteSize() {
        return range.byteSize();
    }

    /** Releases the object and lets the buffer go. Closing twice does nothing. */
    @Override
    public void close() {
        State before = state.getAndSet(new State.Closed());
        if (before instanceof State.Closed) {
            return;
        }
        try {
            if (before instanceof State.Made(cl_mem handle)) {
                // If the driver refuses, nothing better can be done: the block behind it is released all the same.
                driver.releaseSubBuffer(handle);
            }
        } finally {
            range.close();
        }
    }

    private cl_mem make() {
        try {
            return driver.createSubBuffer((OpenClBlock) range.block(), range.byteOffset(), range.byteSize());
        } catch (DriverException e) {
            throw new DriverFailedException(
                    "%s: making a native view: %s. The buffer is as it was".formatted(buffer, e.getMessage()), e);
        }
    }
}
