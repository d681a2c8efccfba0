package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What a pool says that known buffers will take is what they take, to the byte of what is free. */
class RehearsalTest {

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;
    private static final long TOTAL = 1L << 36;
    private static final int CASES = 1000;

    private static MemoryConfig.Builder config() {
        return MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .cpuFallback(false)
                .waitTimeout(Duration.ZERO);
    }

    private static SimulatedBackend backend(SimulatedDevice.Builder device) {
        return SimulatedBackend.builder("cuda").device(device.withoutContents()).build();
    }

    private static SimulatedDevice.Builder card() {
        return SimulatedDevice.builder("card").totalBytes(TOTAL);
    }

    /** Random pools, some of them full of gaps. Others then take all memory but what the pool asks for: all buffers must fit. */
    @Test
    void whatIsSetAsideIsEnoughAndNoMoreIsTaken() {
        int tight = 0;
        int more = 0;
        int less = 0;
        for (long seed = 0; seed < CASES; seed++) {
            Random random = new Random(seed);
            String which = "seed " + seed;
            SimulatedDevice.Builder device = card().granularity(256L << random.nextInt(14));
            if (random.nextBoolean()) {
                device.maxBlockBytes((1 + random.nextInt(64)) * 2 * MIB);
            }
            if (random.nextInt(3) == 0) {
                device.virtualMemory((64 * KIB) << random.nextInt(6));
            }
            MemoryConfig.Builder config = config();
            if (random.nextInt(5) == 0) {
                config.profile(PoolProfile.blockClasses((1 + random.nextInt(64)) * MIB));
            }
            SimulatedBackend backend = backend(device);
            try (GpuMemory memory =
                    GpuMemory.builder().backend(backend).config(config.build()).open()) {
                PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
                List<DeviceBuffer> held = random.nextBoolean() ? List.of() : inUse(pool, random);
                List<Long> sizes = sizes(random, 2 * MIB);
                long before = pool.stats().totalAllocatedBytes();
                long growth = pool.growthFor(sizes).orElseThrow();
                long sum = sizes.stream().mapToLong(Long::longValue).sum();
                more += growth > sum ? 1 : 0;
                less += growth < sum ? 1 : 0;
                backend.device(0).occupy(TOTAL - before - growth);
                try (Reservation reservation = memory.reserveBuffers(Map.of(pool, sizes))) {
                    assertThat(reservation.remainingBytes(pool.device()))
                            .as(which)
                            .isEqualTo(growth);
                    allAreAllocated(pool, reservation, sizes, which);
                    tight += pool.stats().totalAllocatedBytes() - before == growth ? 1 : 0;
                    assertThat(pool.stats().totalAllocatedBytes() - before)
                            .as(which)
                            .isLessThanOrEqualTo(growth);
                }
                held.forEach(DeviceBuffer::close);
            }
            backend.requireNoViolations();
        }
        assertThat(tight).as("nothing was set aside in vain").isGreaterThan(CASES * 9 / 10);
        assertThat(more).as("cases in which the sum would not have been enough").isGreaterThan(CASES / 4);
        assertThat(less).as("cases in which gaps were enough for some").isGreaterThan(CASES / 20);
    }

    private static void allAreAllocated(PoolEngine pool, Reservation reservation, List<Long> sizes, String which) {
        GpuMemoryPool reserved = reservation.pool(pool.device());
        List<DeviceBuffer> buffers = new ArrayList<>();
        assertThatCode(() -> sizes.forEach(size -> buffers.add(reserved.allocate(AllocationRequest.of(size)))))
                .as(which)
                .doesNotThrowAnyException();
        pool.validate();
        buffers.forEach(DeviceBuffer::close);
    }

    /** With a byte less than the pool asks for nothing is set aside, unless giving back what lies idle makes room. */
    @Test
    void withOneByteLessNothingIsSetAside() {
        int refused = 0;
        int after = 0;
        for (long seed = 0; seed < CASES / 2; seed++) {
            Random random = new Random(seed);
            SimulatedDevice.Builder device = card().granularity(256L << random.nextInt(14));
            device.maxBlockBytes((1 + random.nextInt(64)) * 2 * MIB);
            SimulatedBackend backend = backend(device);
            try (GpuMemory memory = GpuMemory.builder()
                    .backend(backend)
                    .config(config().build())
                    .open()) {
                PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
                List<DeviceBuffer> held = random.nextBoolean() ? List.of() : inUse(pool, random);
                List<Long> sizes = sizes(random, 2 * MIB);
                long growth = pool.growthFor(sizes).orElseThrow();
                if (growth == 0) {
                    continue;
                }
                backend.device(0).occupy(TOTAL - pool.stats().totalAllocatedBytes() - growth + 1);
                boolean idle = pool.heaps().primary().blocks().idleBytes() > 0;
                try (Reservation reservation = memory.reserveBuffers(Map.of(pool, sizes))) {
                    assertThat(idle).as("seed " + seed).isTrue();
                    allAreAllocated(pool, reservation, sizes, "seed " + seed);
                    after++;
                } catch (DeviceOutOfMemoryException e) {
                    refused++;
                }
                held.forEach(DeviceBuffer::close);
            }
        }
        assertThat(refused).isGreaterThan(CASES / 10);
        assertThat(after).isPositive();
    }

    /** Buffers with gaps between them. */
    private static List<DeviceBuffer> inUse(GpuMemoryPool pool, Random random) {
        List<DeviceBuffer> buffers = new ArrayList<>();
        sizes(random, MIB).forEach(size -> buffers.add(pool.allocate(size)));
        Collections.shuffle(buffers, random);
        int closed = random.nextInt(buffers.size());
        buffers.subList(0, closed).forEach(DeviceBuffer::close);
        return buffers.subList(closed, buffers.size());
    }

    private static List<Long> sizes(Random random, long largest) {
        List<Long> sizes = new ArrayList<>();
        boolean even = random.nextBoolean();
        long size = 1 + random.nextLong(largest);
        for (int i = random.nextInt(60); i >= 0; i--) {
            sizes.add(even && random.nextInt(8) > 0 ? size : 1 + random.nextLong(largest));
        }
        return sizes;
    }

    /** One driver call for a model, not one for each of its tensors or for every segment. */
    @Test
    void whatIsSetAsideIsTakenAtOnce() {
        List<Long> sizes = Collections.nCopies(100, 5 * MIB + 3);
        for (SimulatedDevice.Builder device : List.of(card(), card().virtualMemory(2 * MIB))) {
            SimulatedBackend backend = backend(device);
            try (GpuMemory memory = GpuMemory.builder()
                    .backend(backend)
                    .config(config().build())
                    .open()) {
                GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
                long sum = 100 * (5 * MIB + 256);
                assertThat(pool.growthFor(sizes).orElseThrow()).isBetween(sum, sum + 2 * MIB);
                try (Reservation reservation = memory.reserveBuffers(Map.of(pool, sizes))) {
                    GpuMemoryPool reserved = reservation.pool(pool.device());
                    List<DeviceBuffer> buffers = new ArrayList<>();
                    sizes.forEach(size -> buffers.add(reserved.allocate(size)));
                    assertThat(pool.stats().poolMisses()).isEqualTo(1);
                    assertThat(reservation.remainingBytes(pool.device())).isZero();
                    buffers.forEach(DeviceBuffer::close);
                }
            }
        }
    }

    /** Blocks of 10 MiB hold three buffers of 3 MiB: the tenth MiB of each is lost. */
    @Test
    void whatIsLeftOfABlockCounts() {
        SimulatedBackend backend = backend(card().maxBlockBytes(10 * MIB).granularity(MIB));
        try (GpuMemory memory =
                GpuMemory.builder().backend(backend).config(config().build()).open()) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            assertThat(pool.growthFor(Collections.nCopies(3, 3 * MIB))).hasValue(9 * MIB);
            assertThat(pool.growthFor(Collections.nCopies(6, 3 * MIB))).hasValue(19 * MIB);
            assertThat(pool.growthFor(List.of())).hasValue(0);
            assertThat(pool.growthFor(List.of(10 * MIB + 1))).isEmpty();
            assertThatExceptionOfType(AllocationTooLargeException.class)
                    .isThrownBy(() -> memory.reserveBuffers(Map.of(pool, List.of(MIB, 11 * MIB))));
            DeviceBuffer gap = pool.allocate(6 * MIB);
            gap.close();
            assertThat(pool.growthFor(Collections.nCopies(3, 3 * MIB)))
                    .as("of the 10 MiB that lie idle all are used")
                    .hasValue(0);
        }
    }

    /** A reservation for whatever comes does not take everything for the first small buffer. */
    @Test
    void anOpenReservationGrowsAsBefore() {
        SimulatedBackend backend = backend(card());
        try (GpuMemory memory =
                GpuMemory.builder().backend(backend).config(config().build()).open()) {
            GpuDevice device = memory.devices().getFirst();
            try (Reservation reservation = memory.reserve(Map.of(device, 1000 * MIB))) {
                DeviceBuffer small = reservation.pool(device).allocate(MIB);
                assertThat(memory.pool(device).stats().totalAllocatedBytes()).isEqualTo(32 * MIB);
                small.close();
            }
        }
    }

    @Test
    void onePoolForEachDevice() {
        SimulatedBackend host = SimulatedBackend.host(64 * MIB);
        SimulatedBackend backend = backend(card());
        try (GpuMemory memory = GpuMemory.builder()
                .backend(backend)
                .backend(host)
                .config(config().cpuFallback(true).limitBytes(8 * MIB).build())
                .open()) {
            GpuDevice card = memory.devices().getFirst();
            GpuDevice cpu = memory.devices().getLast();
            GpuMemoryPool own = memory.pool(cpu);
            GpuMemoryPool standIn = memory.standInPool(card).orElseThrow();
            assertThat(standIn.device()).isEqualTo(cpu);
            assertThat(own.usableBytes()).isEqualTo(8 * MIB);
            assertThat(standIn.usableBytes())
                    .as("the limit is not meant for it")
                    .isEqualTo(64 * MIB);
            assertThat(memory.standInPool(cpu)).isEmpty();
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.reserveBuffers(Map.of(own, List.of(1L), standIn, List.of(1L))))
                    .withMessage("two of the pools are of " + cpu);
            assertThat(Stream.of(own, standIn).map(GpuMemoryPool::usableBytes)).containsExactly(8 * MIB, 64 * MIB);
        }
    }
}
