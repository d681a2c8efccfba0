package dev.headroom.memory.opencl;

import dev.headroom.memory.NativeQueue;
import java.util.Objects;
import org.jocl.cl_command_queue;

/**
 * A command queue of the user's own, for {@code buffer.waitOn(queue)} before a kernel and {@code buffer.usedOn(queue)}
 * behind it. Headroom neither keeps nor releases it. It must belong to the context of the buffer's pool: see {@link
 * OpenClContext}. Immutable; may be used by several threads.
 */
public final class OpenClQueue implements NativeQueue {

    private final cl_command_queue queue;

    private OpenClQueue(cl_command_queue queue) {
        this.queue = queue;
    }

    /**
     * Wraps a queue.
     *
     * @param queue the queue, in order or not, not released while it is in use here
     * @return the wrapper
     */
    public static OpenClQueue of(cl_command_queue queue) {
        return new OpenClQueue(Objects.requireNonNull(queue, "queue"));
    }

    @Override
    public String backend() {
        return OpenClBackend.NAME;
    }

    /**
     * The queue.
     *
     * @return what {@link #of} was given
     */
    public cl_command_queue queue() {
        return queue;
    }
}
