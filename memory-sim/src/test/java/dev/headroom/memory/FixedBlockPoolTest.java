package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedKernel;
import dev.headroom.memory.sim.SimulatedQueue;
import dev.headroom.memory.sim.VirtualClock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.PinnedRange;
import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.logging.Level;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Blocks of one size, one call after the other. */
class FixedBlockPoolTest {

    private static final int KIB = 1024;
    private static final int PER_SLAB = 64;
    private static final long SLAB = 64L * 16 * KIB;

    private final VirtualClock clock = VirtualClock.manual();
    private final SimulatedBackend cuda = SimulatedBackend.builder("cuda")
            .clock(clock)
            .device(card("RTX", 16 * MIB))
            .build();
    private final GpuMemory memory = GpuMemory.builder()
            .clock(clock)
            .backend(cuda)
            .config(whole().toBuilder().waitTimeout(Duration.ZERO).build())
            .open();
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
    private final FixedBlockPool blocks = pool.fixedBlocks(block(), PER_SLAB, 4 * PER_SLAB);

    @AfterEach
    void nothingIsLeft() {
        blocks.close();
        clock.runUntilIdle();
        memory.close();
        cuda.requireNoViolations();
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
    }

    @Test
    void aBlockIsAPartOfASlab() {
        int[] all = allocate(PER_SLAB + 1);
        assertThat(all)
                .containsExactlyInAnyOrder(IntStream.range(0, PER_SLAB + 1).toArray());
        assertThat(blocks.slab(0)).isSameAs(blocks.slab(PER_SLAB - 1)).isNotSameAs(blocks.slab(PER_SLAB));
        assertThat(blocks.slab(0).byteSize()).isEqualTo(SLAB);
        assertThat(blocks.byteOffset(5)).isEqualTo(5L * 16 * KIB);
        assertThat(blocks.byteOffset(PER_SLAB + 1)).isEqualTo(16L * KIB);
        assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(PER_SLAB + 1, PER_SLAB - 1, 0, 2, 2 * SLAB));
        assertThat(pool.stats().activeBuffers()).isEqualTo(2);
    }

    @Test
    void bytesStayInTheirBlocks() {
        try (GpuMemory other = open(whole(), backend("cuda", card("RTX", 16 * MIB)))) {
            FixedBlockPool kept = other.pool(other.devices().getFirst()).fixedBlocks(block(), PER_SLAB);
            int[] all = new int[2 * PER_SLAB];
            kept.allocate(all, 0, all.length);
            for (int block : all) {
                kept.slab(block).write(kept.byteOffset(block), MemorySegment.ofArray(new int[] {~block}));
            }
            for (int block : all) {
                int[] read = new int[1];
                kept.slab(block).read(kept.byteOffset(block), MemorySegment.ofArray(read));
                assertThat(read).containsExactly(~block);
            }
            kept.free(all, 0, all.length);
            kept.close();
        }
    }

    @Test
    void slabsAreTakenWhenNoBlockIsFreeAndStay() {
        long before = cuda.device(0).ledger().calls("allocate");
        blocks.free(blocks.allocate());
        long calls = cuda.device(0).ledger().totalCalls();
        for (int i = 0; i < 1000; i++) {
            blocks.free(blocks.allocate());
        }
        assertThat(cuda.device(0).ledger().totalCalls())
                .as("driver calls of 1000 pairs")
                .isEqualTo(calls);
        assertThat(cuda.device(0).ledger().calls("allocate")).isEqualTo(before + 1);
        assertThat(blocks.stats().slabs()).isEqualTo(1);
    }

    @Test
    void partlyUsedSlabsArePreferredSoThatOthersRunEmpty() {
        int[] all = allocate(4 * PER_SLAB);
        for (int block : all) {
            if (block < 3 * PER_SLAB || block % 2 == 0) { // the last slab is half full, the others are empty
                blocks.free(block);
            }
        }
        int[] again = new int[PER_SLAB / 2];
        for (int i = 0; i < again.length; i++) {
            again[i] = blocks.allocate();
        }
        assertThat(Arrays.stream(again)).allMatch(block -> block >= 3 * PER_SLAB);
        assertThat(blocks.shrink()).isEqualTo(3 * SLAB);
        assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(PER_SLAB, 0, 0, 1, SLAB));
        blocks.validate();
    }

    @Test
    void slabsKeptAsideServeBeforeOthersAreTaken() {
        blocks.free(allocate(2 * PER_SLAB), 0, 2 * PER_SLAB);
        long calls = cuda.device(0).ledger().calls("allocate");
        int[] all = allocate(2 * PER_SLAB);
        assertThat(all)
                .containsExactlyInAnyOrder(IntStream.range(0, 2 * PER_SLAB).toArray());
        assertThat(cuda.device(0).ledger().calls("allocate")).isEqualTo(calls);
        assertThat(blocks.stats().slabs()).isEqualTo(2);
    }

    @Test
    void onlyEmptySlabsGoBack() {
        int[] all = allocate(2 * PER_SLAB);
        blocks.free(all, 0, PER_SLAB);
        assertThat(blocks.shrink()).isEqualTo(SLAB);
        assertThat(blocks.shrink()).isZero();
        assertThat(pool.stats().activeBuffers()).isEqualTo(1);
        int gone = all[0];
        assertThatIllegalArgumentException().isThrownBy(() -> blocks.slab(gone));
        assertThatIllegalArgumentException().isThrownBy(() -> blocks.free(gone));
        blocks.validate();
    }

    /** The pool asks by itself when it runs short, and a slab that is empty serves another buffer. */
    @Test
    void emptySlabsGoBackWhenThePoolRunsShort() {
        blocks.free(allocate(4 * PER_SLAB), 0, 4 * PER_SLAB);
        try (DeviceBuffer large = pool.allocate(16 * MIB)) {
            assertThat(large.byteSize()).isEqualTo(16 * MIB);
            assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(0, 0, 0, 0, 0));
        }
        assertThat(blocks.allocate()).isNotNegative();
    }

    @Test
    void aShortageIsThePoolsOwnAndChangesNothing() {
        int[] some = allocate(3);
        try (DeviceBuffer _ = pool.allocate(14 * MIB)) {
            FixedBlockStats before = blocks.stats();
            MemoryStats held = pool.stats();
            int[] many = new int[4 * PER_SLAB - 3];
            DeviceOutOfMemoryException refusal =
                    catchThrowableOfType(DeviceOutOfMemoryException.class, () -> blocks.allocate(many, 0, many.length));
            assertThat(refusal.figures().requestedBytes()).isEqualTo(SLAB);
            assertThat(blocks.stats()).isEqualTo(before);
            assertThat(pool.stats().inUseBytes()).isEqualTo(held.inUseBytes());
            blocks.validate();
        }
        blocks.free(some, 0, 3);
    }

    /** For every driver call of a growing workload: it fails, nothing is lost, and afterwards all goes on. */
    @Test
    void theDriverRefusesAtAnyCall() {
        FaultRule refusing = FaultRule.on("allocate|reserve|commit").failing(DriverException.Kind.OUT_OF_MEMORY, 2);
        for (int n = 1; n <= 6; n++) {
            SimulatedBackend other = backend("cuda", card("RTX", 16 * MIB).granularity(MIB));
            MemoryConfig config = whole().toBuilder()
                    .growthBytes(MIB)
                    .waitTimeout(Duration.ZERO)
                    .build();
            try (GpuMemory faulty = open(config, other)) {
                GpuMemoryPool under = faulty.pool(faulty.devices().getFirst());
                FixedBlockPool over = under.fixedBlocks(block(), PER_SLAB, 4 * PER_SLAB);
                other.faults().add(refusing.skip(n - 1));
                int[] target = new int[4 * PER_SLAB];
                int done = 0;
                try {
                    over.allocate(target, 0, 32);
                    done = 32;
                    over.allocate(target, 32, target.length - 32);
                    done = target.length;
                } catch (DeviceOutOfMemoryException e) {
                    assertThat(over.stats().inUseBlocks()).isEqualTo(done);
                    assertThat(over.stats().slabs()).isEqualTo(done == 0 ? 0 : 1);
                    over.validate();
                }
                assertThat(done).as("refused at %s", n).isEqualTo(n == 1 ? 0 : n <= 4 ? 32 : 4 * PER_SLAB);
                other.faults().clear();
                over.allocate(target, done, target.length - done);
                assertThat(over.stats().inUseBlocks()).isEqualTo(target.length);
                over.free(target, 0, target.length);
                over.close();
                assertThat(under.stats().inUseBytes()).isZero();
            }
            other.requireNoViolations();
            assertThat(other.device(0).ledger().isEmpty()).isTrue();
        }
    }

    @Test
    void allBlocksAreTaken() {
        int[] all = allocate(4 * PER_SLAB);
        CompletableFuture<Void> use = new CompletableFuture<>();
        blocks.freeAfter(use, all[0], all[1]);
        DeviceOutOfMemoryException refusal =
                catchThrowableOfType(DeviceOutOfMemoryException.class, () -> blocks.allocate(new int[9], 2, 7));
        assertThat(refusal).hasMessage("""
                fixed blocks of 16 KiB on cuda:0: no more than 256 blocks, 254 in use and 2 waiting for work, but 7 more wanted. \
                To make room, free some, or raise maxBlocks""");
        assertThat(refusal.figures())
                .isEqualTo(new DeviceOutOfMemoryException.Figures(
                        "fixed blocks of 16 KiB on cuda:0",
                        7 * 16 * KIB,
                        0,
                        254 * 16 * KIB,
                        4 * SLAB,
                        0,
                        4 * SLAB,
                        true,
                        254));
        use.complete(null);
        assertThat(Set.of(blocks.allocate(), blocks.allocate())).containsExactlyInAnyOrder(all[0], all[1]);
    }

    // Misuse.

    @Test
    void aSecondFreeIsRefused() {
        int block = blocks.allocate();
        blocks.free(block);
        FixedBlockStats before = blocks.stats();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.free(block))
                .withMessage(
                        "block 0 of fixed blocks of 16 KiB on cuda:0 is not in use: it was freed twice, or never allocated");
        assertThat(blocks.stats()).isEqualTo(before);
        blocks.validate();
    }

    @ParameterizedTest
    @CsvSource({"-1", "256", "2147483647", "-2147483648"})
    void aNumberNobodyWasGivenIsRefused(int number) {
        int block = blocks.allocate();
        String message = "block is " + number + ": must be 0 to 255";
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.free(number))
                .withMessage(message);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.freeAfter(new CompletableFuture<>(), number))
                .withMessage(message);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.slab(number))
                .withMessage(message);
        assertThatThrownBy(() -> blocks.byteOffset(number)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void manyAreFreedAllOrNone() {
        int[] all = allocate(100);
        blocks.free(all[40]);
        FixedBlockStats before = blocks.stats();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.free(all, 0, 100))
                .withMessageStartingWith("block " + all[40] + " of");
        int[] twice = {all[1], all[2], all[1]};
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.free(twice, 0, 3))
                .withMessageStartingWith("block " + all[1] + " of");
        int[] wrong = {all[1], all[70], -7};
        assertThatIllegalArgumentException().isThrownBy(() -> blocks.free(wrong, 0, 3));
        assertThatIllegalArgumentException().isThrownBy(() -> blocks.freeAfter(new CompletableFuture<>(), wrong));
        assertThat(blocks.stats()).isEqualTo(before);
        assertThatThrownBy(() -> blocks.free(all, 99, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> blocks.allocate(all, 99, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        blocks.free(all, 0, 0);
        blocks.validate();
    }

    @ParameterizedTest
    @CsvSource({
        "16384, 31,  256, blocksPerSlab is 31: must be a power of two from 32 to 65536",
        "16384, 16,  256, blocksPerSlab is 16: must be a power of two from 32 to 65536",
        "16384, 131072, 131072, blocksPerSlab is 131072: must be a power of two from 32 to 65536",
        "16384, 64,  100, maxBlocks is 100: must be a multiple of 64 from there to 16777216",
        "16384, 64,    0, maxBlocks is 0: must be a multiple of 64 from there to 16777216",
        "16384, 64, 33554432, maxBlocks is 33554432: must be a multiple of 64 from there to 16777216",
        "16400, 64,  256, byteSize is 16400: must be a multiple of the alignment 256 up to 274877906944",
    })
    void sizesThatCannotBeAreRefused(long bytes, int perSlab, int most, String message) {
        AllocationRequest block = AllocationRequest.of(bytes);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.fixedBlocks(block, perSlab, most))
                .withMessage(message);
    }

    @Test
    void clearedBlocksAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> pool.fixedBlocks(block().zeroed(), 32))
                .withMessage("blocks are used again and again, and never cleared: fill them");
    }

    @Test
    void thereAreAsManyBlocksAsTheDeviceCouldHold() {
        try (FixedBlockPool most = pool.fixedBlocks(AllocationRequest.of(96 * KIB), 32)) {
            assertThat(most.maxBlocks()).isEqualTo(160);
            assertThat(most.blocksPerSlab()).isEqualTo(32);
            assertThat(most.blockBytes()).isEqualTo(96 * KIB);
        }
        try (FixedBlockPool small = pool.fixedBlocks(AllocationRequest.of(256), 1 << 16)) {
            assertThat(small.maxBlocks()).isEqualTo(1 << 16);
        }
    }

    // Work.

    @Test
    void blocksWaitForAStage() {
        CompletableFuture<Void> use = new CompletableFuture<>();
        int[] all = allocate(PER_SLAB);
        blocks.freeAfter(use, all[3], all[9]);
        assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(PER_SLAB - 2, 0, 2, 1, SLAB));
        assertThatIllegalArgumentException().isThrownBy(() -> blocks.free(all[3]));
        int other = blocks.allocate();
        assertThat(other).isGreaterThanOrEqualTo(PER_SLAB);
        use.completeExceptionally(new IllegalStateException("the work failed"));
        assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(PER_SLAB - 1, PER_SLAB + 1, 0, 2, 2 * SLAB));
        blocks.freeAfter(CompletableFuture.completedFuture(null), all[4]);
        assertThat(blocks.stats().waitingBlocks()).isZero();
        blocks.validate();
    }

    @Test
    void aSlabIsKeptWhileItsBlocksWait() {
        CompletableFuture<Void> use = new CompletableFuture<>();
        blocks.freeAfter(use, allocate(PER_SLAB));
        assertThat(blocks.shrink()).isZero();
        use.complete(null);
        assertThat(blocks.shrink()).isEqualTo(SLAB);
    }

    @Test
    void blocksWaitForAQueue() {
        SimulatedQueue stream = cuda.device(0).newQueue();
        int[] all = allocate(2 * PER_SLAB);
        launch(stream, all[0]);
        blocks.freeAfter(stream, all);
        assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(0, 0, 2 * PER_SLAB, 2, 2 * SLAB));
        assertThat(blocks.shrink()).isZero();
        assertThat(blocks.allocate()).as("in a slab of its own").isGreaterThanOrEqualTo(2 * PER_SLAB);
        clock.runUntilIdle();
        int[] again = allocate(3 * PER_SLAB - 1);
        assertThat(Arrays.stream(again).filter(block -> block < 2 * PER_SLAB)).hasSize(2 * PER_SLAB);
        blocks.validate();
    }

    @Test
    void aQueueOfAnotherBackendFreesNothing() {
        SimulatedBackend other = backend("opencl", card("other", MIB));
        int[] all = allocate(5);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> blocks.freeAfter(other.device(0).newQueue(), all));
        assertThat(blocks.stats().inUseBlocks()).isEqualTo(5);
        blocks.free(all, 0, 5);
    }

    /** The memory of blocks that wait is not given to anybody after a close either. */
    @Test
    void aCloseWaitsForWork() {
        CompletableFuture<Void> use = new CompletableFuture<>();
        blocks.freeAfter(use, allocate(4 * PER_SLAB));
        SimulatedQueue stream = cuda.device(0).newQueue();
        FixedBlockPool others = pool.fixedBlocks(block(), PER_SLAB, 4 * PER_SLAB);
        int block = others.allocate();
        stream.submit(kernel(others.slab(block), others.byteOffset(block)));
        others.freeAfter(stream, block);
        others.close();
        blocks.close();
        assertThat(pool.stats().inUseBytes()).isEqualTo(5 * SLAB);
        use.complete(null);
        clock.runUntilIdle();
        assertThat(pool.shrink()).isPositive();
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    // The end.

    @Test
    void whatIsOpenAtTheCloseIsReported() {
        try (LogCapture log = new LogCapture()) {
            allocate(3);
            blocks.close();
            blocks.close();
            assertThat(log.messages(Level.WARNING))
                    .containsExactly(
                            "fixed blocks of 16 KiB on cuda:0 closed with 3 blocks still in use, 48 KiB in all;"
                                    + " the memory was given back");
        }
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    @Test
    void nothingCanBeDoneAfterTheClose() {
        int block = blocks.allocate();
        blocks.free(blocks.allocate());
        blocks.close();
        for (Runnable use : Set.<Runnable>of(
                blocks::allocate,
                () -> blocks.allocate(new int[2], 0, 2),
                () -> blocks.free(block),
                () -> blocks.free(new int[] {block}, 0, 1),
                () -> blocks.freeAfter(new CompletableFuture<>(), block),
                () -> blocks.slab(block),
                blocks::shrink)) {
            assertThatThrownBy(use::run)
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessage("fixed blocks of 16 KiB on cuda:0 is closed");
        }
        assertThat(blocks.stats()).isEqualTo(new FixedBlockStats(0, 0, 0, 0, 0));
        blocks.validate();
    }

    @Test
    void aStageThatEndsAfterTheCloseFreesNothing() {
        CompletableFuture<Void> use = new CompletableFuture<>();
        blocks.freeAfter(use, blocks.allocate());
        blocks.close();
        use.complete(null);
        blocks.validate();
        assertThatThrownBy(blocks::allocate).isInstanceOf(BufferClosedException.class);
    }

    @Test
    void thePoolMayCloseFirst() {
        int block = blocks.allocate();
        blocks.freeAfter(new CompletableFuture<>(), blocks.allocate());
        memory.close();
        blocks.free(block);
        assertThat(blocks.shrink()).isZero();
        blocks.close();
    }

    @Test
    void afterACloseThePoolDoesNotKnowIt() throws InterruptedException {
        WeakReference<FixedBlockPool> closed = closedBlocks();
        for (int i = 0; i < 50 && closed.get() != null; i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertThat(closed.get()).isNull();
    }

    private WeakReference<FixedBlockPool> closedBlocks() {
        try (FixedBlockPool other = pool.fixedBlocks(block(), PER_SLAB)) {
            other.free(other.allocate());
            return new WeakReference<>(other);
        }
    }

    private int[] allocate(int count) {
        int[] target = new int[count];
        blocks.allocate(target, 0, count);
        assertThat(new HashSet<>(Arrays.stream(target).boxed().toList())).hasSize(count);
        return target;
    }

    private void launch(SimulatedQueue stream, int block) {
        stream.submit(kernel(blocks.slab(block), blocks.byteOffset(block)));
    }

    private static SimulatedKernel kernel(DeviceBuffer slab, long offset) {
        try (PinnedRange range = ((PinnedRange.Source) slab).pin()) {
            return SimulatedKernel.lasting(Duration.ofSeconds(1))
                    .writing(range.block(), range.byteOffset() + offset, 16 * KIB);
        }
    }

    private static AllocationRequest block() {
        return AllocationRequest.of(16 * KIB).tagged("kv cache");
    }
}
