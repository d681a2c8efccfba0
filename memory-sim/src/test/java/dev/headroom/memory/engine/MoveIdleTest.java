package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A pool that needs more gives back what lies idle elsewhere, to the byte and to the call. */
class MoveIdleTest {

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;

    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private SimulatedBackend backend = SimulatedBackend.card(MIB);

    @BeforeAll
    static void hush() {
        LOG.setLevel(Level.OFF); // failures to free are announced each time
    }

    @AfterAll
    static void speak() {
        LOG.setLevel(null);
    }

    @AfterEach
    void nothingIsLeft() {
        backend.requireNoViolations();
        assertThat(driver().isEmpty()).as(backend.toString()).isTrue();
    }

    private static MemoryConfig.Builder exact() {
        return MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .growthBytes(0)
                .cpuFallback(false)
                .waitTimeout(Duration.ZERO);
    }

    private PoolEngine open(boolean ranges, MemoryConfig.Builder config) {
        SimulatedDevice.Builder card =
                SimulatedDevice.builder("card").totalBytes(1L << 30).withoutContents();
        backend = SimulatedBackend.builder("sim")
                .device(ranges ? card.virtualMemory(2 * MIB).granularity(2 * MIB) : card)
                .build();
        GpuMemory memory =
                GpuMemory.builder().backend(backend).config(config.build()).open();
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }

    private Ledger driver() {
        return backend.device(0).ledger();
    }

    private long held() {
        return backend.device(0).memory().usedBytes();
    }

    private long memoryCalls() {
        return Stream.of("allocate", "free", "commit", "decommit", "reserve")
                .mapToLong(driver()::calls)
                .sum();
    }

    private void requireBooks(PoolEngine pool) {
        pool.validate();
        assertThat(pool.stats().totalAllocatedBytes())
                .isEqualTo(held())
                .isEqualTo(pool.ledger().figures().heldBytes());
    }

    /** Three buffers side by side, of which the first and the last are freed; behind the last there is room for more. */
    private static DeviceBuffer middleOfThree(PoolEngine pool) {
        DeviceBuffer first = pool.allocate(8 * MIB);
        DeviceBuffer middle = pool.allocate(8 * MIB);
        pool.allocate(8 * MIB).close();
        first.close();
        return middle;
    }

    // With virtual memory.

    @Test
    void idlePagesMakeUpForAGrowth() {
        PoolEngine pool = open(true, exact());
        DeviceBuffer middle = middleOfThree(pool);
        long commits = driver().calls("commit");
        DeviceBuffer large = pool.allocate(12 * MIB);
        assertThat(driver().calls("decommit")).as("4 MiB of the first").isEqualTo(1);
        assertThat(driver().calls("commit") - commits).as("behind the last").isEqualTo(1);
        assertThat(held()).isEqualTo(24 * MIB);
        assertThat(pool.stats().pooledBytes()).isEqualTo(4 * MIB);
        requireBooks(pool);
        DeviceBuffer rest = pool.allocate(4 * MIB);
        assertThat(held()).as("the lower half of the first is still there").isEqualTo(24 * MIB);
        DeviceBuffer more = pool.allocate(4 * MIB);
        assertThat(held()).as("nothing is idle").isEqualTo(28 * MIB);
        assertThat(driver().calls("decommit")).isEqualTo(1);
        requireBooks(pool);
        List.of(middle, large, rest, more).forEach(DeviceBuffer::close);
        pool.close();
    }

    @ParameterizedTest
    @ValueSource(longs = {6, 7, 8, Long.MAX_VALUE >> 20})
    void whatIsBelowTheThresholdStays(long threshold) {
        PoolEngine pool = open(true, exact().releaseThresholdBytes(threshold * MIB));
        DeviceBuffer middle = middleOfThree(pool);
        DeviceBuffer large = pool.allocate(12 * MIB);
        long moved = threshold == 6 ? 2 * MIB : 0; // 8 MiB are idle, and pages are of 2
        assertThat(held()).isEqualTo(28 * MIB - moved);
        assertThat(driver().calls("decommit")).isEqualTo(moved == 0 ? 0 : 1);
        requireBooks(pool);
        middle.close();
        large.close();
        pool.close();
    }

    /** Pages of the limit are needed twice if they are taken before others have gone back. */
    @Test
    void theLimitHoldsInBetween() {
        PoolEngine pool = open(true, exact().limitBytes(24 * MIB));
        DeviceBuffer middle = middleOfThree(pool);
        long commits = driver().calls("commit");
        DeviceBuffer large = pool.allocate(12 * MIB);
        assertThat(driver().calls("commit") - commits).isEqualTo(1);
        assertThat(driver().calls("decommit")).isEqualTo(1);
        assertThat(pool.yields(Rung.GROW)).isEqualTo(4);
        middle.close();
        large.close();
        pool.close();
    }

    @Test
    void whatTheDriverKeepsIsCountedAndNotHandedOut() {
        PoolEngine pool = open(true, exact());
        DeviceBuffer middle = middleOfThree(pool);
        backend.faults()
                .add(FaultRule.on("decommit")
                        .failing(DriverException.Kind.UNEXPECTED, 1)
                        .times(1));
        DeviceBuffer large = pool.allocate(12 * MIB);
        assertThat(driver().calls("decommit")).isEqualTo(1);
        assertThat(pool.stats().totalAllocatedBytes()).as("4 MiB are stranded").isEqualTo(28 * MIB);
        DeviceBuffer rest = pool.allocate(6 * MIB);
        assertThat(pool.stats().totalAllocatedBytes())
                .as("of the first 4 MiB are left, and are moved: there is no place that they are part of")
                .isEqualTo(30 * MIB);
        pool.validate();
        List.of(middle, large, rest).forEach(DeviceBuffer::close);
        pool.close();
    }

    @Test
    void aFailedGrowthLeavesLessAndARightBook() {
        PoolEngine pool = open(true, exact());
        DeviceBuffer middle = middleOfThree(pool);
        backend.faults()
                .add(FaultRule.on("commit")
                        .failing(DriverException.Kind.UNEXPECTED, 1)
                        .times(1));
        assertThatThrownBy(() -> pool.allocate(12 * MIB)).isInstanceOf(GpuMemoryException.class);
        assertThat(held()).isEqualTo(20 * MIB);
        requireBooks(pool);
        DeviceBuffer large = pool.allocate(12 * MIB);
        assertThat(held()).isEqualTo(20 * MIB);
        requireBooks(pool);
        middle.close();
        large.close();
        pool.close();
    }

    // Without.

    @Test
    void idleBlocksGoBackBeforeALargerOneIsTaken() {
        PoolEngine pool = open(false, exact());
        List<DeviceBuffer> small = new ArrayList<>();
        for (int i = 1; i <= 4; i++) {
            small.add(pool.allocate(i * MIB));
        }
        small.forEach(DeviceBuffer::close);
        DeviceBuffer five = pool.allocate(5 * MIB);
        assertThat(driver().calls("free"))
                .as("of the first three, which are enough, 3 and 2 MiB")
                .isEqualTo(2);
        assertThat(held()).isEqualTo((1 + 4 + 5) * MIB);
        requireBooks(pool);
        five.close();
        DeviceBuffer three = pool.allocate(3 * MIB);
        assertThat(driver().calls("free")).as("it lies in what was 4").isEqualTo(2);
        three.close();
        pool.close();
    }

    @Test
    void blocksBelowTheThresholdStay() {
        PoolEngine pool = open(false, exact().releaseThresholdBytes(3 * MIB));
        List<DeviceBuffer> small = List.of(pool.allocate(MIB), pool.allocate(2 * MIB), pool.allocate(3 * MIB));
        small.forEach(DeviceBuffer::close);
        DeviceBuffer four = pool.allocate(4 * MIB);
        assertThat(driver().calls("free")).isEqualTo(1);
        assertThat(held()).isEqualTo((1 + 2 + 4) * MIB);
        requireBooks(pool);
        four.close();
        pool.close();
    }

    // Both.

    /** What is set aside for known buffers was rehearsed with all that lay idle then. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatIsPlannedMovesNothing(boolean ranges) {
        PoolEngine pool = open(ranges, exact());
        DeviceBuffer middle = middleOfThree(pool);
        try (Reservation reservation = LedgerReservation.ofBuffers(Map.of(pool, List.of(12 * MIB, 8 * MIB)))) {
            long set = reservation.remainingBytes(pool.device());
            List<DeviceBuffer> planned = List.of(
                    reservation.pool(pool.device()).allocate(12 * MIB),
                    reservation.pool(pool.device()).allocate(8 * MIB));
            assertThat(driver().calls("decommit") + driver().calls("free")).isZero();
            assertThat(held()).isEqualTo(24 * MIB + set);
            planned.forEach(DeviceBuffer::close);
        }
        middle.close();
        pool.close();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everythingIdleGoesBackBeforeARefusal(boolean ranges) {
        PoolEngine pool =
                open(ranges, exact().releaseThresholdBytes(Long.MAX_VALUE).limitBytes(64 * MIB));
        List<DeviceBuffer> kept = new ArrayList<>();
        List<DeviceBuffer> idle = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            (i % 2 == 0 ? kept : idle).add(pool.allocate(8 * MIB));
        }
        idle.forEach(DeviceBuffer::close);
        DeviceBuffer all = pool.allocate(32 * MIB);
        assertThat(held()).isEqualTo(64 * MIB);
        assertThatThrownBy(() -> pool.allocate(2 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        all.close();
        DeviceBuffer small = pool.allocate(2 * MIB);
        assertThatThrownBy(() -> pool.allocate(32 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        requireBooks(pool);
        small.close();
        kept.forEach(DeviceBuffer::close);
        pool.close();
    }

    @Test
    void nothingGoesBackInVain() {
        PoolEngine pool = open(false, exact().limitBytes(32 * MIB));
        DeviceBuffer middle = middleOfThree(pool);
        assertThatThrownBy(() -> pool.allocate(26 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        assertThat(driver().calls("free")).as("8 MiB are in use").isZero();
        DeviceBuffer large = pool.allocate(24 * MIB);
        assertThat(held()).isEqualTo(32 * MIB);
        requireBooks(pool);
        middle.close();
        large.close();
        pool.close();
    }

    /** Sizes that take turns fit beside each other after a while, and then cost no driver call; small buffers stay in between. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void sizesThatTakeTurnsSettle(boolean ranges) {
        PoolEngine pool = open(ranges, exact());
        List<DeviceBuffer> pins = new ArrayList<>();
        long calls = 0;
        for (int turn = 0; turn < 100; turn++) {
            calls = turn == 20 ? memoryCalls() : calls;
            int between = turn == 0 ? 1 : 0;
            takeTurn(pool, pins, between, 8, 6 * MIB);
            takeTurn(pool, pins, between, 5, 10 * MIB);
            requireBooks(pool);
        }
        assertThat(memoryCalls()).as("from the 20th turn on").isEqualTo(calls);
        pins.forEach(DeviceBuffer::close);
        pool.close();
    }

    private static void takeTurn(PoolEngine pool, List<DeviceBuffer> pins, int between, int count, long byteSize) {
        List<DeviceBuffer> buffers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            buffers.add(pool.allocate(byteSize));
            for (int pin = 0; pin < between; pin++) {
                pins.add(pool.allocate(100 * KIB));
            }
        }
        buffers.forEach(DeviceBuffer::close);
    }

    /** Random sizes under a limit: the books agree after each step, the limit holds, and what is moved is bounded. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void randomSizesUnderALimit(boolean ranges) {
        long limit = 96 * MIB;
        long moves = 0;
        for (long seed = 0; seed < 20; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            PoolEngine pool = open(ranges, exact().limitBytes(limit));
            List<DeviceBuffer> live = new ArrayList<>();
            int refused = 0;
            for (int step = 0; step < 400; step++) {
                if (live.isEmpty() || random.nextInt(100) < 52) {
                    try {
                        live.add(pool.allocate(1 + random.nextLong(1L << random.nextInt(8, 25))));
                    } catch (DeviceOutOfMemoryException e) {
                        refused++;
                    }
                } else {
                    live.remove(random.nextInt(live.size())).close();
                }
                assertThat(held()).as("seed " + seed).isLessThanOrEqualTo(limit);
                requireBooks(pool);
            }
            moves += driver().calls(ranges ? "decommit" : "free");
            assertThat(refused).as("seed " + seed).isLessThan(200);
            live.forEach(DeviceBuffer::close);
            pool.close();
            nothingIsLeft();
        }
        assertThat(moves).isGreaterThan(50);
    }
}
