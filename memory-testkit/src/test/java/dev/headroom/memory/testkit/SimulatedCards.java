package dev.headroom.memory.testkit;

import dev.headroom.memory.sim.SimulatedDevice;

/** The simulated cards both contracts are tried on. */
final class SimulatedCards {

    private static final long TOTAL_BYTES = 1L << 30;
    private static final long PAGE_BYTES = 2L << 20;

    private SimulatedCards() {}

    static SimulatedDevice.Builder plain() {
        return SimulatedDevice.builder("plain").totalBytes(TOTAL_BYTES);
    }

    static SimulatedDevice.Builder withRanges() {
        return SimulatedDevice.builder("ranges")
                .totalBytes(TOTAL_BYTES)
                .virtualMemory(PAGE_BYTES)
                .granularity(PAGE_BYTES);
    }

    static SimulatedDevice.Builder reachedByTheHost() {
        return SimulatedDevice.builder("visible").totalBytes(TOTAL_BYTES).hostVisibleMemory();
    }

    /** Small blocks, wide alignment, nothing coherent, and no copy that the engine does not stage. */
    static SimulatedDevice.Builder awkward() {
        return SimulatedDevice.builder("awkward")
                .totalBytes(TOTAL_BYTES)
                .maxBlockBytes(64 << 20)
                .baseAlignment(4096)
                .granularity(64 << 10)
                .withoutCoherence()
                .withoutHostCopies()
                .withoutPeerCopies();
    }
}
