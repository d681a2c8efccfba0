package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;
import org.jocl.cl_command_queue;
import org.jspecify.annotations.Nullable;

/**
 * One of our queues, and the events of the commands in it that are not known to have ended. A signal is a number: it is
 * reached when no command that was submitted before it is left.
 *
 * <p>Once a command has failed, the queue answers with that failure for ever: what the driver does with the commands
 * behind it is not defined.
 *
 * <p>Thread-safe. The lock guards the books only; no driver is called under it.
 */
final class ClQueue implements DriverQueue {

    /**
     * A command under way.
     *
     * @param event its event
     * @param value the first signal behind it
     */
    private record Work(ClEvent event, long value) {}

    private final ClApi cl;
    private final cl_command_queue handle;
    private final Consumer<ClQueue> closed;
    private final Object lock = new Object();
    private final Deque<Work> pending = new ArrayDeque<>();
    private long signalled;
    private @Nullable DriverException failure;

    ClQueue(ClApi cl, cl_command_queue handle, Consumer<ClQueue> closed) {
        this.cl = cl;
        this.handle = handle;
        this.closed = closed;
    }

    cl_command_queue handle() {
        return handle;
    }

    /** A command has been submitted; its event is the queue's from now on. */
    void submitted(ClEvent event) {
        synchronized (lock) {
            pending.add(new Work(event, signalled + 1));
        }
    }

    /** Nobody can tell how far the queue is. */
    void fail(DriverException cause) {
        synchronized (lock) {
            if (failure == null) {
                failure = cause;
            }
        }
    }

    /** Hands what was submitted to the device, and marks its end. */
    long signal() throws DriverException {
        requireSound();
        ClError.require("clFlush", cl.flush(handle));
        synchronized (lock) {
            return ++signalled;
        }
    }

    /** The highest signal reached. */
    long completed() throws DriverException {
        while (true) {
            Work first;
            synchronized (lock) {
                requireSound();
                first = pending.peek();
                if (first == null) {
                    return signalled;
                }
                first.event().hold();
            }
            try {
                int status = first.event().status();
                if (status > 0) {
                    return first.value() - 1;
                }
                if (status < 0) {
                    fail(ClError.workFailed(status));
                }
                end(first);
            } finally {
                first.event().letGo();
            }
        }
    }

    /** Takes a command that has ended off the books, unless another thread was faster. */
    private void end(Work work) {
        boolean ours;
        synchronized (lock) {
            ours = work.equals(pending.peek());
            if (ours) {
                pending.remove();
            }
        }
        if (ours) {
            work.event().letGo();
        }
    }

    /** Whether nothing is left in it. */
    boolean isIdle() throws DriverException {
        completed();
        synchronized (lock) {
            return pending.isEmpty();
        }
    }

    /** The events a signal waits for; the caller lets go of each. */
    List<ClEvent> holdUpTo(long value) throws DriverException {
        List<ClEvent> events = new ArrayList<>();
        synchronized (lock) {
            requireSound();
            for (Work work : pending) {
                if (work.value() <= value) {
                    work.event().hold();
                    events.add(work.event());
                }
            }
        }
        return events;
    }

    private void requireSound() throws DriverException {
        synchronized (lock) {
            if (failure != null) {
                throw failure;
            }
        }
    }

    @Override
    public void close() {
        closed.accept(this);
        List<Work> left;
        synchronized (lock) {
            left = List.copyOf(pending);
            pending.clear();
        }
        left.forEach(work -> work.event().letGo());
        cl.releaseQueue(handle);
    }
}
