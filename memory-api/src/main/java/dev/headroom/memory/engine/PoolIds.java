package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.IdAllocator;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.jspecify.annotations.Nullable;

/** The memory of a heap by number. Thread-safe. */
final class PoolIds implements IdAllocator {

    /** What ids need of the pool whose memory they stand for. */
    interface Home extends BufferHome {

        Recordings recordings();

        /** Tries everything for memory nobody holds a buffer of. Its name in the heap. */
        int take(Heap heap, AllocationRequest request);

        /** A buffer of memory that was taken before. */
        DeviceBuffer buffer(Heap heap, int name, long byteSize);
    }

    private final Home pool;
    private final DeviceSession session;
    private final Recordings recordings;
    private final Heap heap;
    private final BlockList blocks;
    private final IdTable table = new IdTable();
    /** What ids are called in a trace; null until one is recorded. */
    private volatile @Nullable ConcurrentMap<Long, Long> traced;

    PoolIds(Home pool, Heap heap) {
        this.pool = pool;
        this.session = pool.session();
        this.recordings = pool.recordings();
        this.heap = heap;
        this.blocks = heap.blocks();
    }

    @Override
    public long allocate(long byteSize) {
        int name = hit(byteSize);
        return issue(name == Tlsf.NONE ? search(byteSize) : name, byteSize);
    }

    /** Memory at hand or in the book; {@link Tlsf#NONE} if there is none, or if something is wrong. */
    int hit(long byteSize) {
        return byteSize > 0 && session.isServing()
                ? blocks.hit(byteSize, AllocationRequest.DEFAULT_ALIGNMENT)
                : Tlsf.NONE;
    }

    boolean isServing() {
        return session.isServing();
    }

    /** Memory that is not there: everything is tried. */
    int search(long byteSize) {
        return pool.take(heap, AllocationRequest.of(byteSize));
    }

    /** The id of memory somebody just got. */
    long issue(int name, long byteSize) {
        long id = table.issue(name);
        TraceRecorder recorder = recordings.current();
        if (recorder != null) {
            trace(id, byteSize, recorder);
        }
        return id;
    }

    @Override
    public void free(long id) {
        int name = revoke(id);
        blocks.free(name, blocks.byteSize(name));
    }

    /** The memory behind an id nobody may use any more. */
    int revoke(long id) {
        int name = table.revoke(id);
        if (traced != null) {
            untrace(id);
        }
        return name;
    }

    @Override
    public long offset(long id) {
        return blocks.byteOffset(table.name(id));
    }

    @Override
    public long byteSize(long id) {
        return blocks.byteSize(table.name(id));
    }

    @Override
    public int block(long id) {
        return blocks.region(table.name(id));
    }

    @Override
    public DeviceBuffer view(long id) {
        int name = table.name(id);
        return new EngineBuffer(new IdView(pool, table, id), heap, name, blocks.byteSize(name));
    }

    @Override
    public DeviceBuffer toBuffer(long id) {
        pool.begin();
        try {
            int name = revoke(id);
            return pool.buffer(heap, name, blocks.byteSize(name));
        } finally {
            pool.end();
        }
    }

    @Override
    public String toString() {
        return pool.pool() + " ids";
    }

    private synchronized void trace(long id, long byteSize, TraceRecorder recorder) {
        long name = recorder.allocated(byteSize);
        if (name == 0) {
            recordings.drop(recorder);
            return;
        }
        if (traced == null) {
            traced = new ConcurrentHashMap<>();
        }
        traced.put(id, name);
    }

    private void untrace(long id) {
        ConcurrentMap<Long, Long> names = traced;
        Long name = names == null ? null : names.remove(id);
        if (name != null) {
            recordings.freed(name);
        }
    }
}
