package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.SimulatedBackend;
import org.junit.jupiter.api.Test;

/** What the host stood in for, in bytes; in buffers it is among the public counters. */
class FallbackBytesTest {

    private static final long MIB = 1L << 20;

    @Test
    void bytesAreCountedAsAskedForAndStayCounted() {
        MemoryConfig config = MemoryConfig.builder().limitBytes(MIB).build();
        try (GpuMemory memory = GpuMemory.builder()
                .config(config)
                .backend(SimulatedBackend.card(64 * MIB))
                .backend(SimulatedBackend.host(1024 * MIB))
                .open()) {
            PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
            try (FallbackBuffer here = pool.allocateWithFallback(MIB);
                    FallbackBuffer there = pool.allocateWithFallback(2 * MIB + 1);
                    FallbackBuffer more = pool.allocateWithFallback(1)) {
                assertThat(here.isCpuFallback()).isFalse();
                assertThat(there.isCpuFallback()).isTrue();
                assertThat(more.isCpuFallback()).isTrue();
            }
            assertThat(pool.fallbackBytes()).isEqualTo(2 * MIB + 2);
            assertThat(pool.stats().cpuFallbacks()).isEqualTo(2);
        }
    }
}
