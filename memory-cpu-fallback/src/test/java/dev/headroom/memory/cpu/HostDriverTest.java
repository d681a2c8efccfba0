package dev.headroom.memory.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The driver on both sources of memory. */
@ParameterizedClass
@EnumSource
class HostDriverTest {

    private static final GpuDevice DEVICE =
            GpuDevice.of("cpu", 0, "Host memory", DeviceClass.HOST, PhysicalId.ofHost());
    private static final NativeQueue USER_QUEUE = () -> "cpu";

    private final Source source;
    private final HostDriver driver;
    private final DriverQueue queue;

    /** Who the memory comes from. */
    enum Source {
        LINUX,
        JAVA
    }

    HostDriverTest(Source source) {
        this.source = source;
        driver = open();
        queue = driver.openQueue();
    }

    private HostDriver open() {
        Optional<LinuxMemory> system =
                source == Source.LINUX ? Optional.of(MappedBlocksTest.linux()) : Optional.empty();
        return new HostBackend(HostMemory.ofSystem(), () -> system).open(DEVICE);
    }

    @Test
    void hasRangesWhereLinuxGivesThem() {
        assertThat(driver.virtualMemory().isPresent()).isEqualTo(source == Source.LINUX);
        assertThat(driver.virtualMemory()).isEqualTo(driver.virtualMemory());
    }

    @Test
    void saysSoWhenThereIsNoMemory() {
        DriverException failure = catchThrowableOfType(DriverException.class, () -> block(1L << 50, 4096));
        assertThat(failure.kind()).isEqualTo(DriverException.Kind.OUT_OF_MEMORY);
        assertThat(failure.call()).isEqualTo(source == Source.LINUX ? "mmap" : "Arena.allocate");
    }

    private DriverBlock block(long byteSize, long byteAlignment) throws DriverException {
        return driver.allocate(new BlockRequest(byteSize, byteAlignment, MemoryKind.DEVICE, "test"));
    }

    private MemorySegment bytes(DriverBlock block) {
        return driver.map(block, 0, block.byteSize(), MapAccess.READ_WRITE).segment();
    }

    private static void randomize(MemorySegment segment, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        for (long at = 0; at + 8 <= segment.byteSize(); at += 8) {
            segment.set(ValueLayout.JAVA_LONG_UNALIGNED, at, random.nextLong());
        }
    }

    @ParameterizedTest
    @EnumSource(MemoryKind.class)
    void everyKindIsHostMemory(MemoryKind kind) throws DriverException {
        KindTraits traits = driver.traits(kind);
        assertThat(traits.supported()).isTrue();
        assertThat(traits.hostVisible()).isTrue();
        assertThat(traits.coherent()).isTrue();
        assertThat(traits.bindingLimit()).isEmpty();
        boolean own = kind == MemoryKind.DEVICE || kind == MemoryKind.UNIFIED;
        assertThat(traits.placement()).isEqualTo(own ? Placement.DEVICE : Placement.HOST);
        assertThat(traits.maxBlockBytes()).isEqualTo(driver.budget(kind).totalBytes());

        DriverBlock block =
                driver.allocate(new BlockRequest(3 * traits.granularity(), traits.baseAlignment(), kind, "test"));
        assertThat(block.kind()).isEqualTo(kind);
        assertThat(block.byteSize()).isEqualTo(3 * traits.granularity());
        assertThat(driver.free(block).isFreed()).isTrue();
    }

    @Test
    void alignsAsAsked() throws DriverException {
        for (long alignment = 4096; alignment <= 2 << 20; alignment <<= 1) {
            DriverBlock block = block(4096, alignment);
            assertThat(bytes(block).address() % alignment).isZero();
            driver.free(block);
        }
    }

    @Test
    void mapsPartsOfABlock() throws DriverException {
        DriverBlock block = block(8192, 4096);
        HostMapping mapping = driver.map(block, 100, 50, MapAccess.WRITE_DISCARD);
        assertThat(mapping.segment().byteSize()).isEqualTo(50);
        mapping.segment().fill((byte) 9);
        mapping.flush();
        mapping.close();
        HostMapping again = driver.map(block, 149, 2, MapAccess.READ);
        again.invalidate();
        assertThat(again.segment().get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 9);
        again.close();
        driver.free(block);
    }

    @Test
    void fillsExactlyTheRange() throws DriverException {
        DriverBlock block = block(40 << 20, 4096);
        MemorySegment bytes = bytes(block);
        bytes.fill((byte) 1);
        driver.submit(new Fill(block, 3, (40 << 20) - 7, (byte) 2), queue);
        assertThat(bytes.asSlice(0, 5).toArray(ValueLayout.JAVA_BYTE)).containsExactly(1, 1, 1, 2, 2);
        assertThat(bytes.asSlice((40 << 20) - 6).toArray(ValueLayout.JAVA_BYTE)).containsExactly(2, 2, 1, 1, 1, 1);
        assertThat(bytes.asSlice(3, (40 << 20) - 7).mismatch(filled((40 << 20) - 7, 2)))
                .isEqualTo(-1);
        driver.free(block);
    }

    private static MemorySegment filled(int byteSize, int value) {
        MemorySegment segment = MemorySegment.ofArray(new byte[byteSize]);
        return segment.fill((byte) value);
    }

    @Test
    void copiesBetweenAllEndpoints() throws DriverException {
        HostDriver other = open();
        long n = (33 << 20) + 5;
        DriverBlock first = block(48 << 20, 4096);
        DriverBlock second = other.allocate(new BlockRequest(48 << 20, 4096, MemoryKind.UPLOAD, "peer"));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment source = arena.allocate(n);
            MemorySegment target = arena.allocate(n);
            randomize(source, 42);
            driver.submit(new Copy(new InHost(source), new InBlock(first, 1), n), queue);
            driver.submit(new Copy(new InBlock(first, 1), new InPeer(second, 4095), n), queue);
            driver.submit(new Copy(new InPeer(second, 4095), new InBlock(first, 9 << 20), n), queue);
            driver.submit(new Copy(new InBlock(first, 9 << 20), new InHost(target), n), queue);
            assertThat(driver.await(queue, driver.signal(queue), Duration.ZERO)).isTrue();
            assertThat(target.mismatch(source)).isEqualTo(-1);
        }
        driver.free(first);
        other.free(second);
    }

    @Test
    void leavesMemoryOfOtherBackendsAlone() throws DriverException {
        DriverBlock ours = block(4096, 4096);
        DriverBlock foreign = new DriverBlock() {
            @Override
            public long byteSize() {
                return 4096;
            }

            @Override
            public MemoryKind kind() {
                return MemoryKind.DEVICE;
            }
        };
        Copy copy = new Copy(new InPeer(foreign, 0), new InBlock(ours, 0), 16);
        assertThat(catchThrowableOfType(DriverException.class, () -> driver.submit(copy, queue))
                        .kind())
                .isEqualTo(DriverException.Kind.UNSUPPORTED);
        driver.free(ours);
    }

    @Test
    void queuesAreDoneAtOnce() throws DriverException {
        DriverQueue other = driver.openQueue();
        assertThat(driver.completed(queue)).isZero();
        assertThat(driver.signal(queue)).isEqualTo(1);
        assertThat(driver.signal(queue)).isEqualTo(2);
        assertThat(driver.completed(queue)).isEqualTo(2);
        assertThat(driver.completed(other)).isZero();
        driver.waitFor(other, queue, 2);
        assertThat(driver.await(queue, 2, Duration.ZERO)).isTrue();
        assertThat(driver.await(queue, 3, Duration.ZERO)).isFalse();
        assertThat(driver.awaitIdle(Duration.ZERO)).isTrue();
        other.close();
    }

    @Test
    void hasNoUserQueues() {
        DriverFence fence = new DriverFence() {
            @Override
            public boolean done() {
                return true;
            }

            @Override
            public boolean await(Duration timeout) {
                return true;
            }

            @Override
            public void close() {}
        };
        List<ThrowingCallable> calls = List.of(
                () -> driver.record(USER_QUEUE),
                () -> driver.hold(USER_QUEUE, queue, 1),
                () -> driver.waitFor(queue, fence));
        for (ThrowingCallable call : calls) {
            assertThat(catchThrowableOfType(DriverException.class, call).kind())
                    .isEqualTo(DriverException.Kind.UNSUPPORTED);
        }
    }

    @Nested
    class Threads {

        @Test
        void allocateMapCopyAndFreeAtOnce() throws Exception {
            int threads = 4;
            try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
                List<Future<?>> futures = new ArrayList<>();
                for (int t = 0; t < threads; t++) {
                    long seed = t;
                    futures.add(executor.submit((Callable<Boolean>) () -> {
                        churn(new SplittableRandom(seed));
                        return true;
                    }));
                }
                for (Future<?> future : futures) {
                    future.get(60, TimeUnit.SECONDS);
                }
            }
        }

        private void churn(SplittableRandom random) throws DriverException {
            for (int round = 0; round < 200; round++) {
                long byteSize = 4096L * random.nextInt(1, 64);
                DriverBlock from = block(byteSize, 4096L << random.nextInt(6));
                DriverBlock to = block(byteSize, 4096);
                long seed = random.nextLong();
                randomize(bytes(from), seed);
                driver.submit(new Copy(new InBlock(from, 0), new InBlock(to, 0), byteSize), queue);
                long value = driver.signal(queue);
                assertThat(driver.completed(queue)).isGreaterThanOrEqualTo(value);
                assertThat(bytes(to).mismatch(bytes(from))).isEqualTo(-1);
                assertThat(driver.free(from).isFreed()).isTrue();
                assertThat(driver.free(to).isFreed()).isTrue();
            }
        }

        /** The engine never does this; if it ever should, the answer is an exception and not the end of the process. */
        @Test
        void aBlockFreedUnderACopyThrowsThere() throws Exception {
            for (int round = 0; round < 20; round++) {
                DriverBlock from = block(32 << 20, 4096);
                DriverBlock to = block(32 << 20, 4096);
                CountDownLatch running = new CountDownLatch(1);
                Thread copier = Thread.ofPlatform().start(() -> {
                    try {
                        for (int i = 0; i < 1_000; i++) {
                            driver.submit(new Copy(new InBlock(from, 0), new InBlock(to, 0), 32 << 20), queue);
                            running.countDown();
                        }
                    } catch (IllegalStateException | DriverException expected) {
                        // The block is gone.
                    }
                });
                running.await();
                assertThat(driver.free(to).isFreed()).isTrue();
                copier.join();
                assertThat(driver.free(from).isFreed()).isTrue();
            }
        }
    }
}
