package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.BrokenInvariant.require;
import static dev.headroom.memory.engine.BrokenInvariant.requireThrown;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Opens and closes pools, and listens to their pressure. */
final class WorldPools {

    private final WorldState state;
    private final WorldTransfers transfers;
    private final WorldBuffers buffers;
    private final WorldHolds holds;

    WorldPools(WorldState state, WorldTransfers transfers, WorldBuffers buffers, WorldHolds holds) {
        this.state = state;
        this.transfers = transfers;
        this.buffers = buffers;
        this.holds = holds;
    }

    /** Opens a pool on each device of each backend. */
    void openAll() {
        for (SimulatedBackend backend : state.backends) {
            for (SimulatedDevice device : backend.devices()) {
                MemoryConfig config = backend.name().equals("cpu")
                        ? state.plan.hostConfig()
                        : state.places.isEmpty() ? state.plan.config() : state.plan.siblingConfig();
                WorldPlace place = new WorldPlace(backend, device, config, open(backend, device, config));
                state.places.add(place);
                opened(place);
            }
        }
    }

    void reopen(SplittableRandom random) {
        WorldPlace place = state.pickPlace(random);
        state.tell("close %s and open it anew", place.pool);
        close(place);
        place.pool = open(place.backend, place.device, place.config);
        opened(place);
    }

    private PoolEngine open(SimulatedBackend backend, SimulatedDevice device, MemoryConfig config) {
        try {
            backend.probe();
            return PoolEngine.open(
                    backend.open(device.device()),
                    new PoolSetting(
                            config,
                            config.limitBytes(),
                            budget -> budget,
                            () -> backend.name().equals("sim") ? hostPool() : null,
                            state.clock));
        } catch (DriverException e) {
            throw new IllegalStateException(e);
        }
    }

    private @Nullable GpuMemoryPool hostPool() {
        WorldPlace last = state.places.getLast();
        return last.isHost() ? last.pool : null;
    }

    private void opened(WorldPlace place) {
        state.poolOpened(place);
        place.pool.pump().close(); // no threads: their steps are taken here
        place.pool.monitor().stop();
        place.pool.addPressureListener(listener());
    }

    /** Gives up what only the user can: stages, and now and then a buffer. */
    private PressureListener listener() {
        return (pool, pressure, wanted) -> {
            if (!state.listening) {
                return 0;
            }
            holds.endStages();
            if (wanted % 3 == 0 && !state.open.isEmpty()) {
                ModelBuffer victim = state.open.get((int) (wanted % state.open.size()));
                long size = victim.byteSize();
                if (!victim.held()) {
                    state.tell("  the listener gives up");
                    buffers.close(victim, false);
                    return size;
                }
            }
            if (wanted % 101 == 0) {
                throw new IllegalStateException("a listener that fails");
            }
            return 0;
        };
    }

    void close(WorldPlace place) {
        holds.endStages(); // close waits for them, and for views and pins
        List<ModelBuffer> gone = state.present();
        gone.removeIf(b -> b.pool != place.pool);
        holds.letGoOf(gone);
        transfers.pumpAll();
        state.closeReservations(place);
        place.pool.close();
        place.pool.close();
        state.poolClosed(place);
        gone.removeIf(b -> b.closed);
        state.open.removeAll(gone);
        for (ModelBuffer buffer : gone) {
            requireThrown(BufferClosedException.class, () -> buffer.core.fill(0, 1, (byte) 0));
            buffer.handle.close();
            buffer.closed = true;
        }
        requireThrown(BufferClosedException.class, () -> place.pool.allocate(1));
        require(
                "I10",
                place.device.ledger().isEmpty(),
                () -> "left behind: " + place.device.ledger().describe());
        transfers.collect();
    }
}
