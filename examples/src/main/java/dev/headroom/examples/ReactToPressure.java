package dev.headroom.examples;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.sim.SimulatedBackend;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * A cache that gives way: when the device is full, the pool asks for memory, and the cache drops its oldest entries.
 *
 * <p>The device is a simulated card of 64 MiB, so that it fills up on every machine. With a real one, {@code GpuMemory.open()}
 * takes the place of the builder.
 */
final class ReactToPressure {

    private static final long MIB = 1L << 20;

    private final GpuMemoryPool pool;
    private final Deque<DeviceBuffer> entries = new ArrayDeque<>();

    private ReactToPressure(GpuMemoryPool pool) {
        this.pool = pool;
    }

    /** Called on the thread that allocates, with no lock held. */
    private long giveBack(GpuMemoryPool asking, MemoryPressure pressure, long wantedBytes) {
        long freed = 0;
        while (freed < wantedBytes && !entries.isEmpty()) {
            DeviceBuffer oldest = entries.removeFirst();
            freed += oldest.byteSize();
            oldest.close();
        }
        System.out.println(pressure + ": " + wantedBytes / MIB + " MiB wanted, " + freed / MIB + " MiB given back");
        return freed;
    }

    private void run() {
        pool.addPressureListener(this::giveBack);
        for (int i = 0; i < 7; i++) {
            entries.add(pool.allocate(8 * MIB));
        }
        System.out.println(entries.size() + " entries cached, pressure " + pool.pressure());

        try (DeviceBuffer urgent = pool.allocate(24 * MIB)) {
            System.out.println("got " + urgent.byteSize() / MIB + " MiB, " + entries.size() + " entries left");
        }
        entries.forEach(DeviceBuffer::close);
    }

    public static void main(String[] args) {
        MemoryConfig wholeCard =
                MemoryConfig.builder().fraction(1).minFreeBytes(0).build();
        try (GpuMemory memory = GpuMemory.builder()
                .backend(SimulatedBackend.card(64 * MIB))
                .config(wholeCard)
                .open()) {
            new ReactToPressure(memory.pool(memory.devices().getFirst())).run();
        }
    }
}
