package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.spi.KindTraits;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeMap;

/** A pool, and what the model counts of it. */
final class WorldPlace {

    /** A user's queues on each device. */
    static final int QUEUES = 3;

    final SimulatedBackend backend;
    final SimulatedDevice device;
    final MemoryConfig config;
    final List<SimulatedQueue> queues = new ArrayList<>();
    /** Memory that somebody has or had, by address. */
    final TreeMap<Long, ModelBuffer> spans = new TreeMap<>();

    PoolEngine pool;
    long open;
    long served;
    long fallbacks;

    WorldPlace(SimulatedBackend backend, SimulatedDevice device, MemoryConfig config, PoolEngine pool) {
        this.backend = backend;
        this.device = device;
        this.config = config;
        this.pool = pool;
    }

    /** Counts from nothing again, because the pool is a new one. */
    void startAnew() {
        open = 0;
        served = 0;
        fallbacks = 0;
        spans.clear();
        queues.forEach(SimulatedQueue::close);
        queues.clear();
        for (int i = 0; i < QUEUES; i++) {
            queues.add(device.newQueue());
        }
    }

    boolean isHost() {
        return backend.name().equals("cpu");
    }

    boolean has(MemoryKind kind) {
        return pool.session().driver().traits(kind).supported();
    }

    boolean onDevice(MemoryKind kind) {
        return has(kind) && pool.heaps().of(kind).traits().placement() == KindTraits.Placement.DEVICE;
    }

    /** What a limit binds. */
    long blockBytes() {
        long bytes = 0;
        for (Heap heap : pool.heaps().all()) {
            if (heap.traits().placement() == KindTraits.Placement.DEVICE) {
                bytes += heap.blocks().figures().blockBytes();
            }
        }
        return bytes;
    }

    /** Whether no closed buffer waits for work: time alone may turn such memory into idle memory. */
    boolean isQuiet() {
        return pool.heaps().all().stream()
                        .mapToLong(heap -> heap.blocks().figures().buffers())
                        .sum()
                == pool.stats().activeBuffers();
    }

    /** I1 and I5: nobody else is in the way, and whoever was has ended. */
    void claim(ModelBuffer buffer) {
        long end = buffer.address + buffer.grantedBytes();
        Long from = spans.floorKey(buffer.address);
        for (Long at = from != null ? from : spans.ceilingKey(buffer.address);
                at != null && at < end;
                at = spans.higherKey(at)) {
            ModelBuffer other = Objects.requireNonNull(spans.get(at));
            if (other.address + other.grantedBytes() > buffer.address) {
                require("I1", other.closed && !other.held(), () -> buffer + " overlaps " + other);
                require(
                        "I5",
                        other.usesEnded(),
                        () -> buffer + " was given the memory of " + other + " while it was in use");
                spans.remove(at);
            }
        }
        spans.put(buffer.address, buffer);
    }
}
