package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A driver without memory, for a while or for good, and listeners that do what they please. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("try") // closing in the middle is what is tested
class ShortageTest {

    private static final int KIB = 1024;
    private static final int MIB = 1024 * KIB;

    /** A growth for 100 KiB asks for 1 MiB, 512, 256, 128 and 100 KiB. */
    private static final int WISHES = 5;

    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .waitTimeout(Duration.ofMillis(100))
            .closeTimeout(Duration.ofMillis(500))
            .build();

    // Strong, because loggers that nobody holds forget their level.
    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .device(SimulatedDevice.builder("card").totalBytes(16 * MIB).maxBlockBytes(MIB))
            .build();

    @BeforeAll
    static void hush() {
        LOG.setLevel(Level.OFF); // listeners that fail are announced each time
    }

    @AfterAll
    static void speak() {
        LOG.setLevel(null);
    }

    @AfterEach
    void nothingIsLeft() {
        backend.requireNoViolations();
        assertThat(backend.device(0).ledger().isEmpty()).as(backend.toString()).isTrue();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 4, 5, 7, 9, 10, 14})
    void a_transient_shortage_is_asked_through_with_no_call_too_many(int refusals) {
        try (GpuMemory memory = open(CONFIG)) {
            PoolEngine pool = pool(memory);
            AtomicInteger asked = new AtomicInteger();
            pool.addPressureListener((_, _, wanted) -> {
                assertThat(wanted).isEqualTo(100 * KIB);
                return asked.incrementAndGet();
            });
            backend.faults().add(shortage().times(refusals));
            pool.allocate(100 * KIB).close();
            assertThat(backend.faults().calls("allocate")).isEqualTo(refusals + 1);
            assertThat(asked.get()).isEqualTo(refusals < WISHES ? 0 : 1);
            Rung rung = refusals < WISHES ? Rung.GROW : refusals < 2 * WISHES ? Rung.LISTENERS : Rung.RETRY;
            for (Rung each : Rung.values()) {
                assertThat(pool.yields(each)).as(each.name()).isEqualTo(each == rung ? 1 : 0);
            }
        }
    }

    @Test
    void a_lasting_shortage_fails_after_every_rung_was_climbed_once() {
        try (GpuMemory memory = open(CONFIG)) {
            PoolEngine pool = pool(memory);
            AtomicInteger asked = new AtomicInteger();
            pool.addPressureListener((_, _, _) -> asked.incrementAndGet());
            backend.faults().add(shortage());
            assertThatThrownBy(() -> pool.allocate(100 * KIB))
                    .isInstanceOfSatisfying(DeviceOutOfMemoryException.class, e -> {
                        assertThat(e.figures().requestedBytes()).isEqualTo(100 * KIB);
                        assertThat(e.figures().reservedBytes()).isZero();
                        assertThat(e.getCause()).isInstanceOf(DriverException.class);
                    });
            assertThat(backend.faults().calls("allocate")).isEqualTo(3 * WISHES);
            assertThat(asked.get()).isEqualTo(1);
            assertThat(pool.stats().totalAllocatedBytes()).isZero();
            assertThat(pool.ledger().figures().heldBytes()).isZero();
        }
    }

    @Test
    void idle_memory_is_given_back_for_a_driver_that_has_none_and_the_attempts_are_bounded() {
        try (GpuMemory memory = open(CONFIG)) {
            PoolEngine pool = pool(memory);
            backend.faults().add(shortage().times(2)); // no 1 MiB, no 512 KiB
            pool.allocate(100 * KIB).close();
            assertThat(pool.stats().pooledBytes()).isEqualTo(256 * KIB);
            backend.faults().resetCalls();
            backend.faults().add(shortage());
            assertThatThrownBy(() -> pool.allocate(600 * KIB)).isInstanceOf(DeviceOutOfMemoryException.class);
            // 1 MiB and 600 KiB once the idle block is gone, which is too small, and at the end.
            assertThat(backend.faults().calls("allocate")).isEqualTo(2 * 2);
            assertThat(backend.faults().calls("free")).isEqualTo(1);
            assertThat(pool.stats().totalAllocatedBytes()).isZero();
        }
    }

    @Test
    void idle_memory_that_is_kept_is_given_back_after_the_refusal() {
        try (GpuMemory memory =
                open(CONFIG.toBuilder().releaseThresholdBytes(Long.MAX_VALUE).build())) {
            PoolEngine pool = pool(memory);
            backend.faults().add(shortage().times(2)); // no 1 MiB, no 512 KiB
            pool.allocate(100 * KIB).close();
            assertThat(pool.stats().pooledBytes()).isEqualTo(256 * KIB);
            backend.faults().resetCalls();
            backend.faults().add(shortage());
            assertThatThrownBy(() -> pool.allocate(600 * KIB)).isInstanceOf(DeviceOutOfMemoryException.class);
            // 1 MiB and 600 KiB before the idle block is gone, after that, and at the end.
            assertThat(backend.faults().calls("allocate")).isEqualTo(3 * 2);
            assertThat(backend.faults().calls("free")).isEqualTo(1);
            assertThat(pool.stats().totalAllocatedBytes()).isZero();
        }
    }

    // Listeners.

    @Test
    void a_listener_that_frees_makes_room() {
        try (GpuMemory memory = open(limited())) {
            PoolEngine pool = pool(memory);
            DeviceBuffer victim = pool.allocate(900 * KIB);
            pool.allocate(900 * KIB);
            pool.addPressureListener((_, _, _) -> {
                victim.close();
                return 900 * KIB;
            });
            pool.allocate(900 * KIB);
            assertThat(pool.yields(Rung.LISTENERS)).isEqualTo(1);
        }
    }

    @Test
    void a_listener_that_allocates_is_not_asked_for_its_own_shortage() {
        try (GpuMemory memory = open(limited())) {
            PoolEngine pool = pool(memory);
            AtomicInteger asked = new AtomicInteger();
            pool.addPressureListener((short_, _, _) -> {
                asked.incrementAndGet();
                assertThatThrownBy(() -> short_.allocate(900 * KIB)).isInstanceOf(DeviceOutOfMemoryException.class);
                return 0;
            });
            pool.allocate(900 * KIB);
            pool.allocate(900 * KIB);
            assertThatThrownBy(() -> pool.allocate(900 * KIB)).isInstanceOf(DeviceOutOfMemoryException.class);
            assertThat(asked.get()).isEqualTo(1);
            assertThatThrownBy(() -> pool.allocate(900 * KIB)).isInstanceOf(DeviceOutOfMemoryException.class);
            assertThat(asked.get()).isEqualTo(2);
        }
    }

    @Test
    void a_listener_that_fails_stops_nobody() {
        try (GpuMemory memory = open(limited())) {
            PoolEngine pool = pool(memory);
            DeviceBuffer victim = pool.allocate(900 * KIB);
            pool.allocate(900 * KIB);
            AtomicInteger failed = new AtomicInteger();
            pool.addPressureListener((_, _, _) -> {
                failed.incrementAndGet();
                throw new IllegalStateException("injected");
            });
            AtomicInteger asked = new AtomicInteger();
            pool.addPressureListener((_, _, _) -> {
                asked.incrementAndGet();
                victim.close();
                return 1;
            });
            DeviceBuffer served = pool.allocate(900 * KIB);
            assertThat(failed).hasValue(1);
            assertThat(asked).as("the next listener, all the same").hasValue(1);
            assertThat(served.byteSize()).isEqualTo(900 * KIB);
            assertThat(pool.stats().activeBuffers()).isEqualTo(2);
        }
    }

    @Test
    void an_error_in_a_listener_stops_nobody_either_and_is_counted() {
        try (GpuMemory memory = open(limited())) {
            PoolEngine pool = pool(memory);
            DeviceBuffer victim = pool.allocate(900 * KIB);
            pool.allocate(900 * KIB);
            pool.addPressureListener((_, _, _) -> {
                throw new StackOverflowError("injected");
            });
            pool.addPressureListener((_, _, _) -> {
                victim.close();
                return 1;
            });
            pool.allocate(900 * KIB);
            assertThat(pool.monitor().listeners().failures()).isEqualTo(1);
            pool.validate();
            assertThat(pool.stats().activeBuffers()).isEqualTo(2);
        }
    }

    private enum Closing {
        POOL,
        MEMORY
    }

    @ParameterizedTest
    @EnumSource(Closing.class)
    void a_listener_may_close_the_pool_it_is_asked_for(Closing closing) {
        try (GpuMemory memory = open(limited())) {
            PoolEngine pool = pool(memory);
            pool.allocate(900 * KIB);
            pool.allocate(900 * KIB);
            Runnable close = closing == Closing.POOL ? pool::close : memory::close;
            pool.addPressureListener((_, _, _) -> {
                close.run();
                return 0;
            });
            assertThatThrownBy(() -> pool.allocate(900 * KIB)).isInstanceOf(BufferClosedException.class);
            assertThat(pool.isAbandoned()).isFalse();
            assertThat(backend.device(0).ledger().isEmpty()).isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void four_threads_and_a_listener_that_does_anything(boolean closes)
            throws InterruptedException, ExecutionException, TimeoutException {
        long seed = System.nanoTime();
        System.out.println("listener rounds, seed " + seed);
        for (int round = 0; round < (closes ? 60 : 4); round++) {
            try (GpuMemory memory = open(limited());
                    ExecutorService threads = Executors.newFixedThreadPool(4)) {
                PoolEngine pool = pool(memory);
                SplittableRandom dice = new SplittableRandom(seed + round);
                List<DeviceBuffer> loose = new ArrayList<>();
                pool.addPressureListener((asking, _, _) -> {
                    synchronized (loose) {
                        return whatever(dice, closes, asking, loose);
                    }
                });
                List<Future<?>> all = new ArrayList<>();
                for (int thread = 0; thread < 4; thread++) {
                    SplittableRandom own = new SplittableRandom(seed + 31L * round + thread);
                    all.add(threads.submit(() -> churn(pool, own, closes ? 20 : 1500, loose)));
                }
                for (Future<?> each : all) {
                    each.get(60, TimeUnit.SECONDS);
                }
                synchronized (loose) {
                    loose.forEach(DeviceBuffer::close);
                }
                if (!pool.isClosed()) {
                    pool.validate();
                    assertThat(pool.stats().inUseBytes()).isZero();
                }
            }
        }
    }

    private static long whatever(
            SplittableRandom dice, boolean closes, GpuMemoryPool asking, List<DeviceBuffer> loose) {
        switch (dice.nextInt(closes ? 20 : 19)) {
            case 0, 1, 2 -> throw new IllegalStateException("injected");
            case 3, 4, 5 -> loose.add(asking.allocate(1 + dice.nextInt(300 * KIB)));
            case 19 -> asking.close();
            default -> {
                loose.forEach(DeviceBuffer::close);
                loose.clear();
            }
        }
        return dice.nextInt(MIB);
    }

    private static void churn(PoolEngine pool, SplittableRandom dice, int rounds, List<DeviceBuffer> loose) {
        for (int i = 0; i < rounds; i++) {
            try {
                DeviceBuffer buffer = pool.allocate(1 + dice.nextInt(700 * KIB));
                if (dice.nextInt(4) == 0) {
                    synchronized (loose) {
                        loose.add(buffer);
                    }
                } else {
                    buffer.close();
                }
            } catch (DeviceOutOfMemoryException | BufferClosedException e) {
                // both are right answers
            } catch (GpuMemoryException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static MemoryConfig limited() {
        return CONFIG.toBuilder().limitBytes(2 * MIB).build();
    }

    private static FaultRule shortage() {
        return FaultRule.on("allocate").failing(DriverException.Kind.OUT_OF_MEMORY, 2);
    }

    private GpuMemory open(MemoryConfig config) {
        return GpuMemory.builder().config(config).backend(backend).open();
    }

    private static PoolEngine pool(GpuMemory memory) {
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }
}
