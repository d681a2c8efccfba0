package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Many threads on the same pools: platform threads and virtual ones allocate, write, read and close, also what others have
 * allocated, while yet others shrink, look at the figures, and close everything.
 */
@Timeout(120)
class EngineConcurrencyTest {

    private static final long MIB = 1L << 20;
    private static final long CARD_BYTES = 192 * MIB;
    private static final long LARGEST = 4 * MIB;
    private static final int PLATFORM_THREADS = 4;
    private static final int VIRTUAL_THREADS = 1_000;
    private static final int PLATFORM_ROUNDS = 1_000;
    private static final int VIRTUAL_ROUNDS = 10;
    private static final int PATTERN = 64;

    /** Kept, because loggers nobody holds forget their level. */
    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private static Level before;

    private final VirtualClock clock = VirtualClock.automatic();
    private final PhysicalMemory card = PhysicalMemory.of(CARD_BYTES);
    private final PhysicalMemory host = PhysicalMemory.host(1L << 30);
    private final SimulatedBackend first = backend("sim");
    private final SimulatedBackend second = backend("other");
    private final long hostHeldBefore = Domains.host().figures().heldBytes();
    private final ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
    private final AtomicBoolean over = new AtomicBoolean();
    private final AtomicLong served = new AtomicLong();

    /** A buffer on its way to another thread, which checks and closes it. */
    private record Parcel(DeviceBuffer buffer, byte[] head) {}

    private final BlockingQueue<Parcel> parcels = new ArrayBlockingQueue<>(64);

    @BeforeAll
    static void quiet() {
        before = LOG.getLevel();
        LOG.setLevel(Level.OFF); // refusals and leaks are expected here
    }

    @AfterAll
    static void loud() {
        LOG.setLevel(before);
    }

    @AfterEach
    void nothing_is_left() {
        assertThat(first.device(0).ledger().isEmpty())
                .as(first.device(0).ledger().describe())
                .isTrue();
        assertThat(second.device(0).ledger().isEmpty())
                .as(second.device(0).ledger().describe())
                .isTrue();
        assertThat(card.usedBytes()).isZero();
        assertThat(host.usedBytes()).isZero();
        assertThat(Domains.host().figures().heldBytes()).isEqualTo(hostHeldBefore);
        first.requireNoViolations();
        second.requireNoViolations();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2})
    void buffers_keep_their_bytes_among_many_threads(long seed) throws Exception {
        List<PoolEngine> pools = List.of(open(first), open(second));
        List<Thread> watchers = List.of(
                Thread.ofPlatform().start(() -> guarded(() -> watch(pools))),
                Thread.ofPlatform().start(() -> guarded(() -> shrinkNowAndThen(pools, seed))));
        churn(pools, seed);
        over.set(true);
        join(watchers);
        for (Parcel parcel : parcels) {
            requireHead(parcel.buffer(), parcel.head());
            parcel.buffer().close();
        }
        requireNoFailures();
        clock.runUntilIdle();
        for (PoolEngine pool : pools) {
            pool.validate();
            pool.shrink();
            assertThat(pool.stats().activeBuffers()).isZero();
            assertThat(pool.stats().totalAllocatedBytes()).isZero();
        }
        long counted = pools.stream()
                .map(PoolEngine::stats)
                .mapToLong(stats -> stats.poolHits() + stats.poolMisses())
                .sum();
        assertThat(counted).isEqualTo(served.get());
        assertThat(pools.getFirst().ledger().figures())
                .isEqualTo(new DomainLedger.Figures(
                        0, 0, 0, pools.getFirst().ledger().figures().completedBytes()));
        pools.forEach(PoolEngine::close);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 5})
    void a_pool_may_be_closed_while_it_is_used(long seed) throws Exception {
        List<PoolEngine> pools = List.of(open(first), open(second));
        Thread closer = Thread.ofPlatform().start(() -> {
            while (served.get() < 1_000 * seed && !over.get()) {
                Thread.onSpinWait();
            }
            pools.getFirst().close();
        });
        churn(pools, seed);
        join(List.of(closer));
        parcels.forEach(parcel -> parcel.buffer().close());
        requireNoFailures();
        pools.forEach(PoolEngine::close);
    }

    @Test
    void a_race_of_closes_and_uses_has_one_winner() throws Exception {
        PoolEngine pool = open(first);
        SimulatedQueue queue = first.device(0).newQueue();
        for (int round = 0; round < 500; round++) {
            DeviceBuffer buffer = pool.allocate(AllocationRequest.of(4096));
            CountDownLatch start = new CountDownLatch(1);
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                int role = i;
                threads.add(Thread.ofVirtual()
                        .start(() -> guarded(() -> {
                            start.await();
                            if (role < 2) {
                                buffer.close();
                                return;
                            }
                            try {
                                if (role == 2) {
                                    buffer.write(0, MemorySegment.ofArray(new byte[PATTERN]));
                                } else {
                                    launch((EngineBuffer) buffer, queue);
                                }
                            } catch (BufferClosedException e) {
                                // the close was faster
                            }
                        })));
            }
            start.countDown();
            join(threads);
        }
        requireNoFailures();
        clock.runUntilIdle();
        pool.shrink();
        assertThat(pool.stats().activeBuffers()).isZero();
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
        queue.close();
        pool.close();
        open(second).close();
    }

    private static void launch(EngineBuffer buffer, SimulatedQueue queue) {
        try (PinnedRange range = buffer.pin()) {
            synchronized (queue) { // what comes between waiting and the fence would be declared for nobody
                buffer.waitOn(queue);
                queue.submit(SimulatedKernel.lasting(Duration.ofNanos(50_000))
                        .writing(range.block(), range.byteOffset() + range.byteSize() / 2, PATTERN));
                buffer.usedOn(queue);
            }
        }
    }

    private void churn(List<PoolEngine> pools, long seed) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < PLATFORM_THREADS; i++) {
            SplittableRandom random = new SplittableRandom(seed * 10_000 + i);
            threads.add(Thread.ofPlatform().start(() -> guarded(() -> work(pools, random, PLATFORM_ROUNDS))));
        }
        for (int i = 0; i < VIRTUAL_THREADS; i++) {
            SplittableRandom random = new SplittableRandom(seed * 10_000 + 100 + i);
            threads.add(Thread.ofVirtual().start(() -> guarded(() -> work(pools, random, VIRTUAL_ROUNDS))));
        }
        join(threads);
    }

    private void work(List<PoolEngine> pools, SplittableRandom random, int rounds) throws InterruptedException {
        try (SimulatedQueue queue = first.device(0).newQueue()) {
            for (int round = 0; round < rounds; round++) {
                PoolEngine pool = pools.get(random.nextInt(pools.size()));
                try {
                    useOne(pool, random, pool.equals(pools.getFirst()) ? queue : null);
                } catch (DeviceOutOfMemoryException e) {
                    // with a thousand threads on a small card that is to be expected
                } catch (BufferClosedException e) {
                    if (round % 2 == 0) {
                        return; // the pool is gone
                    }
                }
            }
        }
    }

    private void useOne(PoolEngine pool, SplittableRandom random, SimulatedQueue queue) throws InterruptedException {
        int bits = random.nextInt(Long.numberOfTrailingZeros(LARGEST));
        long size = PATTERN + random.nextLong(1L << bits);
        DeviceBuffer buffer = pool.allocate(AllocationRequest.of(size).aligned(1L << random.nextInt(14)));
        served.incrementAndGet();
        boolean handedOver = false;
        try {
            byte[] head = pattern(random);
            byte[] tail = pattern(random);
            buffer.write(size - PATTERN, MemorySegment.ofArray(tail));
            buffer.write(0, MemorySegment.ofArray(head));
            if (size >= 2 * PATTERN) {
                requireBytes(buffer, size - PATTERN, tail);
            }
            if (queue != null && random.nextInt(4) == 0) {
                launchHarmless((EngineBuffer) buffer, queue);
            }
            if (random.nextInt(3) == 0) {
                handedOver = parcels.offer(new Parcel(buffer, head));
            } else {
                requireHead(buffer, head);
            }
            Parcel other = random.nextInt(3) == 0 ? parcels.poll() : null;
            if (other != null) {
                try {
                    requireHead(other.buffer(), other.head());
                } finally {
                    other.buffer().close();
                }
            }
        } finally {
            if (!handedOver) {
                buffer.close();
            }
        }
    }

    /** A kernel that only reads, so that the pattern stays. */
    private static void launchHarmless(EngineBuffer buffer, SimulatedQueue queue) {
        buffer.waitOn(queue);
        try (PinnedRange range = buffer.pin()) {
            queue.submit(SimulatedKernel.lasting(Duration.ofNanos(20_000))
                    .reading(range.block(), range.byteOffset(), PATTERN));
            buffer.usedOn(queue);
        }
    }

    /** I13: figures of a pool in use agree up to what is under way just then. */
    private void watch(List<PoolEngine> pools) {
        // Each thread has at most one allocation and two closes under way, and each takes no more than its rounded
        // size.
        long slackBuffers = 3L * (PLATFORM_THREADS + VIRTUAL_THREADS);
        while (!over.get()) {
            for (PoolEngine pool : pools) {
                MemoryStats stats = pool.stats(); // refuses figures below 0 by itself
                assertThat(stats.inUseBytes() + stats.pooledBytes()).isEqualTo(stats.totalAllocatedBytes());
                assertThat(stats.peakBytes()).isGreaterThanOrEqualTo(stats.inUseBytes());
                assertThat(stats.activeBuffers()).isLessThanOrEqualTo(slackBuffers + parcels.size());
                assertThat(stats.inUseBytes()).isLessThanOrEqualTo(CARD_BYTES);
                pool.validate();
            }
            DomainLedger.Figures figures = pools.getFirst().ledger().figures();
            assertThat(figures.heldBytes()).isBetween(0L, CARD_BYTES);
            assertThat(figures.inFlightBytes()).isBetween(0L, figures.heldBytes());
            assertThat(card.usedBytes()).isBetween(0L, CARD_BYTES);
            Thread.yield();
        }
    }

    private void shrinkNowAndThen(List<PoolEngine> pools, long seed) throws InterruptedException {
        SplittableRandom random = new SplittableRandom(seed);
        while (!over.get()) {
            pools.get(random.nextInt(pools.size())).shrink();
            card.occupy(random.nextInt(3) == 0 ? random.nextLong(CARD_BYTES / 2) : 0);
            Thread.sleep(1);
        }
        card.occupy(0);
    }

    private PoolEngine open(SimulatedBackend backend) throws DriverException {
        MemoryConfig config = MemoryConfig.builder()
                .minFreeBytes(0)
                .fraction(1)
                .stagingBytes(MIB)
                .waitTimeout(Duration.ofSeconds(30))
                .closeTimeout(Duration.ofSeconds(30))
                .build();
        backend.probe();
        return PoolEngine.open(
                backend.open(backend.device(0).device()),
                new PoolSetting(config, OptionalLong.empty(), budget -> budget, () -> null, clock));
    }

    private SimulatedBackend backend(String name) {
        return SimulatedBackend.builder(name)
                .clock(clock)
                .device(SimulatedDevice.builder("card").memory(card).hostMemory(host))
                .build();
    }

    private static byte[] pattern(SplittableRandom random) {
        byte[] bytes = new byte[PATTERN];
        random.nextBytes(bytes);
        return bytes;
    }

    private static void requireHead(DeviceBuffer buffer, byte[] head) {
        if (buffer.byteSize() >= 2 * PATTERN) {
            requireBytes(buffer, 0, head);
        }
    }

    private static void requireBytes(DeviceBuffer buffer, long at, byte[] expected) {
        byte[] actual = new byte[PATTERN];
        buffer.read(at, MemorySegment.ofArray(actual));
        assertThat(actual).as("I14 in %s", buffer).isEqualTo(expected);
    }

    /** Something that may throw anything. */
    @FunctionalInterface
    private interface Job {
        void run() throws Exception;
    }

    private void guarded(Job job) {
        try {
            job.run();
        } catch (Exception | Error e) {
            failures.add(e);
            over.set(true);
        }
    }

    private static void join(List<Thread> threads) throws InterruptedException {
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void requireNoFailures() {
        Throwable failure = failures.peek();
        if (failure != null) {
            throw new AssertionError(failures.size() + " threads failed; the first: " + failure, failure);
        }
    }
}
