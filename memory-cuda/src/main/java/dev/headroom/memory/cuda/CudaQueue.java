package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import jcuda.driver.CUstream;

/**
 * One of our streams, and the events behind its signals that are not known to be reached. A stream keeps its order, so a
 * signal is reached when its event is.
 *
 * <p>Two threads that signal at once may record their events in one order and number them in the other. Then the lower
 * number is reached with the later event: never too early, which is what counts.
 *
 * <p>Thread-safe. The lock guards the books only; no driver is called under it.
 */
final class CudaQueue implements DriverQueue {

    private static final int NOT_BEHIND_THE_DEFAULT_STREAM = 1;

    /**
     * A signal under way.
     *
     * @param event its event
     * @param value its number
     */
    private record Mark(CudaEvent event, long value) {}

    private final CudaApi cuda;
    private final PrimaryContext context;
    private final CudaEvents events;
    private final CUstream stream;
    private final Consumer<CudaQueue> closed;
    private final Object lock = new Object();
    private final Deque<Mark> pending = new ArrayDeque<>();
    private long signalled;

    private CudaQueue(
            CudaApi cuda, PrimaryContext context, CudaEvents events, CUstream stream, Consumer<CudaQueue> closed) {
        this.cuda = cuda;
        this.context = context;
        this.events = events;
        this.stream = stream;
        this.closed = closed;
    }

    /** Opens a stream that has nothing to do with the default one. */
    static CudaQueue open(CudaApi cuda, PrimaryContext context, CudaEvents events, Consumer<CudaQueue> closed)
            throws DriverException {
        CUstream stream = new CUstream();
        context.run("cuStreamCreate", () -> cuda.createStream(stream, NOT_BEHIND_THE_DEFAULT_STREAM));
        return new CudaQueue(cuda, context, events, stream, closed);
    }

    CUstream stream() {
        return stream;
    }

    /** Makes later work wait for an event the caller holds. */
    void waitFor(CudaEvent event) throws DriverException {
        events.await(stream, event);
    }

    /** Marks the end of what was submitted. */
    long signal() throws DriverException {
        CudaEvent event = events.record(stream);
        synchronized (lock) {
            signalled++;
            pending.add(new Mark(event, signalled));
            return signalled;
        }
    }

    /** The highest signal reached. */
    long completed() throws DriverException {
        while (true) {
            Mark first;
            synchronized (lock) {
                first = pending.peek();
                if (first == null) {
                    return signalled;
                }
                first.event().hold();
            }
            try {
                if (!first.event().isDone()) {
                    return first.value() - 1;
                }
                end(first);
            } finally {
                first.event().letGo();
            }
        }
    }

    /** Takes a signal that was reached off the books, unless another thread was faster. */
    private void end(Mark mark) {
        boolean ours;
        synchronized (lock) {
            ours = mark.equals(pending.peek());
            if (ours) {
                pending.remove();
            }
        }
        if (ours) {
            mark.event().letGo();
        }
    }

    /** The event a signal waits for, which the caller lets go of; none if it is known to be reached. */
    Optional<CudaEvent> holdAt(long value) {
        synchronized (lock) {
            for (Mark mark : pending) {
                if (mark.value() == value) {
                    mark.event().hold();
                    return Optional.of(mark.event());
                }
            }
        }
        return Optional.empty();
    }

    /** Whether nothing is left in it, signalled or not. */
    boolean isIdle() throws DriverException {
        int code = context.answer(() -> cuda.queryStream(stream));
        if (code == CudaError.NOT_READY) {
            return false;
        }
        context.require("cuStreamQuery", code);
        return true;
    }

    @Override
    public void close() {
        closed.accept(this);
        List<Mark> left;
        synchronized (lock) {
            left = new ArrayList<>(pending);
            pending.clear();
        }
        left.forEach(mark -> mark.event().letGo());
        // What the driver says to that helps nobody.
        context.giveBack("cuStreamDestroy", () -> cuda.destroyStream(stream));
    }
}
