package dev.headroom.memory.engine;

import dev.headroom.memory.BufferId;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What is to be remembered about a buffer beside where it lies. Most buffers that come and go have nothing of it, and so do
 * without this object. Thread-safe.
 */
final class BufferNotes {

    private static final VarHandle ID;
    private static final VarHandle PENDING;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            ID = lookup.findVarHandle(BufferNotes.class, "id", BufferId.class);
            PENDING = lookup.findVarHandle(BufferNotes.class, "pending", Point.Pending.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private volatile @Nullable BufferId id;
    private volatile Point.@Nullable Pending pending;
    // Set before anybody else sees the buffer.
    private @Nullable BufferTrail trail;
    private long byteAlignment = 1;
    private boolean recorded;
    private long traceId;

    /** The buffer's name, drawn when somebody asks. */
    BufferId id() {
        BufferId known = id;
        if (known != null) {
            return known;
        }
        ID.compareAndSet(this, null, BufferId.next());
        return Objects.requireNonNull(id);
    }

    /** What is under way on the memory, or was. */
    Point.@Nullable Pending pending() {
        return pending;
    }

    /** Makes the memory wait for something. */
    void addPending(Point point) {
        Point.Pending before;
        do {
            before = pending;
        } while (!PENDING.compareAndSet(this, before, Point.Pending.with(point, before)));
        if (trail != null) {
            trail.addPending(point);
        }
    }

    /** What the leak tracker remembers; null if it does not. */
    @Nullable
    BufferTrail trail() {
        return trail;
    }

    /** The leak tracker remembers the buffer. */
    void follow(BufferTrail newTrail) {
        trail = newTrail;
    }

    /** What was asked for where it is more than the default; otherwise 1. */
    long byteAlignment() {
        return byteAlignment;
    }

    void alignTo(long alignment) {
        byteAlignment = alignment;
    }

    /** Whether the allocation was an event, so that the close is one, too. */
    boolean isRecorded() {
        return recorded;
    }

    void record() {
        recorded = true;
    }

    /** What the buffer is called in a trace; 0 if it is in none. */
    long traceId() {
        return traceId;
    }

    void traceAs(long id) {
        traceId = id;
    }
}
