package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferStack;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.FixedBlockPool;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.MemoryBuffer;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The part of {@link PoolContract} about bytes: contents, kinds, views, and the way to other pools. */
abstract class PoolContentsTests extends PoolFixture {

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
    void fixed_blocks_keep_what_is_written() {
        try (FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(16 << 10), 32, 96)) {
            int[] all = new int[70];
            blocks.allocate(all, 0, all.length);
            for (int block : all) {
                write(slice(blocks, block), BytePattern.of(block, 1));
            }
            blocks.free(all, 10, 10);
            blocks.allocate(all, 10, 10);
            for (int i = 10; i < 20; i++) {
                write(slice(blocks, all[i]), BytePattern.of(all[i], 1));
            }
            for (int block : all) {
                require(slice(blocks, block), BytePattern.of(block, 1));
            }
            blocks.free(all, 0, all.length);
            assertThat(blocks.shrink()).isEqualTo(3 * 32 * (16 << 10));
        }
    }

    private static MemoryBuffer slice(FixedBlockPool blocks, int block) {
        return blocks.slab(block).slice(blocks.byteOffset(block), blocks.blockBytes());
    }

    @Test
    void frames_of_a_stack_keep_what_is_written() {
        try (BufferStack stack = pool.stack(AllocationRequest.of(64 << 10));
                BufferStack.Frame frame = stack.push()) {
            MemoryBuffer below = frame.buffer(40_000);
            write(below, BytePattern.of(0, 1));
            for (int pass = 1; pass < 4; pass++) {
                try (BufferStack.Frame inner = stack.push()) {
                    MemoryBuffer first = inner.buffer(20_000);
                    MemoryBuffer second = inner.buffer(100_000);
                    write(first, BytePattern.of(1, pass));
                    write(second, BytePattern.of(2, pass));
                    require(first, BytePattern.of(1, pass));
                    require(second, BytePattern.of(2, pass));
                }
            }
            require(below, BytePattern.of(0, 1));
            assertThat(stack.byteSize()).isEqualTo(3 * (64 << 10));
        }
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
}
