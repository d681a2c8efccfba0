package dev.headroom.memory.engine;

import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.GpuMemoryPool;

/** The home of a buffer that looks at the memory of an id: each use asks whether the id still stands for it, and no close frees it. */
record IdView(BufferHome home, IdTable table, long id) implements BufferHome {

    @Override
    public GpuMemoryPool pool() {
        return home.pool();
    }

    @Override
    public DeviceSession session() {
        return home.session();
    }

    @Override
    public CopyEngine copies() {
        return home.copies();
    }

    @Override
    public UserFences fences() {
        return home.fences();
    }

    @Override
    public Waiter waiter() {
        return home.waiter();
    }

    @Override
    public BufferLocation location() {
        return home.location();
    }

    @Override
    public void begin() {
        home.begin();
        boolean inUse = false;
        try {
            int _ = table.name(id);
            inUse = true;
        } finally {
            if (!inUse) {
                home.end();
            }
        }
    }

    @Override
    public void end() {
        home.end();
    }

    @Override
    public void recycle(Extent extent) {
        // The memory is the id's.
    }
}
