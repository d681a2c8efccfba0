package dev.headroom.memory.engine;

import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.GpuMemoryPool;

/** What a buffer needs of the pool it lives in. */
interface BufferHome {

    /** The pool, as users see it. */
    GpuMemoryPool pool();

    DeviceSession session();

    CopyEngine copies();

    UserFences fences();

    Waiter waiter();

    BufferLocation location();

    /** Begins a use of the pool, or says why not. */
    void begin();

    /** Ends a use of the pool. */
    void end();

    /**
     * Takes a buffer's memory back, now or when what is pending on it is done.
     *
     * @param extent the memory; nobody uses it any more
     */
    void recycle(Extent extent);
}
