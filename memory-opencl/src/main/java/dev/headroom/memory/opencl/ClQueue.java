package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;
import org.jocl.cl_command_queue;
import org.jocl.cl_event;
import org.jocl.cl_mem;
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

    /** Work of a fill is done in units of the pattern, so a longer one is faster. */
    private static final int LONG_PATTERN = 16;

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

    /** Copies between two buffers of one context. */
    void copy(cl_mem source, cl_mem target, long sourceOffset, long targetOffset, long byteSize)
            throws DriverException {
        cl_event done = new cl_event();
        int code = cl.copy(handle, source, target, sourceOffset, targetOffset, byteSize, done);
        ClError.require("clEnqueueCopyBuffer", code);
        submitted(new ClEvent(cl, done));
    }

    /** Sets bytes of a buffer. */
    void fill(cl_mem buffer, long byteOffset, long byteSize, byte value) throws DriverException {
        byte[] pattern = new byte[(byteOffset | byteSize) % LONG_PATTERN == 0 ? LONG_PATTERN : 1];
        Arrays.fill(pattern, value);
        cl_event done = new cl_event();
        ClError.require("clEnqueueFillBuffer", cl.fill(handle, buffer, pattern, byteOffset, byteSize, done));
        submitted(new ClEvent(cl, done));
    }

    /** Copies from the host. */
    void write(cl_mem buffer, long byteOffset, MemorySegment source) throws DriverException {
        ClError.require("clEnqueueWriteBuffer", cl.write(handle, buffer, byteOffset, source));
        mark();
    }

    /** Copies to the host. */
    void read(cl_mem buffer, long byteOffset, MemorySegment target) throws DriverException {
        ClError.require("clEnqueueReadBuffer", cl.read(handle, buffer, byteOffset, target));
        mark();
    }

    /** Makes later commands wait for events, each held by the caller. */
    void waitFor(List<ClEvent> events) throws DriverException {
        if (!events.isEmpty()) {
            submitted(barrier(cl, handle, events));
        }
    }

    /** Puts a barrier behind events into any queue. */
    static ClEvent barrier(ClApi cl, cl_command_queue queue, List<ClEvent> events) throws DriverException {
        cl_event done = new cl_event();
        cl_event[] handles = events.stream().map(ClEvent::handle).toArray(cl_event[]::new);
        ClError.require("clEnqueueBarrierWithWaitList", cl.barrier(queue, handles, done));
        return new ClEvent(cl, done);
    }

    /**
     * Puts an event behind a transfer that has none. The transfer is under way, so this must not fail: without an event it
     * is waited for, and if that fails too, the next signal says that nobody knows.
     */
    private void mark() {
        cl_event done = new cl_event();
        if (cl.marker(handle, done) == ClApi.SUCCESS) {
            submitted(new ClEvent(cl, done));
            return;
        }
        int finished = cl.finish(handle);
        if (finished != ClApi.SUCCESS) {
            fail(ClError.failed("clFinish", finished));
        }
    }

    /** A command has been submitted; its event is the queue's from now on. */
    private void submitted(ClEvent event) {
        synchronized (lock) {
            pending.add(new Work(event, signalled + 1));
        }
    }

    /** From now on the queue answers with a failure; the first one stays. */
    private void fail(DriverException cause) {
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
