package dev.headroom.memory.engine;

import dev.headroom.memory.spi.DriverBlock;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The memory behind a buffer: where it lies, who uses it now, and what it waits for. Thread-safe. */
abstract class Extent extends UseCount {

    private static final VarHandle NOTES;

    static {
        try {
            NOTES = MethodHandles.lookup().findVarHandle(Extent.class, "notes", BufferNotes.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final Heap heap;
    private final long byteSize;
    private final int node;
    private volatile @Nullable BufferNotes notes;

    /**
     * Memory that was taken.
     *
     * @param heap     where it lies
     * @param node     its name there
     * @param byteSize what was asked for
     */
    Extent(Heap heap, int node, long byteSize) {
        this.heap = heap;
        this.node = node;
        this.byteSize = byteSize;
    }

    final Heap heap() {
        return heap;
    }

    /** The driver's block it lies in. For who uses the buffer: of memory given back nobody knows where it was. */
    final DriverBlock block() {
        return heap.blocks().memory(node);
    }

    /** Where it begins in the block. For who uses the buffer. */
    final long byteOffset() {
        return heap.blocks().byteOffset(node);
    }

    /** What was asked for. */
    public final long byteSize() {
        return byteSize;
    }

    /** Its name in the heap. */
    final int node() {
        return node;
    }

    final boolean hostVisible() {
        return heap.traits().hostVisible();
    }

    /** What is remembered about it, if anything. */
    final @Nullable BufferNotes notes() {
        return notes;
    }

    /** Where something about it can be noted. */
    final BufferNotes ownNotes() {
        BufferNotes known = notes;
        if (known != null) {
            return known;
        }
        NOTES.compareAndSet(this, null, new BufferNotes());
        return Objects.requireNonNull(notes);
    }

    /** What is under way on it, or was. */
    final Point.@Nullable Pending pending() {
        BufferNotes known = notes;
        return known == null ? null : known.pending();
    }

    /** Makes the memory wait for something. */
    final void addPending(Point point) {
        ownNotes().addPending(point);
    }
}
