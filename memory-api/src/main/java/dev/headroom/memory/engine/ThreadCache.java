package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.LocalCache;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Freed memory for one thread. Others only look at its figures, ask it to give everything back, and inherit from a thread that has
 * ended.
 */
final class ThreadCache implements LocalCache, LocalStore {

    private static final VarHandle ASKED;

    static {
        try {
            ASKED = MethodHandles.lookup().findVarHandle(ThreadCache.class, "asked", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private static final int NOTHING = 0;
    private static final int TO_GIVE_BACK = 1;
    private static final int TO_END = 2;

    private final Thread owner = Thread.currentThread();
    private final long ownerId = owner.threadId();
    private final PoolIds ids;
    private final BlockList blocks;
    private final SizeTable table;
    private boolean closed;

    @SuppressWarnings("unused") // through ASKED
    private int asked;

    /**
     * An empty cache of the calling thread.
     *
     * @param ids    the memory by number
     * @param blocks the memory
     */
    ThreadCache(PoolIds ids, BlockList blocks) {
        this.ids = ids;
        this.blocks = blocks;
        this.table = blocks.localTable();
    }

    @Override
    public long allocate(long byteSize) {
        requireOwner();
        int name = byteSize > 0 && isUndisturbed() && ids.isServing() ? take(blocks.rounded(byteSize)) : SizeTable.NONE;
        return name == SizeTable.NONE ? allocateElsewhere(byteSize) : ids.issue(name, byteSize);
    }

    private int take(long rounded) {
        return table.take(0, table.set(0, rounded), rounded);
    }

    private long allocateElsewhere(long byteSize) {
        requireOpen();
        obey();
        int name = ids.hit(byteSize);
        if (name == SizeTable.NONE) {
            giveBack(); // it may be what is missing
            name = ids.search(byteSize);
        }
        return ids.issue(name, byteSize);
    }

    @Override
    public void free(long id) {
        requireOwner();
        int name = ids.revoke(id);
        long byteSize = blocks.byteSize(name);
        if (byteSize > BufferCache.MOST_BUFFER_BYTES || ClassBlocks.isBlock(name) || !isUndisturbed()) {
            obey();
            blocks.free(name, byteSize);
        } else {
            keep(name, byteSize);
        }
    }

    private void keep(int name, long byteSize) {
        int set = table.set(0, byteSize);
        int left = table.admits(0, set, byteSize) ? table.put(0, set, name, byteSize) : name;
        if (left != SizeTable.NONE) {
            blocks.free(name);
            if (left != name) {
                blocks.free(left);
            }
        }
    }

    @Override
    public long offset(long id) {
        return ids.offset(id);
    }

    @Override
    public long byteSize(long id) {
        return ids.byteSize(id);
    }

    @Override
    public int block(long id) {
        return ids.block(id);
    }

    @Override
    public DeviceBuffer view(long id) {
        return ids.view(id);
    }

    @Override
    public DeviceBuffer toBuffer(long id) {
        return ids.toBuffer(id);
    }

    @Override
    public void close() {
        requireOwner();
        if (!closed) {
            closed = true;
            giveBack();
            blocks.forget(this);
        }
    }

    @Override
    public String toString() {
        return "local cache of " + owner.getName() + ", " + ids;
    }

    // What others do. The owner shares nothing else with them.

    @Override
    public boolean askBack() {
        if (owner.isAlive()) {
            boolean _ = ASKED.compareAndSet(this, NOTHING, TO_GIVE_BACK);
            return false;
        }
        blocks.forget(this);
        synchronized (this) { // two may have found the same
            return giveBack();
        }
    }

    @Override
    public void end() {
        ASKED.setVolatile(this, TO_END);
    }

    @Override
    public long cachedBytes() {
        return table.byteSize(0);
    }

    @Override
    public long entries() {
        return table.entries(0);
    }

    @Override
    public long hits() {
        return table.hits(0);
    }

    private boolean isUndisturbed() {
        return (int) ASKED.getOpaque(this) == NOTHING && !closed;
    }

    private void obey() {
        if (ASKED.compareAndSet(this, TO_GIVE_BACK, NOTHING)) {
            giveBack();
        }
    }

    private boolean giveBack() {
        int[] names = new int[table.mostNames()];
        int count = table.empty(0, names);
        blocks.freeAll(names, count);
        return count > 0;
    }

    private void requireOwner() {
        if (Thread.currentThread().threadId() != ownerId) {
            throw new IllegalStateException(
                    this + " was used by " + Thread.currentThread().getName() + ": make one for each thread");
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException(this + " was used after it was closed");
        }
    }
}
