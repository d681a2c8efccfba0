package dev.headroom.memory.engine;

import dev.headroom.memory.BufferMetadata;
import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * What is remembered about one buffer, and outlives it: who it was, where it was allocated and closed, and what its memory has
 * to wait for. Found in its queue once the buffer cannot be reached any more. Does not hold the buffer. Thread-safe.
 */
final class BufferTrail extends PhantomReference<Object> {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final BufferMetadata metadata;
    private final Throwable allocated;
    private final Heap heap;
    private final int node;
    private final AtomicReference<@Nullable Throwable> closed = new AtomicReference<>();
    private final AtomicBoolean closedTwice = new AtomicBoolean();
    // Guarded by this.
    private Point.@Nullable Pending pending;
    private int holds;
    // Set before anybody else sees the buffer.
    private long traceId;

    /**
     * The trail of a buffer that nobody else has seen yet.
     *
     * @param buffer    the buffer
     * @param heap      where its memory lies
     * @param node      the memory's name there
     * @param queue     where the trail is put when the buffer cannot be reached any more
     * @param metadata  who it is
     * @param allocated where it was allocated
     */
    BufferTrail(
            Object buffer,
            Heap heap,
            int node,
            ReferenceQueue<Object> queue,
            BufferMetadata metadata,
            Throwable allocated) {
        super(buffer, queue);
        this.metadata = metadata;
        this.allocated = allocated;
        this.heap = heap;
        this.node = node;
    }

    BufferMetadata metadata() {
        return metadata;
    }

    Heap heap() {
        return heap;
    }

    /** The memory's name in the heap. */
    int node() {
        return node;
    }

    /** Takes note of a close; of a second one it speaks once. */
    void close(Object buffer) {
        Throwable here = new Throwable("closed here");
        if (!closed.compareAndSet(null, here) && !closedTwice.getAndSet(true)) {
            Throwable again = new Throwable("closed again here");
            explain(again);
            LOG.log(System.Logger.Level.DEBUG, buffer + " was closed twice, which does nothing", again);
        }
    }

    /** What the buffer is called in a trace; 0 if it is in none. */
    long traceId() {
        return traceId;
    }

    void traceAs(long id) {
        traceId = id;
    }

    boolean isClosed() {
        return closed.get() != null;
    }

    /** Adds where the buffer was closed and where it was allocated to a complaint about it. */
    void explain(Throwable complaint) {
        Throwable close = closed.get();
        if (close != null) {
            complaint.addSuppressed(close);
        }
        complaint.addSuppressed(allocated);
    }

    /** Something that must have happened before the memory is used again. */
    synchronized void addPending(Point point) {
        pending = Point.Pending.with(point, pending);
    }

    synchronized Point.@Nullable Pending pending() {
        return pending;
    }

    /** A view of the memory was opened. */
    synchronized void hold() {
        holds++;
    }

    /** A view of the memory was closed. */
    synchronized void letGo() {
        holds--;
    }

    /** Whether a view of the memory is open: whoever has it may still reach the bytes. */
    synchronized boolean isHeld() {
        return holds > 0;
    }
}
