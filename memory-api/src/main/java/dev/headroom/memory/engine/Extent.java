package dev.headroom.memory.engine;

import dev.headroom.memory.spi.DriverBlock;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/** The memory behind a buffer: where it lies, who uses it now, and what it waits for. Thread-safe. */
abstract class Extent extends UseCount {

    private static final VarHandle PENDING;

    static {
        try {
            PENDING = MethodHandles.lookup().findVarHandle(Extent.class, "pending", Point.Pending.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final Heap heap;
    private final DriverBlock block;
    private final long byteOffset;
    private final int node;
    private volatile Point.@Nullable Pending pending;

    Extent(Heap heap, BlockList.Place place) {
        this.heap = heap;
        this.block = place.block();
        this.byteOffset = place.byteOffset();
        this.node = place.node();
    }

    final Heap heap() {
        return heap;
    }

    final DriverBlock block() {
        return block;
    }

    /** Where it begins in the block. */
    final long byteOffset() {
        return byteOffset;
    }

    /** Its name in the heap. */
    final int node() {
        return node;
    }

    final boolean hostVisible() {
        return heap.traits().hostVisible();
    }

    /** What is under way on it, or was. */
    final Point.@Nullable Pending pending() {
        return pending;
    }

    /** Makes the memory wait for something. */
    void addPending(Point point) {
        Point.Pending before;
        do {
            before = pending;
        } while (!PENDING.compareAndSet(this, before, Point.Pending.with(point, before)));
    }
}
