package dev.headroom.memory.engine;

import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.sim.SimulatedBackend;

/** A pool over a simulated card, one for all trials of a JVM. */
final class StressPool {

    static final long SIZE = 4096;

    private static final GpuMemory MEMORY =
            GpuMemory.builder().backend(SimulatedBackend.card(64L << 30)).open();

    static final PoolEngine POOL = (PoolEngine) MEMORY.pool(MEMORY.devices().getFirst());

    /** Memory that stays in use, for buffers that are made around it. */
    private static final EngineBuffer MODEL = (EngineBuffer) POOL.allocate(SIZE);

    private StressPool() {}

    /** A buffer whose end is counted and does nothing else. */
    static EngineBuffer buffer(Home home) {
        return new EngineBuffer(home, MODEL.heap(), MODEL.node(), SIZE);
    }

    /** Free memory of the pool's book, taken. */
    static int taken() {
        EngineBuffer buffer = (EngineBuffer) POOL.allocate(SIZE);
        return buffer.node(); // whoever has the name may free it
    }

    static BlockList blocks() {
        return MODEL.heap().blocks();
    }

    /** Whether two buffers share a byte. */
    static boolean overlap(EngineBuffer one, EngineBuffer other) {
        return one.block().equals(other.block())
                && one.byteOffset() < other.byteOffset() + other.byteSize()
                && other.byteOffset() < one.byteOffset() + one.byteSize();
    }

    /** Counts what comes back. The figures are plain on purpose: only one thread may bring a buffer's memory back. */
    static final class Home implements BufferHome {
        private int recycled;
        private int withPending;

        int recycled() {
            return recycled;
        }

        /** How often memory came back that was still to wait for something. */
        int withPending() {
            return withPending;
        }

        @Override
        public void recycle(Extent extent) {
            recycled++;
            withPending += extent.pending() == null ? 0 : 1;
        }

        @Override
        public GpuMemoryPool pool() {
            return POOL;
        }

        @Override
        public DeviceSession session() {
            return POOL.session();
        }

        @Override
        public CopyEngine copies() {
            return POOL.copies();
        }

        @Override
        public UserFences fences() {
            return POOL.fences();
        }

        @Override
        public Waiter waiter() {
            return POOL.waiter();
        }

        @Override
        public BufferLocation location() {
            return POOL.location();
        }

        @Override
        public void begin() {}

        @Override
        public void end() {}
    }
}
