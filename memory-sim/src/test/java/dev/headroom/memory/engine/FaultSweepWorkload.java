package dev.headroom.memory.engine;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultPlan;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.VirtualClock;
import java.util.List;

/**
 * Something programs do, to be done again and again with other calls failing. It closes what it opens even when it fails, as a
 * program should.
 *
 * @param name     what it does
 * @param config   the configuration of its memory
 * @param backends its devices
 * @param leaves   buffers it leaves open on purpose
 * @param pumps    whether it uses asynchronous transfers, whose thread makes calls of its own
 * @param body     what is done
 */
record FaultSweepWorkload(String name, MemoryConfig config, Backends backends, long leaves, boolean pumps, Body body) {

    /** Makes fresh devices for one run. */
    @FunctionalInterface
    interface Backends {
        List<SimulatedBackend> make(VirtualClock clock, FaultPlan plan);
    }

    /** What is done. */
    @FunctionalInterface
    interface Body {
        void run(FaultSweepRun run) throws Exception;
    }

    FaultSweepWorkload with(MemoryConfig newConfig) {
        return new FaultSweepWorkload(name, newConfig, backends, leaves, pumps, body);
    }

    FaultSweepWorkload leaving(long buffers) {
        return new FaultSweepWorkload(name, config, backends, buffers, pumps, body);
    }

    /** Staging memory comes back from the pump's thread, however slow the machine is. */
    FaultSweepWorkload pumping() {
        MemoryConfig patient =
                config.toBuilder().waitTimeout(FaultSweepRun.millis(5000)).build();
        return new FaultSweepWorkload(name, patient, backends, leaves, true, body);
    }

    @Override
    public String toString() {
        return name;
    }
}
