package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferId;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.HostView;
import dev.headroom.memory.LogCapture;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.lang.foreign.MemorySegment;
import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.logging.Level;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Buffers the program lets go of without closing them. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DroppedBuffersTest {

    private static final int LEAKS = 10_000;
    private static final int ROUNDS = 200;
    private static final long MIB = 1L << 20;

    private final SimulatedBackend backend = mapped();

    @AfterEach
    void nothingIsLeft() {
        backend.requireNoViolations();
        assertThat(backend.device(0).ledger().isEmpty()).as(backend.toString()).isTrue();
    }

    @Test
    void at_full_each_is_reported_with_its_site_and_the_memory_stays_in_use() {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(TrackingLevel.FULL, false);
            PoolEngine pool = pool(memory);
            Set<BufferId> ids = drop(pool, LEAKS);
            AllocationTracker tracker = pool.tracker().orElseThrow();
            collectUntil(pool, () -> tracker.leakedCount() == LEAKS);
            assertThat(tracker.leaked())
                    .hasSize(LEAKS)
                    .extracting(BufferMetadata::id)
                    .containsExactlyElementsOf(ids);
            assertThat(tracker.leaked())
                    .allSatisfy(
                            metadata -> assertThat(metadata.site().orElseThrow().getStackTrace())
                                    .anyMatch(frame -> frame.getMethodName().equals("drop")));
            assertThat(pool.stats().activeBuffers()).isEqualTo(LEAKS);
            assertThat(tracker.count()).isEqualTo(LEAKS);
            assertThat(log.messages(Level.WARNING))
                    .allSatisfy(
                            text -> assertThat(text)
                                    .matches(
                                            "(?s)sim:0: [\\d]+ buffers? dropped without close\\(\\), .* in all; the memory stays in use "
                                                    + "until the pool closes; MemoryConfig.reclaimLeaked would take it back\n  Buffer#.*"));
            memory.close();
            assertThat(log.messages(Level.WARNING).getLast())
                    .startsWith(
                            "sim:0 pool closed with 10000 buffers still open, 2.44 MiB in all; the memory was given back\n")
                    .contains("open for 0 s, dropped without close()\n      at ")
                    .endsWith("\n  ... and 9980 more");
            assertThat(tracker.count()).as("the book is empty again").isZero();
            assertThat(tracker.leaked()).isEmpty();
            assertThat(tracker.leakedCount()).isEqualTo(LEAKS);
        }
    }

    @Test
    void at_sampled_some_are() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.SAMPLED, false)) {
            PoolEngine pool = pool(memory);
            drop(pool, LEAKS);
            AllocationTracker tracker = pool.tracker().orElseThrow();
            long sampled = (LEAKS + 63) / 64;
            collectUntil(pool, () -> tracker.leakedCount() == sampled);
            assertThat(log.messages(Level.WARNING)).isNotEmpty();
        }
    }

    @Test
    void by_policy_the_memory_is_taken_back_and_the_book_is_empty_again() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.FULL, true)) {
            PoolEngine pool = pool(memory);
            drop(pool, LEAKS);
            AllocationTracker tracker = pool.tracker().orElseThrow();
            collectUntil(pool, () -> tracker.leakedCount() == LEAKS);
            assertThat(tracker.count()).isZero();
            assertThat(tracker.all()).isEmpty();
            assertThat(pool.stats().activeBuffers()).isZero();
            assertThat(pool.stats().inUseBytes()).isZero();
            pool.validate();
            assertThat(log.messages(Level.WARNING))
                    .allSatisfy(text -> assertThat(text).contains("the memory is taken back"));
        }
    }

    @Test
    void a_shortage_takes_back_what_was_dropped() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.FULL, true)) {
            PoolEngine pool = pool(memory);
            pool.monitor().stop();
            Reference<?> dropped = dropOne(pool, 60 * MIB);
            collectGarbage(() -> dropped.refersTo(null));
            boolean served = false;
            for (int round = 0; round < ROUNDS && !served; round++) { // the collector tells a little later
                try {
                    pool.allocate(60 * MIB).close();
                    served = true;
                } catch (DeviceOutOfMemoryException e) {
                    System.gc();
                }
            }
            assertThat(served).isTrue();
            assertThat(log.messages(Level.WARNING)).hasSize(1);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void what_is_closed_is_no_leak_even_if_the_device_is_lost_meanwhile(boolean lost) {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.FULL, true)) {
            PoolEngine pool = pool(memory);
            List<DeviceBuffer> buffers = new ArrayList<>();
            List<Reference<?>> gone = new ArrayList<>();
            for (int i = 0; i < 1000; i++) {
                DeviceBuffer buffer = pool.allocate(256);
                buffers.add(buffer);
                gone.add(new PhantomReference<>(buffer, new ReferenceQueue<>()));
            }
            if (lost) {
                backend.device(0).lose();
            }
            buffers.forEach(DeviceBuffer::close);
            AllocationTracker tracker = pool.tracker().orElseThrow();
            assertThat(tracker.count()).as("at once").isZero();
            buffers.clear();
            collectGarbage(() -> gone.stream().allMatch(each -> each.refersTo(null)));
            pool.monitor().step();
            assertThat(tracker.leakedCount()).isZero();
            assertThat(log.messages(Level.WARNING)).isEmpty();
        }
    }

    @Test
    void memory_with_work_pending_is_taken_back_only_when_that_is_done() {
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(TrackingLevel.FULL, true)) {
            PoolEngine pool = pool(memory);
            CompletableFuture<Void> work = new CompletableFuture<>();
            dropBusy(pool, work);
            AllocationTracker tracker = pool.tracker().orElseThrow();
            collectUntil(pool, () -> tracker.leakedCount() == 1);
            assertThat(pool.stats().inUseBytes()).isEqualTo(MIB);
            work.complete(null);
            pool.shrink();
            assertThat(pool.stats().inUseBytes()).isZero();
            assertThat(log.messages(Level.WARNING)).hasSize(1);
        }
    }

    /** The view's segment alone reaches the bytes, and does not hold the buffer. A pool cannot be closed under it. */
    @Test
    void memory_somebody_may_still_write_to_through_a_view_is_never_taken_back() {
        SimulatedBackend leftOpen = mapped();
        try (LogCapture log = new LogCapture();
                GpuMemory memory = open(leftOpen, TrackingLevel.FULL, true)) {
            PoolEngine pool = pool(memory);
            MemorySegment bytes = dropMapped(pool);
            AllocationTracker tracker = pool.tracker().orElseThrow();
            collectUntil(pool, () -> tracker.leakedCount() == 1);
            assertThat(tracker.leaked()).hasSize(1);
            assertThat(pool.stats().inUseBytes()).isEqualTo(MIB);
            bytes.fill((byte) 7);
            assertThat(log.messages(Level.WARNING)).hasSize(1);
        }
        leftOpen.requireNoViolations();
    }

    @ParameterizedTest
    @ValueSource(strings = {"OFF", "COUNT"})
    void below_that_nothing_is_watched(TrackingLevel level) {
        try (LogCapture log = new LogCapture()) {
            GpuMemory memory = open(level, true);
            PoolEngine pool = pool(memory);
            Reference<?> dropped = dropOne(pool, MIB);
            collectGarbage(() -> dropped.refersTo(null));
            pool.monitor().step();
            assertThat(pool.tracker()).isEmpty();
            memory.close();
            assertThat(log.messages(Level.WARNING))
                    .singleElement()
                    .asString()
                    .startsWith("sim:0 pool closed with 1 buffer still open, 1 MiB in all");
        }
    }

    @Test
    void a_slice_and_a_fallback_buffer_hold_what_they_show() {
        try (GpuMemory memory = open(TrackingLevel.FULL, true)) {
            PoolEngine pool = pool(memory);
            MemoryBuffer slice = pool.allocate(MIB).slice(0, 8);
            MemoryBuffer fallback = pool.allocateWithFallback(MIB);
            Reference<?> probe = new PhantomReference<>(new Object(), new ReferenceQueue<>());
            collectGarbage(() -> probe.refersTo(null));
            pool.monitor().step();
            assertThat(pool.tracker().orElseThrow().leakedCount()).isZero();
            slice.fill(0, 8, (byte) 1);
            fallback.fill(0, 8, (byte) 1);
            fallback.close();
        }
    }

    private static Set<BufferId> drop(PoolEngine pool, int count) {
        Set<BufferId> ids = new LinkedHashSet<>();
        for (int i = 0; i < count; i++) {
            ids.add(pool.allocate(256).id());
        }
        return ids;
    }

    private static Reference<?> dropOne(PoolEngine pool, long bytes) {
        return new PhantomReference<>(pool.allocate(AllocationRequest.of(bytes)), new ReferenceQueue<>());
    }

    private static void dropBusy(PoolEngine pool, CompletableFuture<Void> work) {
        pool.allocate(MIB).closeAfter(work);
    }

    private static MemorySegment dropMapped(PoolEngine pool) {
        HostView view = pool.allocate(MIB).map();
        return view.segment();
    }

    /** The collector may need several rounds; how many is bounded, the time is not. */
    private static void collectUntil(PoolEngine pool, BooleanSupplier done) {
        for (int round = 0; round < ROUNDS && !done.getAsBoolean(); round++) {
            System.gc();
            pool.monitor().step();
        }
        assertThat(done.getAsBoolean()).as("after %d rounds", ROUNDS).isTrue();
    }

    private static void collectGarbage(BooleanSupplier done) {
        for (int round = 0; round < ROUNDS && !done.getAsBoolean(); round++) {
            System.gc();
        }
        assertThat(done.getAsBoolean()).as("after %d rounds", ROUNDS).isTrue();
    }

    private static SimulatedBackend mapped() {
        return SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card").totalBytes(64 * MIB).hostVisibleMemory())
                .build();
    }

    private GpuMemory open(TrackingLevel level, boolean reclaims) {
        return open(backend, level, reclaims);
    }

    private static GpuMemory open(SimulatedBackend backend, TrackingLevel level, boolean reclaims) {
        MemoryConfig config = MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .tracking(level)
                .reclaimLeaked(reclaims)
                .closeTimeout(Duration.ofMillis(100))
                .waitTimeout(Duration.ofMillis(1))
                .pressureInterval(Duration.ofDays(1))
                .build();
        return GpuMemory.builder()
                .config(config)
                .backend(backend)
                .clock(backend.clock())
                .open();
    }

    private static PoolEngine pool(GpuMemory memory) {
        return (PoolEngine) memory.pool(memory.devices().getFirst());
    }
}
