package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import org.junit.jupiter.api.Test;

/** What an operator reads when memory runs out or leaks. Word by word, so that a change of words is seen. */
class MessagesTest {

    private static final MemoryConfig DEFAULTS =
            MemoryConfig.builder().waitTimeout(Duration.ZERO).build();

    private final SimulatedBackend cuda = backend("cuda", card("RTX", 8 * GIB));

    @Test
    void aLimitRanOut() {
        try (GpuMemory memory = open(DEFAULTS.toBuilder().limitBytes(4 * GIB).build(), cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer buffer = pool.allocate(3 * GIB);
            DeviceOutOfMemoryException refusal = refusal(pool, 2 * GIB);
            assertThat(refusal).hasNoCause().hasMessage("""
                    cuda:0 (RTX): 2 GiB wanted, but only 1 GiB more can be had (limit 4 GiB less 3 GiB held by this pool; \
                    5 GiB free, measured). Largest free range 0 B, 3 GiB in buffers, 3 GiB held from the driver. To make room, \
                    close buffers (1 open; TrackingLevel.FULL would name them) or raise limitBytes by 1 GiB""");
            assertThat(refusal.figures())
                    .isEqualTo(new DeviceOutOfMemoryException.Figures(
                            "cuda:0", 2 * GIB, 0, 3 * GIB, 3 * GIB, GIB, 4 * GIB, true, 1));
            buffer.close();
        }
    }

    @Test
    void theFractionRanOut() {
        MemoryConfig config = DEFAULTS.toBuilder().tracking(TrackingLevel.FULL).build();
        try (GpuMemory memory = open(config, cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            List<DeviceBuffer> buffers = List.of(pool.allocate(3 * GIB), pool.allocate(3 * GIB));
            DeviceOutOfMemoryException refusal = refusal(pool, 2 * GIB);
            assertThat(refusal).hasMessage("""
                    cuda:0 (RTX): 2 GiB wanted, but only 1.20 GiB more can be had (8 GiB x 0.90 less 6 GiB held by this \
                    process; 2 GiB free, measured, less 512 MiB kept free). Largest free range 0 B, 6 GiB in buffers, 6 GiB held \
                    from the driver. To make room, close buffers (2 open; tracker() names them) or raise gpuMemoryFraction""");
            assertThat(refusal.figures().byLimit()).isFalse();
            buffers.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void otherProcessesHaveIt() {
        try (GpuMemory memory = open(DEFAULTS, cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            cuda.device(0).occupy(7 * GIB);
            assertThat(refusal(pool, 2 * GIB)).hasMessage("""
                    cuda:0 (RTX): 2 GiB wanted, but only 512 MiB more can be had (8 GiB x 0.90 less 0 B held by this process; \
                    1 GiB free, measured, less 512 MiB kept free). Largest free range 0 B, 0 B in buffers, 0 B held from the \
                    driver. To make room, free 1.50 GiB on the device or lower minFreeBytes""");
        }
    }

    @Test
    void nothingTellsWhatIsFree() {
        SimulatedBackend mute = backend("opencl", card("mute", 10 * GIB).freeFigure(FreeFigure.unknown()));
        try (GpuMemory memory = open(DEFAULTS, mute)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer buffer = pool.allocate(6 * GIB);
            assertThat(refusal(pool, 3 * GIB)).hasMessage("""
                    opencl:0 (mute): 3 GiB wanted, but only 2 GiB more can be had (10 GiB x 0.80 less 6 GiB held by this process; \
                    nothing tells how much is free). Largest free range 0 B, 6 GiB in buffers, 6 GiB held from the driver. To make \
                    room, close buffers (1 open; TrackingLevel.FULL would name them) or set limitBytes, because nothing tells how \
                    much is free""");
            buffer.close();
        }
    }

    @Test
    void theDriverRefused() {
        try (GpuMemory memory = open(DEFAULTS, cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            cuda.faults().add(FaultRule.on("allocate").failing(DriverException.Kind.OUT_OF_MEMORY, 2));
            DeviceOutOfMemoryException refusal = refusal(pool, 2 * GIB);
            assertThat(refusal).hasCauseInstanceOf(DriverException.class).hasMessage("""
                    cuda:0 (RTX): 2 GiB wanted, and the budget allows it (8 GiB x 0.90 less 0 B held by this process; 8 GiB free, \
                    measured, less 512 MiB kept free), but the driver refused: allocate failed: injected (code 2). Largest free \
                    range 0 B, 0 B in buffers, 0 B held from the driver. To make room, close other programs on the device""");
        }
    }

    @Test
    void reservationsHoldItBack() {
        try (GpuMemory memory = open(DEFAULTS, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            try (Reservation _ = memory.reserve(Map.of(device, 5 * GIB))) {
                assertThat(refusal(memory.pool(device), 3 * GIB)).hasMessage("""
                        cuda:0 (RTX): 3 GiB wanted, but only 2.20 GiB more can be had (8 GiB x 0.90 less 0 B held by this process; \
                        8 GiB free, measured, less 512 MiB kept free; 5 GiB reserved). Largest free range 0 B, 0 B in buffers, \
                        0 B held from the driver. Reservations hold 5 GiB of it back. To make room, close reservations or raise \
                        gpuMemoryFraction""");
            }
        }
    }

    @Test
    void otherPoolsOfThisProcessHoldIt() {
        PhysicalMemory one = PhysicalMemory.of(8 * GIB);
        SimulatedBackend first = backend("cuda", card("RTX", 8 * GIB).memory(one));
        SimulatedBackend second = backend("opencl", card("RTX", 8 * GIB).memory(one));
        try (GpuMemory memory = open(DEFAULTS, first, second)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            GpuMemoryPool other = memory.pool(memory.devices().getLast());
            DeviceBuffer mine = pool.allocate(GIB);
            DeviceBuffer theirs = other.allocate(5 * GIB);
            assertThat(refusal(pool, 3 * GIB)).hasMessage("""
                    cuda:0 (RTX): 3 GiB wanted, but only 1.20 GiB more can be had (8 GiB x 0.90 less 6 GiB held by this process; \
                    2 GiB free, measured, less 512 MiB kept free). Largest free range 0 B, 1 GiB in buffers, 1 GiB held from the \
                    driver. Other pools of this process hold 5 GiB of the same memory. To make room, close buffers (1 open; \
                    TrackingLevel.FULL would name them) or close buffers of those pools or raise gpuMemoryFraction""");
            mine.close();
            theirs.close();
        }
    }

    @Test
    void enoughIsFreeButInPieces() {
        try (GpuMemory memory = open(DEFAULTS.toBuilder().limitBytes(32 * MIB).build(), cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            List<DeviceBuffer> buffers =
                    List.of(pool.allocate(12 * MIB), pool.allocate(8 * MIB), pool.allocate(12 * MIB));
            buffers.getFirst().close();
            buffers.getLast().close();
            assertThat(refusal(pool, 20 * MIB)).hasMessage("""
                    cuda:0 (RTX): 20 MiB wanted, but only 0 B more can be had (limit 32 MiB less 32 MiB held by this pool; \
                    7.97 GiB free, measured). Largest free range 12 MiB, 8 MiB in buffers, 32 MiB held from the driver. \
                    24 MiB lie free in the pool, but in pieces, none of them large enough. To make room, close buffers (1 open; \
                    TrackingLevel.FULL would name them) or ask for smaller pieces or raise limitBytes by 20 MiB""");
            buffers.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void enoughIsFreeButNotAligned() {
        try (GpuMemory memory = open(DEFAULTS.toBuilder().limitBytes(4 * MIB).build(), cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            List<DeviceBuffer> buffers =
                    List.of(pool.allocate(MIB / 2), pool.allocate(MIB), pool.allocate(MIB * 5 / 2));
            buffers.get(1).close();
            AllocationRequest request = AllocationRequest.of(MIB).aligned(MIB);
            assertThat(catchThrowableOfType(DeviceOutOfMemoryException.class, () -> pool.allocate(request)))
                    .hasMessage("""
                            cuda:0 (RTX): 1 MiB wanted, but only 0 B more can be had (limit 4 MiB less 4 MiB held by this pool; \
                            8.00 GiB free, measured). Largest free range 1 MiB, 3 MiB in buffers, 4 MiB held from the driver. \
                            A free range is large enough, but has no place at a multiple of 1 MiB. To make room, close buffers \
                            (2 open; TrackingLevel.FULL would name them) or ask for a smaller alignment or raise limitBytes by \
                            1 MiB""");
            buffers.forEach(DeviceBuffer::close);
        }
    }

    @Test
    void theDeviceItselfIsFull() {
        cuda.device(0).occupy(7 * GIB);
        try (GpuMemory memory =
                open(whole().toBuilder().waitTimeout(Duration.ZERO).build(), cuda)) {
            assertThat(refusal(memory.pool(memory.devices().getFirst()), 2 * GIB))
                    .hasMessage("""
                    cuda:0 (RTX): 2 GiB wanted, but only 1 GiB more can be had (8 GiB x 1.00 less 0 B held by this process; \
                    1 GiB free, measured, less 0 B kept free). Largest free range 0 B, 0 B in buffers, 0 B held from the driver. \
                    To make room, free 1 GiB on the device""");
        }
        try (GpuMemory memory = open(DEFAULTS.toBuilder().limitBytes(4 * GIB).build(), cuda)) {
            assertThat(refusal(memory.pool(memory.devices().getFirst()), 2 * GIB))
                    .hasMessage("""
                    cuda:0 (RTX): 2 GiB wanted, but only 1 GiB more can be had (limit 4 GiB less 0 B held by this pool; \
                    1 GiB free, measured). Largest free range 0 B, 0 B in buffers, 0 B held from the driver. To make room, \
                    free 1 GiB on the device""");
        }
    }

    @Test
    void largerThanThePoolCanEverHold() {
        try (GpuMemory memory = open(DEFAULTS, cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            AllocationTooLargeException refusal =
                    catchThrowableOfType(AllocationTooLargeException.class, () -> pool.allocate(7500 * MIB));
            assertThat(refusal).hasMessage("""
                    cuda:0 (RTX): 7.32 GiB wanted, but this pool can never hold more than 7.20 GiB (8 GiB x 0.90 less 0 B held by \
                    this process; 8 GiB free, measured, less 512 MiB kept free); raise gpuMemoryFraction, or choose a larger \
                    device""");
            assertThat(refusal.maxBytes()).isEqualTo(7730941132L);
        }
        try (GpuMemory memory = open(DEFAULTS.toBuilder().limitBytes(GIB).build(), cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            assertThat(catchThrowableOfType(AllocationTooLargeException.class, () -> pool.allocate(2 * GIB)))
                    .hasMessage("""
                            cuda:0 (RTX): 2 GiB wanted, but this pool can never hold more than 1 GiB (limit 1 GiB less 0 B held by \
                            this pool; 8 GiB free, measured); raise limitBytes""");
        }
    }

    @Test
    void aRefusalChangesNothing() {
        try (GpuMemory memory = open(DEFAULTS, cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer buffer = pool.allocate(GIB);
            MemoryStats before = pool.stats();
            refusal(pool, 7 * GIB);
            assertThat(pool.stats()).isEqualTo(before);
            buffer.close();
        }
    }

    // Leaks.

    @Test
    void aLeakIsCounted() {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(whole(), cuda);
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            pool.allocate(GIB);
            pool.allocate(512 * MIB);
            pool.allocate(4096).close();
            memory.close();
            assertThat(log.messages(Level.WARNING)).containsExactly("""
                    cuda:0 pool closed with 2 buffers still open, 1.50 GiB in all; the memory was given back
                      TrackingLevel.COUNT names 0 of them; TrackingLevel.FULL names each with tag, age and the place of its allocation""");
        }
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
        cuda.requireNoViolations();
    }

    @Test
    void aLeakIsNamedWithTagAgeAndCaller() {
        long[] now = {0};
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = GpuMemory.builder()
                    .config(whole().toBuilder().tracking(true).build())
                    .backend(cuda)
                    .clock(() -> now[0])
                    .open();
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            DeviceBuffer leaked = leak(pool);
            now[0] = Duration.ofSeconds(90).toNanos();
            assertThat(pool.tracker()
                            .orElseThrow()
                            .get(leaked.id())
                            .orElseThrow()
                            .tag())
                    .contains("kv cache");
            memory.close();
            List<String> lines = log.messages(Level.WARNING).getFirst().lines().toList();
            assertThat(log.messages(Level.WARNING)).hasSize(1);
            assertThat(lines.get(0))
                    .isEqualTo("cuda:0 pool closed with 1 buffer still open, 1 MiB in all; the memory was given back");
            assertThat(lines.get(1)).isEqualTo("  " + leaked.id() + ", 1 MiB, 'kv cache', open for 90 s");
            assertThat(lines.get(2))
                    .as("the caller comes first")
                    .startsWith("      at ")
                    .contains("MessagesTest.leak(MessagesTest.java:");
            assertThat(lines.get(3)).contains("MessagesTest.aLeakIsNamedWithTagAgeAndCaller(MessagesTest.java:");
            assertThat(lines).noneMatch(line -> line.contains(".engine.")).noneMatch(line -> line.contains("COUNT"));
        }
    }

    @Test
    void theCallerOfAShortFormComesFirstToo() {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(whole().toBuilder().tracking(true).build(), cuda);
            memory.pool(memory.devices().getFirst()).allocateWithFallback(MIB);
            memory.close();
            assertThat(log.messages(Level.WARNING).getFirst().lines().toList().get(2))
                    .contains("MessagesTest.theCallerOfAShortFormComesFirstToo(MessagesTest.java:");
        }
    }

    @Test
    void manyLeaksAreCutShort() {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(whole().toBuilder().tracking(true).build(), cuda);
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            for (int i = 0; i < 25; i++) {
                pool.allocate(MIB);
            }
            memory.close();
            assertThat(log.messages(Level.WARNING).getFirst())
                    .startsWith(
                            "cuda:0 pool closed with 25 buffers still open, 25 MiB in all; the memory was given back\n")
                    .endsWith("\n  ... and 5 more");
        }
    }

    @Test
    void aLeakedFallbackIsTheHostsAndNamed() {
        SimulatedBackend host = SimulatedBackend.host(8 * GIB);
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(whole().toBuilder().limitBytes(MIB).build(), cuda, host);
            memory.pool(memory.devices().getFirst()).allocateWithFallback(GIB);
            memory.close();
            assertThat(log.messages(Level.WARNING))
                    .singleElement()
                    .satisfies(text ->
                            assertThat(text).startsWith("cpu:0 pool closed with 1 buffer still open, 1 GiB in all"));
        }
    }

    @Test
    void withoutLeaksThereIsNothingToSay() {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(whole().toBuilder().tracking(true).build(), cuda);
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            pool.allocate(MIB).close();
            pool.allocateWithFallback(MIB).close();
            memory.close();
            assertThat(log.messages(Level.WARNING)).isEmpty();
        }
    }

    private static DeviceBuffer leak(GpuMemoryPool pool) {
        return pool.allocate(AllocationRequest.of(MIB).tagged("kv cache"));
    }

    private static DeviceOutOfMemoryException refusal(GpuMemoryPool pool, long bytes) {
        return catchThrowableOfType(DeviceOutOfMemoryException.class, () -> pool.allocate(bytes));
    }
}
