package dev.headroom.examples.matmul;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.Selection;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/** A backend's kernels on a device of this machine; skipped, with the reason, where it has none. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class DeviceMatmulContract extends MatmulContract {

    private final String backend;
    private final GpuMemory memory = GpuMemory.builder()
            .config(MemoryConfig.builder().limitBytes(256L << 20).build())
            .open();
    private final Selection selection;

    DeviceMatmulContract(String backend) {
        this.backend = backend;
        this.selection = memory.explainSelection(64L << 20, BackendPreference.parse(backend));
    }

    @BeforeAll
    void requireDevice() {
        boolean here = selection.chosen().isPresent();
        if (!here) {
            System.out.println("skipped, no " + backend + " device: " + selection.explain());
        }
        assumeTrue(here, () -> "no " + backend + " device: " + selection.explain());
    }

    @AfterAll
    void close() {
        memory.close();
    }

    /** Whatever a test did, its scheduler gave all buffers back. */
    @AfterEach
    void nothingIsInUse() {
        assertThat(pool().awaitIdle(Duration.ofSeconds(30))).isTrue();
        assertThat(pool().stats().activeBuffers()).isZero();
        assertThat(pool().stats().inUseBytes()).isZero();
    }

    GpuMemoryPool pool() {
        return selection.pool();
    }

    @Override
    HybridScheduler scheduler(long threshold) {
        GpuMemoryPool pool = pool();
        return HybridScheduler.of(pool, MatmulKernels.of(pool), threshold);
    }

    @Test
    void the_second_identical_call_takes_nothing_from_the_driver() {
        MatmulTask task = Products.random(100, 90, 80);
        try (HybridScheduler scheduler = scheduler(0)) {
            scheduler.matmul(task.a(), task.b(), 100, 90, 80);
            long before = pool().stats().totalAllocatedBytes();
            for (int i = 0; i < 100; i++) {
                scheduler.matmul(task.a(), task.b(), 100, 90, 80);
            }
            assertThat(pool().stats().totalAllocatedBytes()).isEqualTo(before);
            assertThat(scheduler.poolStats().misses()).isEqualTo(3);
            assertThat(scheduler.poolStats().hits()).isEqualTo(300);
        }
    }
}
