package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.HeapReport;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The profile of block classes, built into the engine: its classes, its figures, and what happens when they are used up. */
class BlockClassesTest {

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;

    private final SimulatedBackend backend = SimulatedBackend.builder("sim")
            .device(SimulatedDevice.builder("card").totalBytes(8 * GIB).withoutContents())
            .build();

    @AfterEach
    void nothingIsLeft() {
        backend.requireNoViolations();
        assertThat(backend.device(0).ledger().isEmpty()).as(backend.toString()).isTrue();
    }

    private GpuMemory open(MemoryConfig.Builder config) {
        return GpuMemory.builder().backend(backend).config(config.build()).open();
    }

    private static MemoryConfig.Builder classes(long maxPoolBytes) {
        return MemoryConfig.builder()
                .profile(PoolProfile.blockClasses(maxPoolBytes))
                .waitTimeout(Duration.ZERO);
    }

    private static PoolEngine pool(GpuMemory memory) {
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }

    private static List<HeapReport.BlockClass> figures(PoolEngine pool) {
        return pool.report().heaps().stream()
                .filter(heap -> heap.kind() == MemoryKind.DEVICE)
                .findFirst()
                .orElseThrow()
                .blockClasses();
    }

    private static List<Long> inUse(PoolEngine pool) {
        return figures(pool).stream()
                .map(HeapReport.BlockClass::allocatedBlocks)
                .toList();
    }

    /** The sizes the original was tested with. */
    @ParameterizedTest
    @ValueSource(longs = {512, 1024})
    void poolSizesAndAllocationsOfTheSeed(long poolMib) {
        try (GpuMemory memory = open(classes(poolMib * MIB))) {
            PoolEngine pool = pool(memory);
            assertThat(figures(pool))
                    .extracting(HeapReport.BlockClass::totalBlocks)
                    .containsExactly(
                            poolMib * MIB * 4 / 7 / KIB, poolMib * MIB * 2 / 7 / (64 * KIB), poolMib * MIB / 7 / MIB);
            DeviceBuffer small = pool.allocate(1024);
            DeviceBuffer medium = pool.allocate(4096);
            assertThat(inUse(pool)).containsExactly(1L, 1L, 0L);
            DeviceBuffer direct = pool.allocate(10 * MIB);
            assertThat(inUse(pool)).as("10 MiB go direct").containsExactly(1L, 1L, 0L);
            assertThat(pool.stats().inUseBytes()).isEqualTo(KIB + 64 * KIB + 10 * MIB);
            assertThat(pool.stats().activeBuffers()).isEqualTo(3);
            DeviceBuffer edge = pool.allocate(MIB);
            DeviceBuffer above = pool.allocate(MIB + 1);
            assertThat(inUse(pool)).as("exactly 1 MiB is pooled").containsExactly(1L, 1L, 1L);
            for (DeviceBuffer buffer : List.of(small, medium, direct, edge, above)) {
                buffer.close();
            }
            assertThat(inUse(pool)).containsExactly(0L, 0L, 0L);
            assertThat(pool.stats().inUseBytes()).isZero();
            pool.validate();
        }
    }

    @Test
    void blocksAreReusedWithoutTheDriver() {
        try (GpuMemory memory = open(classes(512 * MIB))) {
            PoolEngine pool = pool(memory);
            pool.allocate(1024).close();
            long calls = backend.faults().calls("allocate");
            for (int i = 0; i < 1000; i++) {
                pool.allocate(1024).close();
            }
            assertThat(backend.faults().calls("allocate")).isEqualTo(calls);
            assertThat(pool.stats().poolHits()).isEqualTo(1000);
            assertThat(pool.stats().poolMisses()).isEqualTo(1);
        }
    }

    /** What is reserved for classes and what is in use are counted apart, and each byte once. */
    @Test
    void usageIsRightWithinOnePerCent() {
        try (GpuMemory memory = open(classes(512 * MIB))) {
            PoolEngine pool = pool(memory);
            List<DeviceBuffer> open = new ArrayList<>();
            long asked = 0;
            for (int i = 0; i < 500; i++) {
                for (long size : new long[] {KIB, 64 * KIB, i % 10 == 0 ? MIB : 2 * MIB}) {
                    open.add(pool.allocate(size));
                    asked += size;
                }
            }
            MemoryStats stats = pool.stats();
            assertThat((double) stats.inUseBytes()).isCloseTo(asked, within(asked / 100.0));
            assertThat(stats.totalAllocatedBytes()).isEqualTo(stats.inUseBytes() + stats.pooledBytes());
            long heldByDriver = backend.device(0).ledger().liveBytes();
            assertThat((double) stats.totalAllocatedBytes()).isCloseTo(heldByDriver, within(heldByDriver / 100.0));
            for (HeapReport.BlockClass each : figures(pool)) {
                assertThat(each.freeBlocks()).isEqualTo(each.totalBlocks() - each.allocatedBlocks());
                assertThat(each.reservedBytes())
                        .isBetween(each.allocatedBlocks() * each.blockSize(), each.totalBlocks() * each.blockSize());
            }
            open.forEach(DeviceBuffer::close);
            assertThat(pool.stats().inUseBytes()).isZero();
            assertThat(figures(pool)).anyMatch(each -> each.reservedBytes() > 0);
            assertThat(pool.shrink()).isEqualTo(stats.totalAllocatedBytes());
            assertThat(figures(pool)).allMatch(each -> each.reservedBytes() == 0);
            assertThat(backend.device(0).ledger().liveBytes()).isZero();
        }
    }

    /** Of 455 KiB the class of 1 KiB has 260 blocks, 64 KiB 2 and 1 MiB none. */
    @Test
    void aClassThatIsUsedUpGivesWayToTheNextAndThenToTheHeap() {
        try (GpuMemory memory = open(classes(455 * KIB).limitBytes(64 * MIB))) {
            PoolEngine pool = pool(memory);
            assertThat(figures(pool))
                    .extracting(HeapReport.BlockClass::totalBlocks)
                    .containsExactly(260L, 2L, 0L);
            List<DeviceBuffer> open = new ArrayList<>();
            for (int i = 0; i < 260; i++) {
                open.add(pool.allocate(1000));
            }
            assertThat(inUse(pool)).containsExactly(260L, 0L, 0L);
            open.add(pool.allocate(1000));
            assertThat(inUse(pool)).containsExactly(260L, 1L, 0L);
            open.add(pool.allocate(1000));
            long before = pool.stats().inUseBytes();
            open.add(pool.allocate(1000));
            assertThat(inUse(pool)).containsExactly(260L, 2L, 0L);
            assertThat(pool.stats().inUseBytes()).as("directly").isEqualTo(before + KIB);
            open.add(pool.allocate(MIB));
            assertThat(pool.stats().inUseBytes()).as("a class without blocks").isEqualTo(before + KIB + MIB);
            open.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void aFullPoolNamesSizeAndClasses() {
        try (GpuMemory memory = open(classes(GIB).limitBytes(2 * MIB).cpuFallback(false))) {
            PoolEngine pool = pool(memory);
            List<DeviceBuffer> open = new ArrayList<>();
            for (int i = 0; i < 32; i++) {
                open.add(pool.allocate(64 * KIB));
            }
            assertThatThrownBy(() -> pool.allocate(60_000))
                    .isInstanceOf(DeviceOutOfMemoryException.class)
                    .hasMessage("""
                            sim:0 (card): 58.59 KiB wanted, but only 0 B more can be had (limit 2 MiB less 2 MiB held by this pool; \
                            8.00 GiB free, measured). Largest free range 0 B, 2 MiB in buffers, 2 MiB held from the driver. \
                            Block classes in use: 0 of 599186 blocks of 1 KiB, 32 of 4681 blocks of 64 KiB, \
                            0 of 146 blocks of 1 MiB. To make room, close buffers (32 open; TrackingLevel.FULL would name them) \
                            or raise limitBytes by 60 KiB""");
            open.removeLast().close();
            DeviceBuffer inNeed = pool.allocate(1);
            assertThat(pool.stats().inUseBytes())
                    .as("a block of a larger class will do")
                    .isEqualTo(2 * MIB);
            assertThat(pool.yields(Rung.RETRY)).isEqualTo(1);
            inNeed.close();
            open.forEach(DeviceBuffer::close);
            assertThat(pool.allocate(2 * MIB)).as("empty slabs make room").satisfies(DeviceBuffer::close);
        }
    }

    @Test
    void largeAlignmentsAreServed() {
        try (GpuMemory memory = open(classes(GIB))) {
            PoolEngine pool = pool(memory);
            for (long alignment = 1; alignment <= AllocationRequest.MAX_ALIGNMENT; alignment *= 2) {
                EngineBuffer buffer =
                        (EngineBuffer) pool.allocate(AllocationRequest.of(300).aligned(alignment));
                assertThat(buffer.byteOffset() % alignment).isZero();
                buffer.close();
            }
        }
    }

    @Test
    void otherKindsOfMemoryAreNotDivided() {
        try (GpuMemory memory = open(classes(GIB))) {
            PoolEngine pool = pool(memory);
            DeviceBuffer upload = pool.allocate(AllocationRequest.of(300).ofKind(MemoryKind.UPLOAD));
            assertThat(pool.report().heaps())
                    .filteredOn(heap -> heap.kind() != MemoryKind.DEVICE)
                    .allSatisfy(heap -> assertThat(heap.blockClasses()).isEmpty());
            assertThat(pool.stats().inUseBytes()).isEqualTo(512);
            upload.close();
        }
    }

    @Test
    void closingFreesEverything() {
        GpuMemory memory = open(classes(512 * MIB));
        PoolEngine pool = pool(memory);
        for (long size : new long[] {1, 4096, MIB, 10 * MIB}) {
            pool.allocate(size);
        }
        memory.close();
        assertThat(backend.device(0).ledger().isEmpty()).isTrue();
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void randomWorkKeepsTheBooksInAShortPool(boolean ranges) {
        SimulatedDevice.Builder card =
                SimulatedDevice.builder("small").totalBytes(64 * MIB).withoutContents();
        SimulatedBackend small = SimulatedBackend.builder("sim")
                .device(ranges ? card.virtualMemory(64 * KIB) : card)
                .build();
        try (GpuMemory memory = GpuMemory.builder()
                .backend(small)
                .config(classes(12 * MIB)
                        .fraction(1)
                        .minFreeBytes(0)
                        .limitBytes(16 * MIB)
                        .build())
                .open()) {
            PoolEngine pool = pool(memory);
            SplittableRandom random = new SplittableRandom(11);
            List<DeviceBuffer> open = new ArrayList<>();
            long refused = 0;
            for (int step = 0; step < 6000; step++) {
                int what = random.nextInt(100);
                if (what < 52) {
                    try {
                        open.add(pool.allocate(1 + random.nextLong(1L << (4 + random.nextInt(19)))));
                    } catch (DeviceOutOfMemoryException e) {
                        refused++;
                    }
                } else if (what < 98 && !open.isEmpty()) {
                    open.remove(random.nextInt(open.size())).close();
                } else {
                    pool.shrink();
                }
                MemoryStats stats = pool.stats();
                assertThat(stats.totalAllocatedBytes()).isEqualTo(stats.inUseBytes() + stats.pooledBytes());
                assertThat(stats.totalAllocatedBytes())
                        .isEqualTo(small.device(0).ledger().liveBytes())
                        .isLessThanOrEqualTo(16 * MIB);
                assertThat(stats.activeBuffers()).isEqualTo(open.size());
                if (step % 200 == 0) {
                    pool.validate();
                }
            }
            assertThat(refused).isPositive();
            open.forEach(DeviceBuffer::close);
            assertThat(pool.stats().inUseBytes()).isZero();
            pool.shrink();
            assertThat(small.device(0).ledger().liveBytes()).isZero();
        }
        small.requireNoViolations();
        assertThat(small.device(0).ledger().isEmpty()).isTrue();
    }
}
