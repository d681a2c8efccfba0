package dev.headroom.memory;

import java.util.concurrent.CompletionStage;

/**
 * A buffer in a pool's own memory. Thread-safe in its life cycle: a close that comes while another thread copies takes
 * effect when the copy is done.
 *
 * <p>Work submitted to a queue of the user's own must be declared, because Headroom cannot see it:
 * {@snippet :
 * buffer.waitOn(stream);        // the kernel will see our copies
 * launchKernel(stream);         // the user's own call
 * buffer.usedOn(stream);        // copies, reuse and close wait for the kernel
 * }
 */
public interface DeviceBuffer extends MemoryBuffer {

    /**
     * The buffer's number, drawn on first use.
     *
     * @return the id
     */
    BufferId id();

    /**
     * The pool the buffer belongs to.
     *
     * @return the pool
     */
    GpuMemoryPool pool();

    /**
     * What the memory is for.
     *
     * @return the kind
     */
    MemoryKind kind();

    /**
     * Gives the host direct access, where {@link #kind()} is host-visible on this device. Waits for pending work first.
     *
     * @return the view, to be closed by the caller
     * @throws UnsupportedKindException if the host cannot reach this memory
     */
    HostView map();

    /**
     * Makes the user's queue wait for all copies of Headroom's into or out of this buffer. To be called before a launch. Where
     * another queue's work was declared on the buffer, this call waits for that work.
     *
     * @param queue the user's queue, of this buffer's backend
     * @throws IllegalArgumentException if the queue belongs to another backend
     */
    void waitOn(NativeQueue queue);

    /**
     * Declares work on this buffer in the user's queue. To be called after a launch: later copies, reuse and close wait for
     * it.
     *
     * @param queue the user's queue, of this buffer's backend
     * @return a fence behind that work
     * @throws IllegalArgumentException if the queue belongs to another backend
     */
    QueueFence usedOn(NativeQueue queue);

    /**
     * Declares any other use: the memory is not recycled before the stage ends, well or badly.
     *
     * @param stage the use
     */
    void closeAfter(CompletionStage<?> stage);

    /**
     * Moves the contents to a buffer of another pool and closes this one.
     *
     * @param target the other pool
     * @return the buffer that holds the contents now
     * @throws IllegalStateException      if a view or a pending use holds this buffer in place
     * @throws DeviceOutOfMemoryException if the other pool has no room; this buffer is unchanged then
     */
    DeviceBuffer moveTo(GpuMemoryPool target);
}
