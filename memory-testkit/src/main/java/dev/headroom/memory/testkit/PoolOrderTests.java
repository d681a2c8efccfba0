package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The part of {@link PoolContract} about order: work behind the caller's back, and threads. */
abstract class PoolOrderTests extends PoolContentsTests {

    // Work behind the caller's back.

    /** Where a buffer lies. */
    private record PlaceInBlock(Object block, long byteOffset) {}

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

    private PlaceInBlock placeOf(DeviceBuffer buffer) {
        if (buffer instanceof PinnedRange.Source source) {
            try (PinnedRange range = source.pin()) {
                return new PlaceInBlock(range.block(), range.byteOffset());
            }
        }
        return abort("buffers of this pool cannot be pinned");
    }

    // Threads.

    private interface ThreadBody {
        void run(int thread) throws Exception;
    }

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
}
