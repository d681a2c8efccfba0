package dev.headroom.memory.engine;

import static dev.headroom.memory.MemoryPressure.CRITICAL;
import static dev.headroom.memory.MemoryPressure.HIGH;
import static dev.headroom.memory.MemoryPressure.LOW;
import static dev.headroom.memory.MemoryPressure.MEDIUM;
import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.LogCapture;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Who is told of pressure, when, and what a listener cannot do to others. The device has 100 MiB. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("try") // closing in the middle is what is tested
class PressureMonitorTest {

    private static final long MIB = 1L << 20;

    /** The monitor's own look comes once a day: whatever happens was asked for. */
    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .pressureInterval(Duration.ofDays(1))
            .closeTimeout(Duration.ofSeconds(30))
            .build();

    private final SimulatedBackend backend = SimulatedBackend.card(100 * MIB);
    private final List<String> told = Collections.synchronizedList(new ArrayList<>());

    /** Gives nothing back and takes notes. */
    private final PressureListener notes = new PressureListener() {
        @Override
        public long onPressure(GpuMemoryPool pool, MemoryPressure pressure, long wantedBytes) {
            return 0;
        }

        @Override
        public void onChange(GpuMemoryPool pool, MemoryPressure before, MemoryPressure now) {
            told.add(before + " -> " + now);
        }
    };

    @AfterEach
    void nothingIsLeft() {
        backend.requireNoViolations();
        assertThat(backend.device(0).ledger().isEmpty()).as(backend.toString()).isTrue();
        assertThat(monitors()).isEmpty();
    }

    // Steps by hand.

    @Test
    void each_change_is_told_once_and_a_level_is_left_below_its_margin() {
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop(); // no thread
            pool.addPressureListener(notes);
            long[] used = {10, 59, 60, 62, 80, 79, 75, 74, 80, 95, 90, 89, 10};
            for (long share : used) {
                backend.device(0).occupy(share * MIB);
                pool.monitor().step();
                pool.monitor().step();
            }
            assertThat(told)
                    .containsExactly(
                            "LOW -> MEDIUM",
                            "MEDIUM -> HIGH",
                            "HIGH -> MEDIUM",
                            "MEDIUM -> HIGH",
                            "HIGH -> CRITICAL",
                            "CRITICAL -> HIGH",
                            "HIGH -> LOW");
            backend.device(0).occupy(0);
        }
    }

    @Test
    void of_a_limited_pool_the_limit_is_what_counts() {
        try (GpuMemory memory =
                open(backend, CONFIG.toBuilder().limitBytes(10 * MIB).build())) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(notes);
            DeviceBuffer buffer = pool.allocate(8 * MIB);
            pool.monitor().step();
            buffer.close();
            pool.shrink();
            pool.monitor().step();
            assertThat(told).containsExactly("LOW -> HIGH", "HIGH -> LOW");
        }
    }

    @Test
    void without_a_free_figure_what_this_process_holds_counts() {
        SimulatedBackend mute = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("mute").totalBytes(100 * MIB).freeFigure(FreeFigure.unknown()))
                .build();
        try (GpuMemory memory = open(mute, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(notes);
            DeviceBuffer buffer = pool.allocate(64 * MIB); // of the 80 that may be taken
            pool.monitor().step();
            assertThat(told).containsExactly("LOW -> HIGH");
            buffer.close();
        }
    }

    @Test
    void a_driver_that_does_not_answer_changes_nothing() {
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(notes);
            backend.device(0).occupy(85 * MIB);
            pool.monitor().step();
            backend.device(0).occupy(0);
            backend.faults().add(FaultRule.on("budget").failing(DriverException.Kind.UNEXPECTED, 7));
            pool.monitor().step();
            assertThat(told).containsExactly("LOW -> HIGH");
            backend.faults().clear();
            pool.monitor().step();
            assertThat(told).containsExactly("LOW -> HIGH", "HIGH -> LOW");
        }
    }

    @Test
    void a_lost_device_is_not_asked_any_more() {
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(notes);
            backend.device(0).lose();
            pool.monitor().step();
            long calls = backend.faults().calls("budget");
            pool.monitor().step();
            assertThat(backend.faults().calls("budget")).isEqualTo(calls);
            assertThat(told).isEmpty();
        }
    }

    @Test
    void without_a_listener_no_driver_is_asked() {
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            long calls = backend.faults().calls();
            pool.monitor().step();
            assertThat(backend.faults().calls()).isEqualTo(calls);
        }
    }

    @Test
    void a_listener_that_throws_whatever_it_is_stops_nobody_and_is_counted() {
        int events = 100_000;
        Logger quiet = Logger.getLogger("dev.headroom.memory");
        quiet.setLevel(Level.OFF);
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(new PressureListener() {
                private int count;

                @Override
                public long onPressure(GpuMemoryPool asking, MemoryPressure pressure, long wantedBytes) {
                    return 0;
                }

                @Override
                public void onChange(GpuMemoryPool changed, MemoryPressure before, MemoryPressure now) {
                    if (count++ % 2 == 0) {
                        throw new IllegalStateException("injected");
                    }
                    throw new StackOverflowError("injected");
                }
            });
            pool.addPressureListener(notes);
            for (int i = 0; i < events; i++) {
                backend.device(0).occupy(i % 2 == 0 ? 85 * MIB : 0);
                pool.monitor().step();
            }
            backend.device(0).occupy(0);
            assertThat(told).hasSize(events);
            assertThat(pool.monitor().listeners().failures()).isEqualTo(events);
            pool.allocate(MIB).close();
        } finally {
            quiet.setLevel(null);
        }
    }

    @Test
    void what_a_listener_throws_is_logged() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(changed(() -> {
                throw new StackOverflowError("injected");
            }));
            backend.device(0).occupy(85 * MIB);
            pool.monitor().step();
            assertThat(log.messages(Level.WARNING)).containsExactly("a pressure listener of sim:0 pool failed");
            assertThat(log.causes(Level.WARNING).getFirst()).hasMessage("injected");
            backend.device(0).occupy(0);
        }
    }

    @Test
    void a_listener_that_was_removed_is_told_no_more() {
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            pool.addPressureListener(notes);
            pool.removePressureListener(notes);
            backend.device(0).occupy(85 * MIB);
            pool.monitor().step();
            assertThat(told).isEmpty();
            backend.device(0).occupy(0);
        }
    }

    // The thread.

    @Test
    void there_is_no_thread_before_somebody_listens_and_none_after_the_close() {
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.allocate(MIB).close();
            assertThat(monitors()).isEmpty();
            pool.addPressureListener(notes);
            pool.addPressureListener(notes);
            assertThat(monitors()).singleElement().satisfies(thread -> {
                assertThat(thread.isDaemon()).isTrue();
                assertThat(thread.getName()).isEqualTo("headroom-monitor-sim:0");
            });
        }
        assertThat(monitors()).isEmpty();
    }

    @Test
    void the_thread_looks_from_time_to_time() throws InterruptedException {
        MemoryConfig often =
                CONFIG.toBuilder().pressureInterval(Duration.ofMillis(10)).build();
        BlockingQueue<MemoryPressure> seen = new LinkedBlockingQueue<>();
        try (GpuMemory memory = open(backend, often)) {
            pool(memory).addPressureListener(telling(seen));
            backend.device(0).occupy(85 * MIB);
            assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo(HIGH);
            backend.device(0).occupy(0);
            assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo(LOW);
        }
    }

    @Test
    void growth_to_a_higher_level_is_told_at_once() throws InterruptedException {
        BlockingQueue<MemoryPressure> seen = new LinkedBlockingQueue<>();
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.addPressureListener(telling(seen));
            DeviceBuffer buffer = pool.allocate(65 * MIB);
            assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo(MEDIUM);
            buffer.close();
        }
    }

    @Test
    void a_slow_listener_delays_no_allocation() throws InterruptedException {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch allocated = new CountDownLatch(1);
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.addPressureListener(changed(() -> {
                reached.countDown();
                await(allocated);
            }));
            DeviceBuffer first = pool.allocate(65 * MIB);
            reached.await();
            DeviceBuffer second = pool.allocate(20 * MIB); // crosses a level itself
            allocated.countDown();
            first.close();
            second.close();
        }
    }

    @Test
    void a_listener_may_close_the_pool() throws InterruptedException {
        CountDownLatch closed = new CountDownLatch(1);
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.addPressureListener(changed(() -> {
                pool.close();
                closed.countDown();
            }));
            pool.allocate(65 * MIB);
            closed.await();
            assertThat(pool.isClosed()).isTrue();
            assertThat(pool.isAbandoned()).isFalse();
        }
        for (Thread thread : monitors()) {
            thread.join();
        }
    }

    private enum Closing {
        POOL,
        MEMORY
    }

    @ParameterizedTest
    @EnumSource(Closing.class)
    void a_listener_that_closes_what_is_closing_waits_for_nobody(Closing what) throws InterruptedException {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch closing = new CountDownLatch(1);
        GpuMemory memory = open(backend, CONFIG);
        PoolEngine pool = pool(memory);
        pool.addPressureListener(changed(() -> {
            reached.countDown();
            await(closing);
            if (what == Closing.POOL) {
                pool.close();
            } else {
                memory.close();
            }
        }));
        DeviceBuffer buffer = pool.allocate(65 * MIB);
        reached.await();
        buffer.close();
        Thread closer = Thread.ofPlatform().start(memory::close);
        while (!pool.monitor().isStopped()) {
            Thread.onSpinWait();
        }
        closing.countDown();
        closer.join();
        assertThat(pool.isClosed()).isTrue();
    }

    @Test
    void a_listener_that_never_returns_is_left_alone_at_close() throws InterruptedException {
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch never = new CountDownLatch(1);
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(
                    backend,
                    CONFIG.toBuilder().closeTimeout(Duration.ofSeconds(1)).build());
            PoolEngine pool = pool(memory);
            pool.addPressureListener(changed(() -> {
                reached.countDown();
                await(never);
            }));
            DeviceBuffer buffer = pool.allocate(65 * MIB);
            reached.await();
            buffer.close();
            memory.close();
            assertThat(pool.isClosed()).isTrue();
            assertThat(log.messages(Level.WARNING))
                    .containsExactly("sim:0 pool: a pressure listener has not returned for 1 s and is left alone");
        } finally {
            never.countDown();
        }
        for (Thread thread : monitors()) {
            thread.join();
        }
    }

    @Test
    void an_interrupt_left_behind_by_a_listener_does_not_end_the_watch() throws InterruptedException {
        BlockingQueue<MemoryPressure> seen = new LinkedBlockingQueue<>();
        try (GpuMemory memory = open(backend, CONFIG)) {
            PoolEngine pool = pool(memory);
            pool.addPressureListener(changed(() -> Thread.currentThread().interrupt()));
            pool.addPressureListener(telling(seen));
            DeviceBuffer first = pool.allocate(65 * MIB);
            assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo(MEDIUM);
            DeviceBuffer second = pool.allocate(20 * MIB);
            assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo(CRITICAL);
            first.close();
            second.close();
        }
    }

    private static PressureListener telling(BlockingQueue<MemoryPressure> seen) {
        return new PressureListener() {
            @Override
            public long onPressure(GpuMemoryPool pool, MemoryPressure pressure, long wantedBytes) {
                return 0;
            }

            @Override
            public void onChange(GpuMemoryPool pool, MemoryPressure before, MemoryPressure now) {
                seen.add(now);
            }
        };
    }

    private static PressureListener changed(Runnable action) {
        return new PressureListener() {
            @Override
            public long onPressure(GpuMemoryPool pool, MemoryPressure pressure, long wantedBytes) {
                return 0;
            }

            @Override
            public void onChange(GpuMemoryPool pool, MemoryPressure before, MemoryPressure now) {
                action.run();
            }
        };
    }

    private static void await(CountDownLatch latch) {
        boolean interrupted = false;
        while (true) {
            try {
                latch.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static List<Thread> monitors() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("headroom-monitor-"))
                .toList();
    }

    private static GpuMemory open(SimulatedBackend backend, MemoryConfig config) {
        return GpuMemory.builder().config(config).backend(backend).open();
    }

    private static PoolEngine pool(GpuMemory memory) {
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }
}
