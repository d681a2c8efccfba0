package dev.headroom.examples.matmul;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.examples.matmul.AsyncGpuResult.State;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.DriverException;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The scheduler on a simulated device, which is as slow, as full or as broken as a test wants it. What hangs fails. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HybridSchedulerTest extends MatmulContract {

    private static final Duration KERNEL = Duration.ofSeconds(1);
    private static final long LIMIT = 64 << 20;

    private VirtualClock clock = VirtualClock.automatic();
    private SimulatedBackend backend = SimulatedBackend.card(1L << 30);
    private Optional<GpuMemory> memory = Optional.empty();

    private GpuMemoryPool pool() {
        backend = SimulatedBackend.builder("sim")
                .clock(clock)
                .device(SimulatedDevice.builder("card").totalBytes(1L << 30))
                .build();
        GpuMemory opened = GpuMemory.builder()
                .config(MemoryConfig.builder().limitBytes(LIMIT).build())
                .backend(backend)
                .clock(clock)
                .open();
        memory = Optional.of(opened);
        return opened.pool(opened.devices().getFirst());
    }

    @Override
    HybridScheduler scheduler(long threshold) {
        return scheduler(pool(), threshold);
    }

    private HybridScheduler scheduler(GpuMemoryPool pool, long threshold) {
        return HybridScheduler.of(pool, Optional.of(new SimulatedMatmul(backend.device(0), KERNEL)), threshold);
    }

    @AfterEach
    void close() {
        clock.runUntilIdle(); // else a test that fails with a kernel under way would wait for it for ever
        memory.ifPresent(GpuMemory::close);
        backend.requireNoViolations();
    }

    @ParameterizedTest
    @CsvSource({"1, 512, 512, 1, 0", "64, 64, 63, 1, 0", "64, 64, 64, 0, 1", "2, 512, 256, 0, 1"})
    void small_products_and_single_rows_stay_on_the_host(int m, int k, int n, long onHost, long onDevice) {
        MatmulTask task = Products.random(m, k, n);
        try (HybridScheduler scheduler = scheduler(HybridScheduler.DEFAULT_THRESHOLD)) {
            Products.requireCorrect(task, scheduler.matmul(task.a(), task.b(), m, k, n));
            assertThat(scheduler.report().onHost()).isEqualTo(onHost);
            assertThat(scheduler.report().onDevice()).isEqualTo(onDevice);
        }
    }

    @Test
    void host_work_is_done_while_the_device_is_at_work() {
        clock = VirtualClock.manual();
        MatmulTask task = Products.random(20, 30, 40);
        try (HybridScheduler scheduler = scheduler(0)) {
            AsyncGpuResult pending = scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40);
            float[] onHost = HostMatmul.multiply(task);
            assertThat(pending.state()).isEqualTo(State.PENDING);
            assertThat(pending.isReady()).isFalse();
            assertThat(pending.tryGet()).isEmpty();
            assertThat(pending.error()).isEmpty();
            assertThat(scheduler.poolStats().cachedBuffers())
                    .as("A and B, which wait for their kernel")
                    .isEqualTo(2);

            clock.advance(KERNEL.multipliedBy(2));
            assertThat(pending.await()).isEqualTo(onHost);
            assertThat(pending.state()).isEqualTo(State.READY);
            assertThat(pending.tryGet()).isPresent();
        }
    }

    @Test
    void buffers_of_a_kernel_under_way_are_not_handed_out() {
        clock = VirtualClock.manual();
        MatmulTask task = Products.random(20, 30, 40);
        try (HybridScheduler scheduler = scheduler(0)) {
            AsyncGpuResult first = scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40);
            AsyncGpuResult second = scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40);
            assertThat(scheduler.poolStats().misses()).isEqualTo(6);
            clock.advance(KERNEL.multipliedBy(3));
            assertThat(first.await()).isEqualTo(second.await());
            AsyncGpuResult third = scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40);
            assertThat(scheduler.poolStats().hits()).isEqualTo(3);
            clock.advance(KERNEL.multipliedBy(2));
            Products.requireCorrect(task, third.await());
        }
    }

    @Test
    void a_thousand_calls_of_three_shapes_miss_once_for_each_buffer() {
        int[][] shapes = {{2, 3, 5}, {7, 11, 13}, {17, 19, 23}};
        try (HybridScheduler scheduler = scheduler(0)) {
            for (int i = 0; i < 1000; i++) {
                int[] shape = shapes[i % shapes.length];
                MatmulTask task = Products.random(shape[0], shape[1], shape[2]);
                PooledMatrix c = scheduler.matmulPooled(task.a(), task.b(), shape[0], shape[1], shape[2]);
                Products.requireCorrect(task, c.toArray());
                scheduler.releaseBuffer(c);
                scheduler.releaseBuffer(c); // once is enough
            }
            BufferPoolStats stats = scheduler.poolStats();
            assertThat(stats.misses()).isEqualTo(9);
            assertThat(stats.hits()).isEqualTo(3000 - 9);
            assertThat(stats.hitRate()).isEqualTo(0.997);
            assertThat(stats.cachedBuffers()).isEqualTo(9);
            assertThat(stats.cachedBytes()).isEqualTo(4 * (6 + 15 + 10 + 77 + 143 + 91 + 17 * 19 + 19 * 23 + 17 * 23));
        }
    }

    @Test
    void the_second_identical_call_asks_the_driver_for_no_memory() {
        MatmulTask task = Products.random(300, 200, 100);
        GpuMemoryPool pool = pool();
        try (HybridScheduler scheduler = scheduler(pool, 0)) {
            scheduler.matmul(task.a(), task.b(), 300, 200, 100);
            long before = backend.faults().calls("allocate");
            assertThat(before).isPositive();
            scheduler.matmul(task.a(), task.b(), 300, 200, 100);
            assertThat(backend.faults().calls("allocate")).isEqualTo(before);
            assertThat(scheduler.poolStats().hits()).isEqualTo(3);
        }
    }

    @Test
    void ten_thousand_calls_do_not_grow() {
        requireNoGrowth(10_000);
    }

    @Test
    @Tag("long")
    void a_hundred_thousand_calls_do_not_grow() {
        requireNoGrowth(100_000);
    }

    private void requireNoGrowth(int calls) {
        MatmulTask task = Products.random(64, 64, 64);
        GpuMemoryPool pool = pool();
        try (HybridScheduler scheduler = scheduler(pool, HybridScheduler.DEFAULT_THRESHOLD)) {
            compute(scheduler, task, calls / 10);
            long device = pool.stats().totalAllocatedBytes();
            long host = usedHeap();
            compute(scheduler, task, calls);
            assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(device);
            assertThat(scheduler.poolStats().misses()).isEqualTo(3);
            assertThat(usedHeap() - host).as("bytes of heap").isLessThan(100L * calls);
        }
    }

    private static void compute(HybridScheduler scheduler, MatmulTask task, int times) {
        for (int i = 0; i < times; i++) {
            assertThat(scheduler.matmul(task.a(), task.b(), 64, 64, 64)).hasSize(64 * 64);
        }
    }

    private static long usedHeap() {
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    @Test
    void a_device_lost_at_work_is_an_error_and_the_host_goes_on() {
        clock = VirtualClock.manual();
        MatmulTask task = Products.random(20, 30, 40);
        try (HybridScheduler scheduler = scheduler(0)) {
            AsyncGpuResult pending = scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40);
            assertThat(pending.state()).isEqualTo(State.PENDING);
            backend.device(0).lose();

            assertThatThrownBy(pending::await).isInstanceOf(DeviceLostException.class);
            assertThatThrownBy(pending::tryGet).isInstanceOf(DeviceLostException.class);
            assertThat(pending.state()).isEqualTo(State.ERROR);
            assertThat(pending.isReady()).isTrue();
            assertThat(pending.error()).containsInstanceOf(DeviceLostException.class);

            Products.requireCorrect(task, scheduler.matmul(task.a(), task.b(), 20, 30, 40));
            Products.requireCorrect(
                    task, scheduler.matmulPooled(task.a(), task.b(), 20, 30, 40).toArray());
            SchedulerReport report = scheduler.report();
            assertThat(report.deviceUsable()).isFalse();
            assertThat(report.onHost()).isEqualTo(2);
            assertThat(report.lastFailure())
                    .hasValueSatisfying(text -> assertThat(text).contains("DeviceLostException"));
            assertThat(scheduler.poolStats().cachedBuffers()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"allocate", "submit", "waitFor", "record"})
    void whatever_call_loses_the_device_the_answer_comes_from_the_host(String call) {
        MatmulTask task = Products.random(20, 30, 40);
        try (HybridScheduler scheduler = scheduler(0)) {
            backend.faults().add(FaultRule.on(call).failing(DriverException.Kind.DEVICE_LOST, 1));
            Products.requireCorrect(task, scheduler.matmul(task.a(), task.b(), 20, 30, 40));
            assertThat(scheduler.report().fallbacks()).isEqualTo(1);
            assertThat(scheduler.report().deviceUsable()).isFalse();
            assertThat(backend.faults().fired()).isPositive();
        }
    }

    @Test
    void a_launch_that_fails_is_an_error_of_the_future() {
        MatmulTask task = Products.random(20, 30, 40);
        try (HybridScheduler scheduler = scheduler(0)) {
            backend.faults().add(FaultRule.on("record").failing(DriverException.Kind.DEVICE_LOST, 1));
            AsyncGpuResult failed = scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40);
            assertThatThrownBy(failed::await).isInstanceOf(DeviceLostException.class);
            assertThat(failed.state()).isEqualTo(State.ERROR);
            assertThat(scheduler.matmulAsync(task.a(), task.b(), 20, 30, 40).state())
                    .isEqualTo(State.READY);
        }
    }

    @Test
    void what_does_not_fit_is_computed_on_the_host_and_the_device_stays_in_use() {
        MatmulTask task = Products.random(256, 256, 256);
        GpuMemoryPool pool = pool();
        try (HybridScheduler scheduler = scheduler(pool, 0)) {
            try (DeviceBuffer everything = pool.allocate(LIMIT)) {
                assertThat(everything.byteSize()).isEqualTo(LIMIT);
                Products.requireCorrect(task, scheduler.matmul(task.a(), task.b(), 256, 256, 256));
                Products.requireCorrect(
                        task,
                        scheduler.matmulAsync(task.a(), task.b(), 256, 256, 256).await());
                Products.requireCorrect(
                        task,
                        scheduler
                                .matmulPooled(task.a(), task.b(), 256, 256, 256)
                                .toArray());
            }
            assertThat(scheduler.report().fallbacks()).isEqualTo(3);
            assertThat(scheduler.report().deviceUsable()).isTrue();
            assertThat(scheduler.report().lastFailure()).isPresent();
            Products.requireCorrect(task, scheduler.matmul(task.a(), task.b(), 256, 256, 256));
            assertThat(scheduler.report().onDevice()).isEqualTo(1);
        }
    }

    @Test
    void idle_buffers_make_room_for_others() {
        MatmulTask task = Products.random(256, 256, 256);
        GpuMemoryPool pool = pool();
        try (HybridScheduler scheduler = scheduler(pool, 0)) {
            scheduler.matmul(task.a(), task.b(), 256, 256, 256);
            assertThat(scheduler.poolStats().cachedBuffers()).isEqualTo(3);
            pool.allocate(LIMIT).close();
            assertThat(scheduler.poolStats().cachedBuffers()).isZero();
        }
    }

    @Test
    void without_kernels_everything_is_computed_on_the_host() {
        MatmulTask task = Products.random(64, 64, 64);
        try (HybridScheduler scheduler = HybridScheduler.of(pool(), Optional.empty(), 0)) {
            PooledMatrix c = scheduler.matmulPooled(task.a(), task.b(), 64, 64, 64);
            assertThat(c.buffer()).isEmpty();
            Products.requireCorrect(task, c.toArray());
            scheduler.releaseBuffer(c);
            assertThat(scheduler.report().deviceUsable()).isFalse();
            assertThat(scheduler.report().fallbacks()).isZero();
        }
    }

    @Test
    void operands_must_agree_with_the_extents() {
        try (HybridScheduler scheduler = scheduler(0)) {
            assertThatThrownBy(() -> scheduler.matmul(new float[5], new float[6], 2, 3, 2))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("a has 5 values: must be 6");
            assertThatThrownBy(() -> scheduler.matmulAsync(new float[6], new float[6], 2, 3, 0))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("2 x 3 x 0: all three must be above 0");
            assertThatThrownBy(() -> new MatmulShape(1 << 16, 1 << 16, 1)).isInstanceOf(IllegalArgumentException.class);
        }
    }
}
