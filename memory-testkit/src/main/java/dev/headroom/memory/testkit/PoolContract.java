package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.BufferLocation;
import dev.headroom.memory.BufferMetadata;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What every pool must do, over whatever backend: the public contract of buffers and pools, as a program sees it. A
 * backend's test extends this class and gives {@link #newBackend()}; the other hooks refine. A pool under test holds 64
 * MiB at most.
 */
@SuppressWarnings("NullAway.Init") // the fields are set before each test
public abstract class PoolContract {

    /** The limit of the pool under test. */
    protected static final long LIMIT_BYTES = 64 << 20;

    private static final long MIB = 1 << 20;
    private static final int SEED = 20260101;

    private final List<GpuMemory> opened = new ArrayList<>();
    private Arena arena;
    private GpuMemory memory;
    private GpuMemoryPool pool;

    /** For suites of backends. */
    protected PoolContract() {}

    /**
     * The backend under test.
     *
     * @return a new one, closed by the suite
     */
    protected abstract MemoryBackend newBackend();

    /**
     * Where buffers go when the device is full.
     *
     * @return a simulated host of 1 GiB unless overridden; empty for a backend that is the host itself
     */
    protected Optional<MemoryBackend> newFallback() {
        return Optional.of(SimulatedBackend.host(1L << 30));
    }

    /**
     * The device under test.
     *
     * @param devices what was found, without the fallback
     * @return the first one, unless overridden
     */
    protected GpuDevice choose(List<GpuDevice> devices) {
        return devices.getFirst();
    }

    /**
     * Why a test cannot run on this backend.
     *
     * @param test the test's method
     * @return the reason, which is printed; empty to run it
     */
    protected Optional<String> reasonToSkip(String test) {
        return Optional.empty();
    }

    /**
     * Changes how the memory is opened, such as by a clock.
     *
     * @param builder the builder
     * @return the builder
     */
    protected GpuMemory.Builder refine(GpuMemory.Builder builder) {
        return builder;
    }

    /**
     * The books of the drivers, where there are some: they must be empty after each test, and arguments that are
     * refused must not show in them.
     *
     * @return the books
     */
    protected List<Ledger> ledgers() {
        return List.of();
    }

    /** Opens the pool, or skips the test and says why. */
    @BeforeEach
    void openPool(TestInfo test) {
        String name = test.getTestMethod().orElseThrow().getName();
        arena = Arena.ofShared();
        reasonToSkip(name).ifPresent(reason -> skip(name + " is skipped: " + reason));
        try (MemoryBackend backend = newBackend()) {
            if (backend.probe() instanceof BackendProbe.Unavailable(String reason, String hint)) {
                skip(backend.name() + " is not tested: " + reason + " (" + hint + ")");
            }
        }
        reopen(config().build());
    }

    /** Closes everything; what the driver still holds then is a leak. */
    @AfterEach
    void closePool() {
        opened.forEach(GpuMemory::close);
        arena.close();
        assertThat(ledgers())
                .allSatisfy(ledger ->
                        assertThat(ledger.isEmpty()).as(ledger.describe()).isTrue());
    }

    // Contents.

    @Test
    void buffers_of_all_sizes_keep_what_is_written() {
        for (long byteSize : new long[] {1, 2, 3, 7, 8, 255, 256, 257, 4095, 4097, 65_535, MIB - 1, MIB + 1, 5 * MIB}) {
            try (DeviceBuffer buffer = pool.allocate(byteSize)) {
                assertThat(buffer.byteSize()).isEqualTo(byteSize);
                roundTrip(buffer, BytePattern.of(byteSize, 1));
            }
        }
    }

    @Test
    void buffers_are_aligned_and_apart() {
        List<DeviceBuffer> live = new ArrayList<>();
        List<Long> alignments = new ArrayList<>();
        for (long alignment = 1; alignment <= 64 << 10; alignment *= 2) {
            alignments.add(alignment);
        }
        alignments.add(AllocationRequest.MAX_ALIGNMENT);
        for (long alignment : alignments) {
            for (long byteSize : new long[] {1, alignment + 1, 1000}) {
                DeviceBuffer buffer =
                        pool.allocate(AllocationRequest.of(byteSize).aligned(alignment));
                if (buffer instanceof PinnedRange.Source source) {
                    try (PinnedRange range = source.pin()) {
                        assertThat(range.byteOffset() % alignment).isZero();
                        long bound = range.driver().traits(buffer.kind()).bindingAlignment();
                        assertThat(range.byteOffset() % bound).isZero();
                        assertThat(range.byteSize()).isEqualTo(byteSize);
                    }
                }
                write(buffer, BytePattern.of(live.size(), 1));
                live.add(buffer);
            }
        }
        for (int i = 0; i < live.size(); i++) {
            require(live.get(i), BytePattern.of(i, 1));
        }
        live.forEach(DeviceBuffer::close);
    }

    @Test
    void reused_memory_belongs_to_one_buffer_at_a_time() {
        SplittableRandom random = new SplittableRandom(SEED);
        Map<DeviceBuffer, BytePattern> live = new LinkedHashMap<>();
        for (int step = 0; step < 600; step++) {
            if (live.size() > 40 || (!live.isEmpty() && random.nextInt(3) == 0)) {
                DeviceBuffer victim = live.keySet().stream()
                        .skip(random.nextInt(live.size()))
                        .findFirst()
                        .orElseThrow();
                require(victim, Objects.requireNonNull(live.remove(victim)));
                victim.close();
            } else {
                DeviceBuffer buffer = pool.allocate(1 + random.nextLong(1L << (4 + random.nextInt(15))));
                BytePattern pattern = BytePattern.of(buffer.id().value(), step);
                write(buffer, pattern);
                live.put(buffer, pattern);
            }
        }
        live.forEach((buffer, pattern) -> {
            require(buffer, pattern);
            buffer.close();
        });
    }

    @Test
    void zeroed_buffers_are_zero_even_in_used_memory() {
        for (int i = 0; i < 5; i++) {
            try (DeviceBuffer dirty = pool.allocate(100_001)) {
                dirty.fill(0, 100_001, (byte) -1);
            }
            try (DeviceBuffer clean =
                    pool.allocate(AllocationRequest.of(100_001).zeroed())) {
                MemorySegment bytes = arena.allocate(100_001);
                bytes.fill((byte) 1);
                clean.read(0, bytes);
                assertThat(bytes.mismatch(arena.allocate(100_001))).isEqualTo(-1);
            }
        }
    }

    @Test
    void a_fill_sets_its_range_only() {
        try (DeviceBuffer buffer = pool.allocate(1000)) {
            BytePattern before = BytePattern.of(1, 1);
            write(buffer, before);
            buffer.fill(13, 101, (byte) 77);
            MemorySegment bytes = read(buffer);
            before.requireIn(bytes.asSlice(0, 13));
            for (long i = 13; i < 114; i++) {
                assertThat(bytes.get(ValueLayout.JAVA_BYTE, i)).isEqualTo((byte) 77);
            }
            before.requireIn(bytes.asSlice(114), 114);
        }
    }

    @Test
    void heap_and_native_segments_serve_alike() {
        try (DeviceBuffer buffer = pool.allocate(4000)) {
            MemorySegment floats = MemorySegment.ofArray(new float[1000]);
            BytePattern.of(1, 1).writeTo(floats);
            buffer.write(0, floats);
            MemorySegment bytes = MemorySegment.ofArray(new byte[4000]);
            buffer.read(0, bytes);
            BytePattern.of(1, 1).requireIn(bytes);
        }
    }

    @Test
    void an_empty_range_is_nothing() {
        try (DeviceBuffer buffer = pool.allocate(100)) {
            write(buffer, BytePattern.of(1, 1));
            buffer.write(100, MemorySegment.ofArray(new byte[0]));
            buffer.read(0, MemorySegment.ofArray(new byte[0]));
            require(buffer, BytePattern.of(1, 1));
        }
    }

    @Test
    void a_copy_arrives_and_leaves_its_neighbours_alone() {
        try (DeviceBuffer from = pool.allocate(5000);
                DeviceBuffer to = pool.allocate(7000)) {
            write(from, BytePattern.of(1, 1));
            write(to, BytePattern.of(2, 1));
            from.copyTo(3, to, 1001, 4900);
            MemorySegment bytes = read(to);
            BytePattern.of(2, 1).requireIn(bytes.asSlice(0, 1001));
            BytePattern.of(1, 1).requireIn(bytes.asSlice(1001, 4900), 3);
            BytePattern.of(2, 1).requireIn(bytes.asSlice(5901), 5901);
            from.copyTo(0, from, 2500, 2500);
            BytePattern.of(1, 1).requireIn(read(from).asSlice(2500));
        }
    }

    @Test
    void bytes_go_to_another_pool_and_back() {
        GpuMemoryPool other = fallbackPool();
        try (DeviceBuffer here = pool.allocate(3 * MIB + 5);
                DeviceBuffer there = other.allocate(3 * MIB + 5);
                DeviceBuffer back = pool.allocate(3 * MIB + 5)) {
            write(here, BytePattern.of(1, 1));
            here.copyTo(0, there, 0, here.byteSize());
            require(there, BytePattern.of(1, 1));
            there.copyToAsync(0, back, 0, back.byteSize()).join();
            require(back, BytePattern.of(1, 1));
        }
    }

    @Test
    void a_slice_is_a_part_of_its_parent() {
        DeviceBuffer parent = pool.allocate(1000);
        parent.fill(0, 1000, (byte) 0);
        MemoryBuffer slice = parent.slice(100, 500);
        MemoryBuffer inner = slice.slice(10, 20);
        assertThat(slice.byteSize()).isEqualTo(500);
        assertThat(slice.location()).isEqualTo(parent.location());
        inner.fill(0, 20, (byte) 9);
        MemorySegment bytes = read(parent);
        assertThat(bytes.get(ValueLayout.JAVA_BYTE, 109)).isZero();
        assertThat(bytes.get(ValueLayout.JAVA_BYTE, 110)).isEqualTo((byte) 9);
        assertThat(bytes.get(ValueLayout.JAVA_BYTE, 129)).isEqualTo((byte) 9);
        assertThat(bytes.get(ValueLayout.JAVA_BYTE, 130)).isZero();
        assertOutOfRange(() -> slice.read(490, MemorySegment.ofArray(new byte[11])));
        assertOutOfRange(() -> parent.slice(501, 500));
        slice.close();
        slice.fill(0, 1, (byte) 1);
        parent.close();
        assertClosed(() -> slice.fill(0, 1, (byte) 1));
        assertClosed(() -> inner.read(0, MemorySegment.ofArray(new byte[1])));
    }

    // Work behind the caller's back.

    @Test
    void async_work_on_one_buffer_keeps_its_order() {
        try (DeviceBuffer buffer = pool.allocate(64 << 10);
                DeviceBuffer copy = pool.allocate(64 << 10)) {
            byte[] source = new byte[64 << 10];
            List<CompletableFuture<Void>> futures = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                BytePattern.of(1, i).writeTo(MemorySegment.ofArray(source));
                futures.add(buffer.writeAsync(0, MemorySegment.ofArray(source)));
            }
            // The caller's array is free again as soon as the call returns.
            BytePattern.of(2, 2).writeTo(MemorySegment.ofArray(source));
            futures.add(buffer.copyToAsync(0, copy, 0, 64 << 10));
            MemorySegment target = arena.allocate(64 << 10);
            futures.add(copy.readAsync(0, target));
            CompletableFuture.allOf(futures.toArray(CompletableFuture[]::new))
                    .orTimeout(60, TimeUnit.SECONDS)
                    .join();
            BytePattern.of(1, 19).requireIn(target);
        }
    }

    @Test
    void callers_may_keep_their_bytes_alive_themselves() {
        try (DeviceBuffer buffer = pool.allocate(MIB)) {
            MemorySegment source = arena.allocate(MIB);
            BytePattern.of(1, 1).writeTo(source);
            buffer.writeAsync(0, source, KeepAlive.CALLER)
                    .orTimeout(60, TimeUnit.SECONDS)
                    .join();
            require(buffer, BytePattern.of(1, 1));
            assertBadArgument(() -> buffer.writeAsync(0, MemorySegment.ofArray(new byte[10]), KeepAlive.CALLER));
        }
    }

    @Test
    void more_than_the_staging_memory_gets_through() {
        reopen(config().stagingBytes(MIB).build());
        try (DeviceBuffer buffer = pool.allocate(9 * MIB + 3)) {
            MemorySegment source = arena.allocate(9 * MIB + 3);
            BytePattern.of(1, 1).writeTo(source);
            buffer.writeAsync(0, source).orTimeout(60, TimeUnit.SECONDS).join();
            MemorySegment target = arena.allocate(9 * MIB + 3);
            buffer.readAsync(0, target).orTimeout(60, TimeUnit.SECONDS).join();
            BytePattern.of(1, 1).requireIn(target);
        }
    }

    @Test
    void a_buffer_may_be_closed_while_its_work_is_pending() {
        MemorySegment source = arena.allocate(MIB);
        for (int i = 0; i < 20; i++) {
            DeviceBuffer buffer = pool.allocate(MIB);
            BytePattern.of(1, i).writeTo(source);
            CompletableFuture<Void> done = buffer.writeAsync(0, source);
            buffer.close();
            try (DeviceBuffer next = pool.allocate(MIB)) {
                roundTrip(next, BytePattern.of(2, i));
            }
            done.orTimeout(60, TimeUnit.SECONDS).join();
        }
    }

    @Test
    void a_declared_use_holds_the_memory() {
        CompletableFuture<Void> use = new CompletableFuture<>();
        DeviceBuffer held = pool.allocate(MIB);
        PlaceInBlock place = placeOf(held);
        held.closeAfter(use);
        held.close();
        try (DeviceBuffer other = pool.allocate(MIB)) {
            assertThat(placeOf(other)).isNotEqualTo(place);
        } finally {
            use.complete(null);
        }
        assertThat(pool.awaitIdle(Duration.ofSeconds(30))).isTrue();
    }

    @Test
    void an_interrupt_neither_breaks_a_copy_nor_gets_lost() {
        try (DeviceBuffer buffer = pool.allocate(MIB)) {
            Thread.currentThread().interrupt();
            Throwable failure = catchThrowable(() -> write(buffer, BytePattern.of(1, 1)));
            assertThat(Thread.interrupted()).as("the interrupt is still set").isTrue();
            if (failure != null) {
                assertThat(failure).isInstanceOf(GpuMemoryException.class);
            } else {
                require(buffer, BytePattern.of(1, 1));
            }
            roundTrip(buffer, BytePattern.of(1, 2));
        }
    }

    // Views, kinds, queues.

    @ParameterizedTest
    @EnumSource
    void every_kind_works_or_is_refused_by_type(MemoryKind kind) {
        DeviceBuffer buffer;
        try {
            buffer = pool.allocate(AllocationRequest.of(10_000).ofKind(kind));
        } catch (UnsupportedKindException e) {
            assertThat(kind).isNotEqualTo(MemoryKind.DEVICE);
            return;
        }
        assertThat(buffer.kind()).isEqualTo(kind);
        roundTrip(buffer, BytePattern.of(1, 1));
        buffer.close();
    }

    @ParameterizedTest
    @EnumSource
    void a_view_is_the_buffer_and_holds_it(MemoryKind kind) {
        DeviceBuffer buffer;
        HostView view;
        try {
            buffer = pool.allocate(AllocationRequest.of(10_000).ofKind(kind));
            view = buffer.map();
        } catch (UnsupportedKindException e) {
            abort("no view of " + kind.label() + " memory: " + e.getMessage());
            return;
        }
        assertThat(view.segment().byteSize()).isEqualTo(10_000);
        BytePattern.of(1, 1).writeTo(view.segment());
        view.close();
        view.close();
        require(buffer, BytePattern.of(1, 1));
        HostView second = buffer.map();
        buffer.close();
        try (DeviceBuffer other = pool.allocate(AllocationRequest.of(10_000).ofKind(kind))) {
            write(other, BytePattern.of(2, 1));
            BytePattern.of(1, 1).requireIn(second.segment());
        }
        second.close();
    }

    @Test
    void a_queue_of_another_backend_is_refused() {
        NativeQueue foreign = () -> "no such backend";
        try (DeviceBuffer buffer = pool.allocate(100)) {
            assertBadArgument(() -> buffer.waitOn(foreign));
            assertBadArgument(() -> buffer.usedOn(foreign));
        }
    }

    @Test
    void contents_move_to_another_pool() {
        GpuMemoryPool other = fallbackPool();
        DeviceBuffer before = pool.allocate(MIB + 1);
        write(before, BytePattern.of(1, 1));
        assertThat(pool.awaitIdle(Duration.ofSeconds(30))).isTrue();
        DeviceBuffer after = before.moveTo(other);
        assertThat(after.pool()).isEqualTo(other);
        assertThat(after.byteSize()).isEqualTo(MIB + 1);
        require(after, BytePattern.of(1, 1));
        assertClosed(() -> before.fill(0, 1, (byte) 1));
        after.close();
    }

    // Life and misuse.

    @Test
    void closing_twice_is_harmless() {
        DeviceBuffer buffer = pool.allocate(1000);
        buffer.close();
        DeviceBuffer other = pool.allocate(1000);
        write(other, BytePattern.of(1, 1));
        MemoryStats before = pool.stats();
        buffer.close();
        assertThat(pool.stats()).isEqualTo(before);
        require(other, BytePattern.of(1, 1));
        other.close();
        pool.close();
        pool.close();
        memory.close();
        memory.close();
    }

    @Test
    void every_method_of_a_closed_buffer_refuses_by_type() throws IllegalAccessException {
        // What only tells what the buffer was may go on telling.
        Set<String> mayAnswer = Set.of("close", "byteSize", "id", "pool", "kind", "location", "deviceAccessible");
        DeviceBuffer target = pool.allocate(1000);
        DeviceBuffer closed = pool.allocate(1000);
        FallbackBuffer closedFallback = pool.allocateWithFallback(1000);
        closed.close();
        closedFallback.close();
        Set<String> fallbackMayAnswer = Set.of("close", "byteSize", "isEmpty", "isCpuFallback", "toString");
        List<String> wrong = new ArrayList<>();
        for (Method method : DeviceBuffer.class.getMethods()) {
            check(method, closed, target, mayAnswer, wrong);
        }
        for (Method method : FallbackBuffer.class.getMethods()) {
            if (method.getDeclaringClass() != Object.class && !Modifier.isStatic(method.getModifiers())) {
                check(method, closedFallback, target, fallbackMayAnswer, wrong);
            }
        }
        assertThat(wrong).isEmpty();
        target.close();
    }

    private void check(
            Method method, MemoryBuffer closed, DeviceBuffer target, Set<String> mayAnswer, List<String> wrong)
            throws IllegalAccessException {
        List<@Nullable Object> arguments = new ArrayList<>();
        for (Class<?> type : method.getParameterTypes()) {
            arguments.add(argument(type, target));
        }
        try {
            method.invoke(closed, arguments.toArray());
            // A slice of a closed buffer is refused when it is used, if not before.
            if (!mayAnswer.contains(method.getName()) && !method.getName().equals("slice")) {
                wrong.add(method + " answered");
            }
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof BufferClosedException)) {
                wrong.add(method + " threw " + e.getCause());
            }
        }
    }

    private Object argument(Class<?> type, DeviceBuffer target) {
        if (type == long.class) {
            return 1L;
        } else if (type == byte.class) {
            return (byte) 1;
        } else if (type == MemorySegment.class) {
            return arena.allocate(10);
        } else if (type == KeepAlive.class) {
            return KeepAlive.STAGED;
        } else if (type == NativeQueue.class) {
            return (NativeQueue) pool::backendName;
        } else if (type == GpuMemoryPool.class) {
            return pool;
        } else if (type.isInstance(target)) {
            return target;
        } else if (type == CompletionStage.class) {
            return CompletableFuture.completedStage("done");
        }
        throw new IllegalStateException("the suite does not know what to pass for " + type);
    }

    @Test
    void ranges_outside_are_refused_before_any_driver_call() {
        DeviceBuffer buffer = pool.allocate(1000);
        DeviceBuffer other = pool.allocate(100);
        MemorySegment ten = MemorySegment.ofArray(new byte[10]);
        long calls = driverCalls();
        for (long offset : new long[] {-1, 991, 1000, 1001, Long.MAX_VALUE, Long.MIN_VALUE, Long.MAX_VALUE - 5}) {
            assertOutOfRange(() -> buffer.write(offset, ten));
            assertOutOfRange(() -> buffer.read(offset, ten));
            assertOutOfRange(() -> buffer.fill(offset, 10, (byte) 1));
            assertOutOfRange(() -> buffer.writeAsync(offset, ten));
            assertOutOfRange(() -> buffer.readAsync(offset, ten));
            assertOutOfRange(() -> buffer.copyTo(offset, other, 0, 10));
            assertOutOfRange(() -> buffer.copyToAsync(offset, other, 0, 10));
            assertOutOfRange(() -> buffer.slice(offset, 10));
            assertOutOfRange(() -> buffer.resolve(offset, 10));
        }
        assertOutOfRange(() -> buffer.copyTo(0, other, 91, 10));
        assertOutOfRange(() -> buffer.copyTo(0, other, 0, 101));
        assertOutOfRange(() -> buffer.fill(0, -1, (byte) 1));
        assertThat(driverCalls()).isEqualTo(calls);
        buffer.close();
        other.close();
    }

    @Test
    void bad_arguments_are_refused_before_any_driver_call() {
        DeviceBuffer buffer = pool.allocate(1000);
        long calls = driverCalls();
        MemoryStats before = pool.stats();
        for (long byteSize : new long[] {0, -1, Long.MIN_VALUE}) {
            assertBadArgument(() -> pool.allocate(byteSize));
            assertBadArgument(() -> pool.allocateWithFallback(byteSize));
        }
        for (long alignment : new long[] {0, -1, 3, 4L << 20, 1L << 40, Long.MIN_VALUE}) {
            assertBadArgument(() -> AllocationRequest.of(1).aligned(alignment));
        }
        assertBadArgument(() -> buffer.slice(0, 0));
        assertBadArgument(() -> buffer.copyTo(0, buffer, 5, 10));
        assertBadArgument(
                () -> buffer.read(0, MemorySegment.ofArray(new byte[10]).asReadOnly()));
        assertThat(driverCalls()).isEqualTo(calls);
        assertThat(pool.stats()).isEqualTo(before);
        buffer.close();
    }

    @Test
    void what_can_never_fit_is_refused_at_once() {
        long calls = growthCalls();
        for (long byteSize : new long[] {LIMIT_BYTES + 1, 1L << 50, Long.MAX_VALUE}) {
            assertThatThrownBy(() -> pool.allocate(byteSize)).isInstanceOf(AllocationTooLargeException.class);
        }
        assertThat(growthCalls()).isEqualTo(calls);
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void closing_over_open_buffers_reports_and_does_not_throw() {
        DeviceBuffer leaked = pool.allocate(AllocationRequest.of(12_345).tagged("left open by the contract"));
        assertThatCode(memory::close).doesNotThrowAnyException();
        assertClosed(() -> leaked.fill(0, 1, (byte) 1));
        assertClosed(() -> pool.allocate(1));
        leaked.close();
    }

    @Test
    void a_closed_pool_refuses_by_type() {
        pool.close();
        assertClosed(() -> pool.allocate(1));
        assertClosed(() -> pool.allocateWithFallback(1));
    }

    // Figures.

    @Test
    void the_figures_add_up() {
        assertThat(pool.stats().activeBuffers()).isZero();
        Deque<DeviceBuffer> live = new ArrayDeque<>();
        long inUse = 0;
        long peak = 0;
        for (int i = 1; i <= 60; i++) {
            if (i % 3 == 0) {
                DeviceBuffer oldest = live.removeFirst();
                inUse -= oldest.byteSize();
                oldest.close();
            } else {
                live.add(pool.allocate(i * 1000L));
                inUse += i * 1000L;
            }
            MemoryStats stats = pool.stats();
            assertThat(stats.totalAllocatedBytes()).isEqualTo(stats.inUseBytes() + stats.pooledBytes());
            assertThat(stats.inUseBytes()).isGreaterThanOrEqualTo(inUse);
            assertThat(stats.totalAllocatedBytes()).isLessThanOrEqualTo(LIMIT_BYTES);
            assertThat(stats.activeBuffers()).isEqualTo(live.size());
            assertThat(stats.peakBytes()).isGreaterThanOrEqualTo(Math.max(peak, stats.inUseBytes()));
            assertThat(stats.poolHits() + stats.poolMisses()).isEqualTo(i - i / 3);
            peak = stats.peakBytes();
        }
        live.forEach(DeviceBuffer::close);
        assertThat(pool.stats().inUseBytes()).isZero();
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void the_second_time_is_a_hit() {
        pool.allocate(10_000).close();
        MemoryStats first = pool.stats();
        assertThat(first.poolMisses()).isEqualTo(1);
        pool.allocate(10_000).close();
        assertThat(pool.stats().poolHits()).isEqualTo(1);
        assertThat(pool.stats().poolMisses()).isEqualTo(1);
        assertThat(pool.stats().totalAllocatedBytes()).isEqualTo(first.totalAllocatedBytes());
    }

    @Test
    void shrinking_gives_all_idle_memory_back() {
        List<DeviceBuffer> live = new ArrayList<>();
        for (int i = 1; i <= 30; i++) {
            live.add(pool.allocate(i * 10_000L));
        }
        live.forEach(DeviceBuffer::close);
        assertThat(pool.awaitIdle(Duration.ofSeconds(30))).isTrue();
        long held = pool.stats().totalAllocatedBytes();
        assertThat(held).isPositive();
        assertThat(pool.shrink()).isEqualTo(held);
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
        assertThat(pool.shrink()).isZero();
        pool.allocate(1).close();
        pool.clearPool();
        assertThat(pool.stats().totalAllocatedBytes()).isZero();
    }

    @Test
    void the_limit_holds_to_the_byte_and_memory_up_to_it_is_granted() {
        List<DeviceBuffer> live = new ArrayList<>();
        DeviceOutOfMemoryException refusal = null;
        while (refusal == null) {
            try {
                live.add(pool.allocate(MIB));
                assertThat(pool.stats().totalAllocatedBytes()).isLessThanOrEqualTo(LIMIT_BYTES);
            } catch (DeviceOutOfMemoryException e) {
                refusal = e;
            }
        }
        assertThat(live.size() * MIB).isGreaterThanOrEqualTo(LIMIT_BYTES / 4 * 3);
        assertThat(refusal.figures().requestedBytes()).isEqualTo(MIB);
        assertThat(refusal.figures().inUseBytes()).isGreaterThanOrEqualTo(live.size() * MIB);
        assertThat(refusal).hasMessageContaining(pool.device().id());
        // A failed request leaves everything as it was.
        assertThat(pool.stats().activeBuffers()).isEqualTo(live.size());
        live.removeLast().close();
        live.add(pool.allocate(MIB));
        live.forEach(DeviceBuffer::close);
        try (DeviceBuffer whole = pool.allocate(LIMIT_BYTES / 4 * 3)) {
            assertThat(whole.byteSize()).isEqualTo(LIMIT_BYTES / 4 * 3);
        }
    }

    @Test
    void budget_and_pressure_agree() {
        MemoryBudget budget = pool.budget();
        assertThat(pool.totalMemory()).isEqualTo(budget.totalBytes()).isPositive();
        assertThat(pool.freeMemory().isPresent()).isEqualTo(budget.freeBytes().isPresent());
        assertThat(pool.usableBytes()).isBetween(0L, LIMIT_BYTES);
        assertThat(pool.pressure()).isEqualTo(MemoryPressure.LOW);
        List<DeviceBuffer> live = fill(MIB);
        double share = pool.stats().totalAllocatedBytes() / (double) LIMIT_BYTES;
        assertThat(pool.pressure()).isEqualTo(MemoryPressure.of(share));
        live.forEach(DeviceBuffer::close);
    }

    @Test
    void the_tracker_knows_every_open_buffer() {
        AllocationTracker tracker = pool.tracker().orElseThrow();
        assertThat(tracker.count()).isZero();
        DeviceBuffer tagged = pool.allocate(AllocationRequest.of(1000).tagged("weights"));
        DeviceBuffer plain = pool.allocate(24);
        assertThat(tracker.count()).isEqualTo(2);
        assertThat(tracker.totalBytes()).isEqualTo(1024);
        BufferMetadata known = tracker.get(tagged.id()).orElseThrow();
        assertThat(known.tag()).contains("weights");
        assertThat(known.sizeBytes()).isEqualTo(1000);
        assertThat(known.location()).isEqualTo(tagged.location());
        tagged.close();
        assertThat(tracker.get(tagged.id())).isEmpty();
        plain.close();
        assertThat(tracker.count()).isZero();
        assertThat(tracker.peakBytes()).isEqualTo(1024);
    }

    @Test
    void ids_are_unique() {
        try (DeviceBuffer first = pool.allocate(10);
                DeviceBuffer second = pool.allocate(10)) {
            assertThat(first.id()).isEqualTo(first.id()).isNotEqualTo(second.id());
        }
    }

    @Test
    void a_pool_knows_its_place() {
        assertThat(memory.pool(pool.device())).isSameAs(pool);
        assertThat(pool.backendName()).isEqualTo(pool.device().backend());
        try (DeviceBuffer buffer = pool.allocate(1)) {
            assertThat(buffer.pool()).isSameAs(pool);
            assertThat(buffer.deviceAccessible()).isTrue();
            assertThat(buffer.location())
                    .isEqualTo(pool.backendName().equals("cpu") ? BufferLocation.CPU : BufferLocation.GPU);
        }
    }

    @Test
    void sizes_taken_in_advance_are_hits() {
        reopen(config().preAllocation(List.of(100_000L, 200_000L)).build());
        assertThat(pool.stats().pooledBytes()).isGreaterThanOrEqualTo(300_000);
        MemoryStats before = pool.stats();
        DeviceBuffer first = pool.allocate(200_000);
        DeviceBuffer second = pool.allocate(100_000);
        assertThat(pool.stats().poolMisses()).isEqualTo(before.poolMisses());
        assertThat(pool.stats().poolHits()).isEqualTo(before.poolHits() + 2);
        first.close();
        second.close();
    }

    // Shortage.

    @Test
    void a_full_device_falls_back_and_says_so() {
        requireFallback();
        List<DeviceBuffer> live = fill(MIB);
        try (FallbackBuffer buffer = pool.allocateWithFallback(2 * MIB)) {
            assertThat(buffer.isCpuFallback()).isTrue();
            assertThat(buffer.isGpu()).isFalse();
            assertThat(buffer.location()).isEqualTo(BufferLocation.CPU);
            assertThat(buffer.deviceAccessible()).isFalse();
            assertThat(buffer.asGpu()).isEmpty();
            assertThat(buffer.asCpu()).isPresent();
            assertThat(pool.stats().cpuFallbacks()).isEqualTo(1);
            roundTrip(buffer, BytePattern.of(1, 1));
            live.forEach(DeviceBuffer::close);
            assertThat(pool.awaitIdle(Duration.ofSeconds(30))).isTrue();
            buffer.moveTo(pool);
            assertThat(buffer.isCpuFallback()).isFalse();
            assertThat(buffer.isGpu()).isTrue();
            require(buffer, BytePattern.of(1, 1));
        }
        FallbackBuffer direct = pool.allocateWithFallback(2 * MIB);
        assertThat(direct.isCpuFallback()).isFalse();
        assertThat(pool.stats().cpuFallbacks()).isEqualTo(1);
        DeviceBuffer taken = (direct.isGpu() ? direct.takeGpu() : direct.takeCpu()).orElseThrow();
        assertThat(direct.isEmpty()).isTrue();
        direct.close();
        roundTrip(taken, BytePattern.of(2, 2));
        taken.close();
    }

    @Test
    void fallback_can_be_refused() {
        List<DeviceBuffer> live = fill(MIB);
        assertThatThrownBy(() ->
                        pool.allocateWithFallback(AllocationRequest.of(2 * MIB).withoutFallback()))
                .isInstanceOf(DeviceOutOfMemoryException.class);
        live.forEach(DeviceBuffer::close);
        reopen(config().cpuFallback(false).build());
        List<DeviceBuffer> more = fill(MIB);
        assertThatThrownBy(() -> pool.allocateWithFallback(2 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        assertThat(pool.stats().cpuFallbacks()).isZero();
        more.forEach(DeviceBuffer::close);
    }

    @Test
    void listeners_are_asked_once_per_request_and_may_free() {
        List<DeviceBuffer> live = fill(MIB);
        AtomicInteger asked = new AtomicInteger();
        PressureListener listener = (GpuMemoryPool shortPool, MemoryPressure pressure, long wanted) -> {
            asked.incrementAndGet();
            assertThat(wanted).isPositive();
            live.removeLast().close();
            return MIB;
        };
        PressureListener broken = (GpuMemoryPool shortPool, MemoryPressure pressure, long wanted) -> {
            throw new IllegalStateException("a listener of the contract that always fails");
        };
        pool.addPressureListener(broken);
        pool.addPressureListener(listener);
        live.add(pool.allocate(MIB));
        assertThat(asked).hasValue(1);
        pool.removePressureListener(listener);
        assertThatThrownBy(() -> pool.allocate(MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
        assertThat(asked).hasValue(1);
        live.forEach(DeviceBuffer::close);
    }

    // Threads.

    @Test
    void four_threads_churn() throws Exception {
        inThreads(4, thread -> {
            SplittableRandom random = new SplittableRandom(SEED + thread);
            Deque<DeviceBuffer> mine = new ArrayDeque<>();
            for (int i = 0; i < 300; i++) {
                if (mine.size() > 8) {
                    DeviceBuffer oldest = mine.removeFirst();
                    require(oldest, BytePattern.of(oldest.id().value(), oldest.byteSize()));
                    oldest.close();
                }
                DeviceBuffer buffer = pool.allocate(1 + random.nextLong(100_000));
                write(buffer, BytePattern.of(buffer.id().value(), buffer.byteSize()));
                mine.add(buffer);
            }
            for (DeviceBuffer buffer : mine) {
                require(buffer, BytePattern.of(buffer.id().value(), buffer.byteSize()));
                buffer.close();
            }
        });
        assertThat(pool.stats().inUseBytes()).isZero();
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void closing_under_load_throws_only_what_is_documented() throws Exception {
        CountDownLatch busy = new CountDownLatch(3);
        inThreads(4, thread -> {
            if (thread == 0) {
                busy.await();
                memory.close();
                return;
            }
            try {
                MemorySegment bytes = MemorySegment.ofArray(new byte[10_000]);
                for (int i = 0; i < 10_000; i++) {
                    DeviceBuffer buffer = pool.allocate(10_000);
                    buffer.write(0, bytes);
                    CompletableFuture<Void> _ = buffer.writeAsync(0, bytes);
                    buffer.read(0, bytes);
                    buffer.close();
                    busy.countDown();
                }
            } catch (GpuMemoryException e) {
                // typed: that is what the contract asks for
            } finally {
                busy.countDown();
            }
        });
        assertClosed(() -> pool.allocate(1));
    }

    @Test
    void one_buffer_survives_a_race_of_use_and_close() throws Exception {
        for (int round = 0; round < 50; round++) {
            DeviceBuffer buffer = pool.allocate(4096);
            inThreads(3, thread -> {
                if (thread == 0) {
                    buffer.close();
                    return;
                }
                try {
                    buffer.fill(0, 4096, (byte) thread);
                    buffer.read(0, MemorySegment.ofArray(new byte[4096]));
                } catch (BufferClosedException e) {
                    // one of the two outcomes
                }
            });
        }
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    // What backends' own tests may use too.

    /**
     * The pool under test.
     *
     * @return the pool
     */
    protected final GpuMemoryPool pool() {
        return pool;
    }

    /**
     * A configuration to start from: 64 MiB at most, everything tracked.
     *
     * @return a new builder
     */
    protected MemoryConfig.Builder config() {
        return MemoryConfig.builder()
                .limitBytes(LIMIT_BYTES)
                .minFreeBytes(0)
                .stagingBytes(4 * MIB)
                .tracking(TrackingLevel.FULL)
                .waitTimeout(Duration.ofSeconds(2));
    }

    /**
     * Opens memory and pool anew; what was open before is closed first.
     *
     * @param newConfig the configuration
     */
    protected final void reopen(MemoryConfig newConfig) {
        opened.forEach(GpuMemory::close);
        opened.clear();
        MemoryBackend backend = newBackend();
        GpuMemory.Builder builder = GpuMemory.builder().config(newConfig).backend(backend);
        newFallback().ifPresent(builder::backend);
        memory = refine(builder).open();
        opened.add(memory);
        pool = memory.pool(choose(memory.devices().stream()
                .filter(device -> device.backend().equals(backend.name()))
                .toList()));
    }

    /**
     * Writes a pattern over a whole buffer and reads it back.
     *
     * @param buffer  the buffer
     * @param pattern the pattern
     */
    protected final void roundTrip(MemoryBuffer buffer, BytePattern pattern) {
        write(buffer, pattern);
        require(buffer, pattern);
    }

    private interface ThreadBody {
        void run(int thread) throws Exception;
    }

    /** Where a buffer lies. */
    private record PlaceInBlock(Object block, long byteOffset) {}

    private static void inThreads(int count, ThreadBody body) throws Exception {
        AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        try (var threads = Executors.newFixedThreadPool(count)) {
            for (int t = 0; t < count; t++) {
                int thread = t;
                threads.execute(() -> {
                    try {
                        body.run(thread);
                    } catch (Throwable e) {
                        failure.compareAndSet(null, e);
                    }
                });
            }
        }
        Throwable first = failure.get();
        if (first != null) {
            throw new AssertionError("a thread failed: " + first, first);
        }
    }

    private PlaceInBlock placeOf(DeviceBuffer buffer) {
        if (buffer instanceof PinnedRange.Source source) {
            try (PinnedRange range = source.pin()) {
                return new PlaceInBlock(range.block(), range.byteOffset());
            }
        }
        return abort("buffers of this pool cannot be pinned");
    }

    /** Takes buffers until the pool refuses. */
    private List<DeviceBuffer> fill(long byteSize) {
        List<DeviceBuffer> live = new ArrayList<>();
        try {
            while (true) {
                live.add(pool.allocate(byteSize));
            }
        } catch (DeviceOutOfMemoryException e) {
            return live;
        }
    }

    private void write(MemoryBuffer buffer, BytePattern pattern) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment bytes = scratch.allocate(buffer.byteSize());
            pattern.writeTo(bytes);
            buffer.write(0, bytes);
        }
    }

    private MemorySegment read(MemoryBuffer buffer) {
        MemorySegment bytes = arena.allocate(buffer.byteSize());
        buffer.read(0, bytes);
        return bytes;
    }

    private void require(MemoryBuffer buffer, BytePattern pattern) {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment bytes = scratch.allocate(buffer.byteSize());
            buffer.read(0, bytes);
            pattern.requireIn(bytes);
        }
    }

    private void requireFallback() {
        assumeTrue(
                memory.devices().stream().anyMatch(device -> device.backend().equals("cpu"))
                        && !pool.backendName().equals("cpu"),
                "there is nothing to fall back to");
    }

    private GpuMemoryPool fallbackPool() {
        requireFallback();
        return memory.pool(memory.devices().stream()
                .filter(device -> device.backend().equals("cpu"))
                .findFirst()
                .orElseThrow());
    }

    private long driverCalls() {
        return ledgers().stream().mapToLong(Ledger::totalCalls).sum();
    }

    private long growthCalls() {
        return ledgers().stream()
                .mapToLong(ledger -> ledger.calls("allocate") + ledger.calls("reserve") + ledger.calls("commit"))
                .sum();
    }

    private static void assertOutOfRange(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(IndexOutOfBoundsException.class);
    }

    private static void assertBadArgument(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class);
    }

    private static void assertClosed(ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(BufferClosedException.class);
    }

    private static void skip(String reason) {
        System.out.println(reason);
        abort(reason);
    }
}
