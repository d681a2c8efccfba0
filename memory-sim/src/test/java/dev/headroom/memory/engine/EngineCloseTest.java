package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.PinnedRange;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

/** The order in which things end: buffers, queues, stages and pools. */
class EngineCloseTest {

    private static final long MIB = 1L << 20;

    private final SimulatedBackend backend = SimulatedBackend.card(64 * MIB);
    private final AtomicBoolean closedAfterwards = new AtomicBoolean();

    @Test
    void a_pool_that_had_to_leave_its_memory_alone_serves_nobody() throws DriverException {
        PoolEngine pool = open(Duration.ofMillis(1));
        DeviceBuffer buffer = pool.allocate(AllocationRequest.of(MIB));
        buffer.closeAfter(new CompletableFuture<>());
        buffer.close();
        pool.close();
        assertThat(backend.device(0).ledger().liveBytes()).isPositive();
        assertThatThrownBy(() -> pool.allocate(AllocationRequest.of(MIB))).isInstanceOf(BufferClosedException.class);
        backend.requireNoViolations();
    }

    /** All orders of six steps: whoever goes first, nothing is touched after it is gone, and nothing is left. */
    @Test
    void queue_buffer_and_time_may_end_in_any_order() throws DriverException {
        List<Runnable> steps = new ArrayList<>();
        for (List<Integer> order : orders(6)) {
            PoolEngine pool = open(Duration.ofSeconds(10));
            SimulatedQueue queue = backend.device(0).newQueue();
            DeviceBuffer used = pool.allocate(AllocationRequest.of(MIB));
            DeviceBuffer other = pool.allocate(AllocationRequest.of(MIB));
            launch((EngineBuffer) used, queue);
            steps.clear();
            steps.add(queue::close);
            steps.add(used::close);
            steps.add(other::close);
            steps.add(() -> backend.clock().advance(Duration.ofMillis(20)));
            steps.add(pool::shrink);
            steps.add(() -> reuse(pool));
            for (int step : order) {
                steps.get(step).run();
            }
            pool.close();
            assertThat(backend.device(0).ledger().isEmpty())
                    .as("order %s left %s", order, backend.device(0).ledger())
                    .isTrue();
            backend.requireNoViolations();
        }
    }

    @Test
    void whoever_closes_second_waits_for_the_first() throws Exception {
        PoolEngine pool = open(Duration.ofSeconds(30));
        CountDownLatch inDriver = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        pool.allocate(AllocationRequest.of(MIB)).close();
        backend.faults().add(FaultRule.on("free").times(1).throwing(() -> {
            inDriver.countDown();
            await(go);
            return new IllegalStateException("injected");
        }));
        Thread first = Thread.ofPlatform().start(pool::close);
        inDriver.await();
        Thread second = Thread.ofPlatform().start(() -> {
            pool.close();
            closedAfterwards.set(pool.isClosed());
        });
        while (second.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        assertThat(pool.isClosed()).isFalse();
        go.countDown();
        second.join();
        first.join();
        assertThat(closedAfterwards).isTrue();
    }

    @Test
    void whoever_closes_second_waits_no_longer_than_the_close_timeout() throws Exception {
        PoolEngine pool = open(Duration.ofMillis(20));
        CountDownLatch inDriver = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        pool.allocate(AllocationRequest.of(MIB)).close();
        backend.faults().add(FaultRule.on("free").times(1).throwing(() -> {
            inDriver.countDown();
            await(go);
            return new IllegalStateException("injected");
        }));
        Thread first = Thread.ofPlatform().start(pool::close);
        inDriver.await();
        pool.close(); // comes back
        assertThat(pool.isClosed()).isFalse();
        go.countDown();
        first.join();
        assertThat(pool.isClosed()).isTrue();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static void reuse(PoolEngine pool) {
        try (DeviceBuffer next = pool.allocate(AllocationRequest.of(31 * MIB))) {
            next.fill(0, MIB, (byte) 1);
        }
    }

    private static void launch(EngineBuffer buffer, SimulatedQueue queue) {
        buffer.waitOn(queue);
        try (PinnedRange range = buffer.pin()) {
            queue.submit(SimulatedKernel.lasting(Duration.ofMillis(10)).writing(range));
        }
        buffer.usedOn(queue);
    }

    private PoolEngine open(Duration closeTimeout) throws DriverException {
        MemoryConfig config = MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .closeTimeout(closeTimeout)
                .build();
        assertThat(backend.probe()).isInstanceOf(BackendProbe.Available.class);
        return PoolEngine.open(
                backend.open(backend.device(0).device()),
                new PoolSetting(config, OptionalLong.empty(), budget -> budget, () -> null, backend.clock()));
    }

    private static List<List<Integer>> orders(int count) {
        List<List<Integer>> all = List.of(List.of());
        for (int next = 0; next < count; next++) {
            List<List<Integer>> longer = new ArrayList<>();
            for (List<Integer> order : all) {
                for (int at = 0; at <= order.size(); at++) {
                    List<Integer> with = new ArrayList<>(order);
                    with.add(at, next);
                    longer.add(with);
                }
            }
            all = longer;
        }
        return all;
    }
}
