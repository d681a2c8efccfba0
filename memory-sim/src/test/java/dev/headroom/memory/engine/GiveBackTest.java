package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.Reservation;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a pool says it gave back, the driver has got; and by age only what has been idle for so long. */
class GiveBackTest {

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;
    private static final Duration MINUTE = Duration.ofMinutes(1);
    private static final Duration SECOND = Duration.ofSeconds(1);

    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private VirtualClock clock = VirtualClock.manual();
    private SimulatedBackend backend;

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
        assertThat(backend.device(0).ledger().isEmpty()).as(backend.toString()).isTrue();
    }

    private PoolEngine open(boolean ranges, MemoryConfig.Builder config) {
        SimulatedDevice.Builder card =
                SimulatedDevice.builder("card").totalBytes(1 << 30).withoutContents();
        backend = SimulatedBackend.builder("sim")
                .device(ranges ? card.virtualMemory(2 * MIB).granularity(2 * MIB) : card)
                .clock(clock)
                .build();
        GpuMemory memory = GpuMemory.builder()
                .backend(backend)
                .config(config.fraction(1).minFreeBytes(0).build())
                .clock(clock)
                .open();
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }

    private static MemoryConfig.Builder defaults() {
        return MemoryConfig.builder();
    }

    private Ledger driver() {
        return backend.device(0).ledger();
    }

    private void close(PoolEngine pool) {
        pool.close();
    }

    // Everything that is idle.

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatShrinkReturnsIsGoneFromTheDriver(boolean ranges) {
        PoolEngine pool = open(ranges, defaults());
        DeviceBuffer kept = pool.allocate(40 * MIB);
        pool.allocate(70 * MIB).close();
        DeviceBuffer other = pool.allocate(50 * MIB);
        other.close();
        long before = driver().liveBytes();
        assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(before);
        long frees = driver().calls("free") + driver().calls("decommit");
        long returned = pool.shrink();
        assertThat(returned).isEqualTo(70 * MIB);
        assertThat(driver().liveBytes()).isEqualTo(before - returned);
        assertThat(driver().calls("free") + driver().calls("decommit")).isGreaterThan(frees);
        assertThat(driver().committedBytes()).isEqualTo(ranges ? 40 * MIB : 0);
        assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(40 * MIB);
        assertThat(pool.stats().pooledBytes()).isZero();
        assertThat(pool.shrink()).isZero();
        kept.close();
        pool.clearPool();
        assertThat(driver().liveBytes()).isZero();
        close(pool);
    }

    @Test
    void whatTheDriverKeepsIsNotCountedAsGone() {
        PoolEngine pool = open(false, defaults());
        DeviceBuffer first = pool.allocate(32 * MIB);
        pool.allocate(64 * MIB).close();
        first.close();
        backend.faults()
                .add(FaultRule.on("free")
                        .failing(DriverException.Kind.UNEXPECTED, 1)
                        .times(1));
        long before = driver().liveBytes();
        long returned = pool.shrink();
        assertThat(returned).isEqualTo(64 * MIB);
        assertThat(driver().liveBytes()).isEqualTo(before - returned - driver().quarantinedBytes());
        assertThat(driver().quarantinedBytes()).isEqualTo(32 * MIB);
        close(pool);
    }

    // By age.

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void onlyWhatHasBeenIdleForSoLong(boolean ranges) {
        PoolEngine pool = open(ranges, defaults());
        DeviceBuffer a = pool.allocate(32 * MIB);
        DeviceBuffer b = pool.allocate(32 * MIB);
        DeviceBuffer c = pool.allocate(32 * MIB);
        clock.advance(MINUTE);
        a.close();
        clock.advance(MINUTE);
        b.close();
        assertThat(pool.shrink(MINUTE.plusNanos(1))).as("not yet").isZero();
        long before = driver().liveBytes();
        assertThat(pool.shrink(MINUTE)).as("a, to the nanosecond").isEqualTo(32 * MIB);
        assertThat(driver().liveBytes()).isEqualTo(before - 32 * MIB);
        assertThat(pool.shrink(MINUTE)).isZero();
        clock.advance(MINUTE);
        assertThat(pool.shrink(MINUTE)).as("b; c is in use").isEqualTo(32 * MIB);
        c.close();
        assertThat(pool.shrink(Duration.ZERO)).as("of whatever age").isEqualTo(32 * MIB);
        close(pool);
    }

    /** The buffer comes and goes in the first of 32 MiB that were in use before. */
    @Test
    void pagesOfARangeThatAreUsedAgainStay() {
        PoolEngine pool = open(true, defaults());
        pool.allocate(32 * MIB).close();
        clock.advance(MINUTE);
        pool.allocate(3 * MIB).close();
        assertThat(pool.shrink(MINUTE)).as("all but two pages of 2 MiB").isEqualTo(28 * MIB);
        assertThat(driver().committedBytes()).isEqualTo(4 * MIB);
        clock.advance(MINUTE);
        assertThat(pool.shrink(MINUTE)).isEqualTo(4 * MIB);
        close(pool);
    }

    @Test
    void aBlockUsedAgainIsYoungAgain() {
        PoolEngine pool = open(false, defaults());
        pool.allocate(3 * MIB).close();
        clock.advance(MINUTE);
        DeviceBuffer again = pool.allocate(3 * MIB);
        assertThat(pool.shrink(SECOND)).as("in use").isZero();
        again.close();
        assertThat(pool.shrink(SECOND)).isZero();
        clock.advance(SECOND);
        assertThat(pool.shrink(SECOND)).isEqualTo(32 * MIB);
        close(pool);
    }

    /** Memory of a loop is kept at hand after a while, and counts as idle from the next look on. */
    @Test
    void aLoopIsTimedToAnExtent() {
        int[] looks = {0};
        SimulatedBackend card = SimulatedBackend.card(1 << 30);
        try (GpuMemory memory = GpuMemory.builder()
                .backend(card)
                .clock(() -> {
                    looks[0]++;
                    return clock.getAsLong();
                })
                .open()) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            for (int i = 0; i < 50; i++) {
                pool.allocate(KIB).close();
            }
            clock.advance(MINUTE);
            assertThat(pool.shrink(MINUTE)).as("timed each time").isEqualTo(32 * MIB);
            looks[0] = 0;
            for (int i = 0; i < 100_000; i++) {
                pool.allocate(KIB).close();
            }
            assertThat(looks[0]).isLessThan(100);
            clock.advance(MINUTE);
            assertThat(pool.shrink(MINUTE)).as("not timed").isZero();
            clock.advance(MINUTE);
            assertThat(pool.shrink(MINUTE)).as("a minute after the look").isEqualTo(32 * MIB);
        }
        backend = card;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void emptySlabsOfBlockClassesAgeToo(boolean ranges) {
        PoolEngine pool = open(ranges, defaults().profile(PoolProfile.blockClasses(256 * MIB)));
        DeviceBuffer a = pool.allocate(KIB);
        DeviceBuffer b = pool.allocate(KIB);
        a.close();
        clock.advance(MINUTE);
        assertThat(pool.shrink(MINUTE)).as("the slab of 2 MiB is in use").isZero();
        b.close();
        assertThat(pool.shrink(MINUTE)).isZero();
        clock.advance(MINUTE);
        assertThat(pool.shrink(MINUTE)).isEqualTo(ranges ? 2 * MIB : 32 * MIB);
        assertThat(driver().liveBytes()).isZero();
        close(pool);
    }

    @Test
    void aNegativeAgeIsRefused() {
        PoolEngine pool = open(false, defaults());
        assertThatThrownBy(() -> pool.shrink(Duration.ofNanos(-1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("idleFor is PT-0.000000001S: must be 0 or more");
        assertThat(pool.shrink(Duration.ofSeconds(Long.MAX_VALUE))).isZero();
        close(pool);
    }

    @Test
    void aReservationsPoolForwards() {
        PoolEngine pool = open(false, defaults());
        pool.allocate(MIB).close();
        clock.advance(SECOND);
        try (Reservation reservation = LedgerReservation.of(Map.of(pool, MIB))) {
            assertThat(reservation.pool(pool.device()).shrink(MINUTE)).isZero();
            assertThat(reservation.pool(pool.device()).shrink(SECOND)).isEqualTo(32 * MIB);
        }
        close(pool);
    }

    // By itself.

    @Test
    void withoutASettingNothingIsTrimmed() {
        PoolEngine pool = open(false, defaults());
        pool.allocate(MIB).close();
        clock.advance(Duration.ofDays(365));
        assertThat(pool.trimIdle()).isZero();
        close(pool);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, Long.MAX_VALUE - 90_000_000_000L, Long.MAX_VALUE - 30_000_000_000L, Long.MIN_VALUE})
    void trimsWhatIsDueAlsoOverAWrapOfTheClock(long start) {
        clock = VirtualClock.manual().startingAt(start);
        PoolEngine pool = open(false, defaults().idleTrimAfter(MINUTE));
        DeviceBuffer a = pool.allocate(32 * MIB);
        DeviceBuffer b = pool.allocate(32 * MIB);
        a.close();
        clock.advance(SECOND.multipliedBy(40));
        b.close();
        clock.advance(SECOND.multipliedBy(20).minusNanos(1));
        assertThat(pool.trimIdle()).isZero();
        clock.advance(Duration.ofNanos(1));
        assertThat(pool.trimIdle()).as("a").isEqualTo(32 * MIB);
        assertThat(pool.trimIdle()).isZero();
        clock.advance(SECOND.multipliedBy(39));
        assertThat(pool.trimIdle()).isZero();
        clock.advance(SECOND);
        assertThat(pool.trimIdle()).as("b").isEqualTo(32 * MIB);
        assertThat(driver().liveBytes()).isZero();
        close(pool);
    }

    @Test
    void callsTheDriverOnlyWhenSomethingCanBeDue() {
        PoolEngine pool = open(false, defaults().idleTrimAfter(MINUTE));
        DeviceBuffer buffer = pool.allocate(MIB);
        CompletableFuture<Void> stage = new CompletableFuture<>();
        buffer.closeAfter(stage);
        buffer.close();
        stage.complete(null);
        long calls = driver().totalCalls();
        MemoryStats before = pool.stats();
        for (int i = 0; i < 59; i++) {
            clock.advance(SECOND);
            assertThat(pool.trimIdle()).isZero();
        }
        assertThat(pool.stats()).as("nothing was even collected").isEqualTo(before);
        assertThat(driver().totalCalls()).isEqualTo(calls);
        clock.advance(SECOND);
        assertThat(pool.trimIdle()).as("collected now, and idle from now on").isZero();
        assertThat(pool.stats().inUseBytes()).isZero();
        clock.advance(MINUTE);
        assertThat(pool.trimIdle()).isEqualTo(32 * MIB);
        close(pool);
    }

    @Test
    void aFailedTrimIsNotTriedForEver() {
        PoolEngine pool = open(true, defaults().idleTrimAfter(MINUTE));
        pool.allocate(MIB).close();
        clock.advance(MINUTE);
        backend.faults().add(FaultRule.on("decommit").failing(DriverException.Kind.UNEXPECTED, 1));
        assertThat(pool.trimIdle()).isZero();
        long calls = driver().calls("decommit");
        assertThat(calls).isPositive();
        clock.advance(MINUTE.multipliedBy(3));
        assertThat(pool.trimIdle()).isZero();
        assertThat(driver().calls("decommit")).isEqualTo(calls);
        backend.faults().clear();
        close(pool);
    }

    @Test
    void aLostOrClosedPoolIsLeftAlone() {
        PoolEngine pool = open(false, defaults().idleTrimAfter(SECOND));
        pool.allocate(MIB).close();
        clock.advance(MINUTE);
        backend.device(0).lose();
        assertThatThrownBy(() -> pool.allocate(64 * MIB)).hasMessageContaining("is lost");
        assertThat(pool.trimIdle()).isZero();
        close(pool);
        assertThat(pool.trimIdle()).isZero();
    }

    @Test
    void whatWasTakenInAdvanceIsTrimmedLikeTheRest() {
        PoolEngine pool = open(false, defaults().idleTrimAfter(MINUTE).preAllocation(List.of(32 * MIB, 64 * MIB)));
        clock.advance(MINUTE);
        assertThat(pool.trimIdle()).isEqualTo(96 * MIB);
        close(pool);
    }
}
