package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** An interrupt changes nothing about what Headroom does, and is still there afterwards. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class InterruptTest {

    private static final int SIZE = 600 << 10;
    private static final int ROUNDS = 4000;

    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .device(SimulatedDevice.builder("card").totalBytes(16 << 20).maxBlockBytes(1 << 20))
            .device(SimulatedDevice.builder("staged card")
                    .totalBytes(16 << 20)
                    .maxBlockBytes(1 << 20)
                    .withoutHostCopies())
            .build();
    private final Arena arena = Arena.ofShared();
    private final MemorySegment source = arena.allocate(SIZE);
    private final MemorySegment target = arena.allocate(SIZE);
    private final long seed = System.nanoTime();
    private final SplittableRandom dice = new SplittableRandom(seed);

    @BeforeEach
    void say() {
        System.out.println("interrupts, seed " + seed);
    }

    @AfterEach
    void nothingIsLeft() {
        Thread.interrupted();
        arena.close();
        backend.requireNoViolations();
        for (SimulatedDevice device : backend.devices()) {
            assertThat(device.ledger().isEmpty()).as(device.toString()).isTrue();
        }
    }

    @Test
    void every_wait_survives_an_interrupt_that_is_already_there() {
        GpuMemory memory = open(Duration.ofSeconds(5));
        for (int round = 0; round < ROUNDS / 4; round++) {
            boolean interrupted = dice.nextBoolean();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            step(memory, round);
            assertThat(Thread.interrupted()).isEqualTo(interrupted);
        }
        Thread.currentThread().interrupt();
        memory.close();
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void every_wait_survives_interrupts_at_random_moments() throws InterruptedException {
        GpuMemory memory = open(Duration.ofSeconds(5));
        Thread worker = Thread.currentThread();
        AtomicBoolean done = new AtomicBoolean();
        Thread interrupter = Thread.ofPlatform().start(() -> {
            SplittableRandom own = new SplittableRandom(seed + 1);
            while (!done.get()) {
                LockSupport.parkNanos(own.nextInt(30_000));
                worker.interrupt();
            }
        });
        try {
            for (int round = 0; round < ROUNDS; round++) {
                step(memory, round);
            }
            memory.close();
        } finally {
            done.set(true);
            while (interrupter.isAlive()) {
                try {
                    interrupter.join();
                } catch (InterruptedException e) {
                    // the last ones
                }
            }
        }
    }

    @Test
    void work_that_cannot_be_marked_is_waited_for_although_the_thread_is_interrupted() {
        try (GpuMemory memory = open(Duration.ofSeconds(5))) {
            PoolEngine pool = pool(memory, 0);
            try (DeviceBuffer buffer = pool.allocate(SIZE)) {
                backend.faults().add(FaultRule.on("signal").times(2).failing(DriverException.Kind.UNEXPECTED, 999));
                Thread.currentThread().interrupt();
                write(buffer, 1);
                assertThat(Thread.interrupted()).isTrue();
                assertThat(pool.session().isLost()).isFalse();
            }
        }
    }

    @Test
    void waiting_for_memory_in_use_survives_an_interrupt() {
        MemoryConfig config =
                config(Duration.ofSeconds(5)).toBuilder().limitBytes(1 << 20).build();
        try (GpuMemory memory =
                        GpuMemory.builder().config(config).backend(backend).open();
                SimulatedQueue queue = backend.device(0).newQueue()) {
            PoolEngine pool = pool(memory, 0);
            try (DeviceBuffer buffer = pool.allocate(SIZE)) {
                try (PinnedRange range = ((PinnedRange.Source) buffer).pin()) {
                    queue.submit(SimulatedKernel.lasting(Duration.ofMillis(50)).writing(range));
                }
                buffer.usedOn(queue);
            }
            Thread.currentThread().interrupt();
            pool.allocate(SIZE).close();
            assertThat(Thread.interrupted()).isTrue();
            assertThat(pool.yields(Rung.WAIT)).isEqualTo(1);
        }
    }

    private void step(GpuMemory memory, int round) {
        PoolEngine pool = pool(memory, round % 2);
        try (DeviceBuffer buffer = pool.allocate(SIZE);
                DeviceBuffer other = pool.allocate(SIZE)) {
            write(buffer, round);
            buffer.copyTo(0, other, 0, SIZE);
            target.fill((byte) 0);
            other.read(0, target);
            assertThat(target.mismatch(source)).isEqualTo(-1);
        }
    }

    private void write(DeviceBuffer buffer, int value) {
        source.fill((byte) value);
        buffer.write(0, source);
    }

    private GpuMemory open(Duration patience) {
        return GpuMemory.builder().config(config(patience)).backend(backend).open();
    }

    private static MemoryConfig config(Duration patience) {
        return MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .stagingBytes(1 << 20)
                .waitTimeout(patience)
                .closeTimeout(patience)
                .build();
    }

    private static PoolEngine pool(GpuMemory memory, int index) {
        return (PoolEngine) memory.pool(memory.devices().get(index));
    }
}
