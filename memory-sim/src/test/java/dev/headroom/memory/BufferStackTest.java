package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.spi.DriverException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Level;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Frames on a stack: one after the other, random ones beside a simple model, and everything that is refused. */
class BufferStackTest {

    private final SimulatedBackend cuda = backend("cuda", card("RTX", 64 * MIB));
    private final GpuMemory memory =
            open(whole().toBuilder().waitTimeout(Duration.ZERO).growthBytes(MIB).build(), cuda);
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
    private final BufferStack stack =
            pool.stack(AllocationRequest.of(MIB).aligned(4096).tagged("activations"));

    @AfterEach
    void nothingIsLeft() {
        stack.close();
        assertThat(pool.stats().inUseBytes()).isZero();
        memory.close();
        cuda.requireNoViolations();
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
    }

    @Test
    void aFrameFreesAllOfItAtOnce() {
        try (BufferStack.Frame frame = stack.push()) {
            long first = frame.allocate(1000);
            try (BufferStack.Frame inner = stack.push()) {
                long second = inner.allocate(1);
                long third = inner.allocate(1000, 4096);
                assertThat(stack.depth()).isEqualTo(2);
                assertThat(stack.byteOffset(first)).isZero();
                assertThat(stack.byteOffset(second)).isEqualTo(1024);
                assertThat(stack.byteOffset(third)).isEqualTo(4096);
                assertThat(stack.chunk(first)).isSameAs(stack.chunk(third));
                assertThat(stack.usedBytes()).isEqualTo(5096);
                assertThat(first).isLessThan(second);
                assertThat(second).isLessThan(third);
            }
            assertThat(stack.usedBytes()).isEqualTo(1000);
            assertThat(stack.byteOffset(frame.allocate(1))).isEqualTo(1024);
        }
        assertThat(stack.depth()).isZero();
        assertThat(stack.usedBytes()).isZero();
        assertThat(stack.highWaterBytes()).isEqualTo(5096);
        assertThat(stack.byteSize()).isEqualTo(MIB);
    }

    @Test
    void anEqualPassTakesNothingFromThePool() {
        pass();
        long held = stack.byteSize();
        MemoryStats before = pool.stats();
        long calls = cuda.device(0).ledger().calls("allocate");
        for (int i = 0; i < 3; i++) {
            pass();
        }
        assertThat(stack.byteSize()).isEqualTo(held);
        assertThat(pool.stats().poolHits()).isEqualTo(before.poolHits());
        assertThat(pool.stats().poolMisses()).isEqualTo(before.poolMisses());
        assertThat(cuda.device(0).ledger().calls("allocate")).isEqualTo(calls);
    }

    /** Frames in frames, of all sizes: larger than a chunk, and such that what is left of one does not do. */
    private void pass() {
        SplittableRandom random = new SplittableRandom(7);
        Deque<BufferStack.Frame> frames = new ArrayDeque<>();
        for (int i = 0; i < 400; i++) {
            if (frames.isEmpty() || random.nextInt(3) == 0) {
                frames.push(stack.push());
            }
            frames.element().allocate(random.nextLong(1, random.nextInt(20) == 0 ? 3 * MIB : MIB / 3));
            while (!frames.isEmpty() && (frames.size() > 5 || random.nextInt(3) == 0)) {
                frames.pop().close();
            }
        }
        while (!frames.isEmpty()) {
            frames.pop().close();
        }
    }

    private record Range(DeviceBuffer chunk, long from, long to) {
        boolean meets(Range other) {
            return chunk == other.chunk && from < other.to && other.from < to;
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void agreesWithAListOfRanges(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        List<Range> live = new ArrayList<>();
        Deque<BufferStack.Frame> frames = new ArrayDeque<>();
        Deque<Integer> bottoms = new ArrayDeque<>();
        for (int step = 0; step < 20_000; step++) {
            int what = random.nextInt(100);
            if (what < 20 && frames.size() < 12) {
                frames.push(stack.push());
                bottoms.push(live.size());
            } else if (what < 75 && !frames.isEmpty() && stack.usedBytes() < 40 * MIB) {
                long size = random.nextInt(15) == 0 ? random.nextLong(1, 3 * MIB) : random.nextLong(1, MIB / 2);
                long alignment = 1L << random.nextInt(13);
                long position = frames.element().allocate(size, alignment);
                long offset = stack.byteOffset(position);
                Range range = new Range(stack.chunk(position), offset, offset + size);
                assertThat(offset % alignment).isZero();
                assertThat(range.to).isLessThanOrEqualTo(range.chunk.byteSize());
                assertThat(live).noneMatch(range::meets);
                live.add(range);
            } else if (what < 98 && !frames.isEmpty()) {
                frames.pop().close();
                live.subList(bottoms.pop(), live.size()).clear();
            } else if (what == 99) {
                long before = stack.byteSize();
                assertThat(stack.trim()).isEqualTo(before - stack.byteSize());
                assertThat(live.isEmpty() ? stack.byteSize() : 0).isZero();
            }
            assertThat(stack.depth()).isEqualTo(frames.size());
            assertThat(stack.byteSize()).isEqualTo(pool.stats().inUseBytes());
            assertThat(stack.usedBytes())
                    .isBetween(live.stream().mapToLong(r -> r.to - r.from).sum(), stack.byteSize());
            assertThat(stack.highWaterBytes()).isGreaterThanOrEqualTo(stack.usedBytes());
        }
        while (!frames.isEmpty()) {
            frames.pop().close();
        }
    }

    @Test
    void bytesStayInTheirPlaces() {
        try (BufferStack.Frame frame = stack.push()) {
            MemoryBuffer first = frame.buffer(8);
            MemoryBuffer second = frame.buffer(8);
            first.write(0, MemorySegment.ofArray(new long[] {1}));
            second.write(0, MemorySegment.ofArray(new long[] {2}));
            long[] read = new long[1];
            first.read(0, MemorySegment.ofArray(read));
            assertThat(read).containsExactly(1);
            assertThat(second.byteSize()).isEqualTo(8);
        }
    }

    @Test
    void aBufferEndsWithItsFrame() {
        MemoryBuffer buffer;
        try (BufferStack.Frame frame = stack.push()) {
            buffer = frame.buffer(64);
            buffer.fill(0, 64, (byte) 1);
        }
        try (BufferStack.Frame next = stack.push()) {
            next.allocate(64);
            assertThatThrownBy(() -> buffer.fill(0, 1, (byte) 2))
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessage("a frame of buffer stack on cuda:0 was used after it was closed");
            assertThatThrownBy(() -> buffer.slice(0, 8)).isInstanceOf(BufferClosedException.class);
        }
    }

    @Test
    void trimGivesBackWhatNothingLiesIn() {
        try (BufferStack.Frame frame = stack.push()) {
            frame.allocate(MIB / 2);
            try (BufferStack.Frame inner = stack.push()) {
                inner.allocate(MIB);
                inner.allocate(2 * MIB + 1);
                assertThat(stack.trim()).isZero();
            }
            assertThat(stack.byteSize()).isEqualTo(5 * MIB);
            assertThat(stack.trim()).isEqualTo(4 * MIB);
            assertThat(stack.highWaterBytes()).isEqualTo(4 * MIB + 1);
        }
        assertThat(stack.trim()).isEqualTo(MIB);
        assertThat(stack.trim()).isZero();
        try (BufferStack.Frame frame = stack.push()) {
            assertThat(stack.byteOffset(frame.allocate(1))).isZero();
        }
        assertThat(stack.highWaterBytes()).as("of the whole life").isEqualTo(4 * MIB + 1);
    }

    /** For each chunk of a pass: the driver refuses it, nothing has changed, and the pass can be ended or begun anew. */
    @Test
    void theDriverRefusesAtAnyChunk() {
        for (int n = 0; n < 4; n++) {
            cuda.faults()
                    .add(FaultRule.on("allocate|reserve|commit")
                            .skip(n)
                            .failing(DriverException.Kind.OUT_OF_MEMORY, 2));
            try (BufferStack.Frame frame = stack.push()) {
                for (int i = 0; i < n; i++) {
                    frame.allocate(MIB);
                }
                long used = stack.usedBytes();
                assertThat(catchThrowable(() -> frame.allocate(MIB))).isInstanceOf(DeviceOutOfMemoryException.class);
                assertThat(stack.usedBytes()).isEqualTo(used).isEqualTo(n * MIB);
                assertThat(stack.byteSize()).isEqualTo(n * MIB);
                cuda.faults().clear();
                assertThat(stack.byteOffset(frame.allocate(MIB))).isZero();
            }
            stack.trim();
            pool.shrink();
        }
    }

    /** What the stack keeps and cannot use itself goes back before it is refused. */
    @Test
    void ownChunksThatAreTooSmallGoBackFirst() {
        try (BufferStack.Frame frame = stack.push()) {
            for (int i = 0; i < 60; i++) {
                frame.allocate(MIB);
            }
        }
        try (BufferStack.Frame frame = stack.push()) {
            frame.allocate(62 * MIB);
            assertThat(stack.byteSize()).isEqualTo(62 * MIB);
        }
    }

    // Misuse.

    @Test
    void framesCloseInTheReverseOrder() {
        BufferStack.Frame outer = stack.push();
        outer.allocate(100);
        BufferStack.Frame inner = stack.push();
        assertThatIllegalStateException()
                .isThrownBy(outer::close)
                .withMessage("frame 1 of buffer stack on cuda:0 cannot be closed while frame 2 is open:"
                        + " close frames in the reverse order");
        assertThatIllegalStateException()
                .isThrownBy(() -> outer.allocate(1))
                .withMessage("frame 1 of buffer stack on cuda:0 is not on top: frame 2 is");
        inner.close();
        inner.close();
        assertThat(stack.usedBytes()).isEqualTo(100);
        outer.close();
        assertThat(stack.depth()).isZero();
    }

    @Test
    void aClosedFrameIsRefused() {
        BufferStack.Frame frame = stack.push();
        long position = frame.allocate(10);
        frame.close();
        try (BufferStack.Frame _ = stack.push()) {
            assertThatThrownBy(() -> frame.allocate(1))
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessage("a frame of buffer stack on cuda:0 was used after it was closed");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> stack.chunk(position))
                    .withMessage("nothing of buffer stack on cuda:0 is allocated at 0: its frame may have been closed");
            assertThatIllegalArgumentException().isThrownBy(() -> stack.byteOffset(-1));
        }
    }

    @Test
    void sizesThatCannotBeAreRefused() {
        try (BufferStack.Frame frame = stack.push()) {
            for (long size : new long[] {0, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> frame.allocate(size))
                        .withMessage("byteSize is " + size + ": must be 1 to 140737488355328");
            }
            for (long alignment : new long[] {0, -8, 3, 8192, Long.MIN_VALUE}) {
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> frame.allocate(1, alignment))
                        .withMessage("byteAlignment is " + alignment
                                + ": must be a power of two from 1 to 4096, that of the chunks");
            }
            assertThatThrownBy(() -> frame.allocate(1L << 40)).isInstanceOf(AllocationTooLargeException.class);
            assertThat(stack.usedBytes()).isZero();
        }
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.stack(AllocationRequest.of(1L << 48)))
                .withMessage("byteSize is 281474976710656: must be at most 140737488355328");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.stack(AllocationRequest.of(64).zeroed()))
                .withMessage("a stack is used again and again, and never cleared: fill what you allocate");
    }

    @Test
    void anotherThreadIsRefused() throws InterruptedException {
        BufferStack.Frame frame = stack.push();
        String own = Thread.currentThread().getName();
        for (Runnable use : List.<Runnable>of(
                stack::push, stack::close, stack::trim, stack::usedBytes, frame::close, () -> frame.allocate(1))) {
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread thread = Thread.ofPlatform().name("other").start(() -> thrown.set(catchThrowable(use::run)));
            thread.join();
            assertThat(thrown.get())
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("buffer stack on cuda:0 belongs to thread '" + own
                            + "' and was used by thread 'other': give each its own");
        }
        frame.close();
    }

    @Test
    void whatIsOpenAtTheCloseIsReported() {
        try (LogCapture log = new LogCapture()) {
            BufferStack.Frame frame = stack.push();
            frame.allocate(2048);
            stack.push();
            stack.close();
            stack.close();
            assertThat(log.messages(Level.WARNING))
                    .containsExactly("buffer stack on cuda:0 closed with 2 frames still open, 2 KiB in all;"
                            + " the memory was given back");
            frame.close();
            assertThatThrownBy(() -> frame.allocate(1))
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessage("buffer stack on cuda:0 is closed");
            assertThatThrownBy(stack::push).isInstanceOf(BufferClosedException.class);
            assertThatThrownBy(stack::trim).isInstanceOf(BufferClosedException.class);
            assertThat(stack.usedBytes()).isZero();
        }
    }
}
