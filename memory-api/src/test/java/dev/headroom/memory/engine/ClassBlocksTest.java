package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.HeapReport;
import dev.headroom.memory.PoolProfile.BlockClass;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ClassBlocksTest {

    private static final int KIB = 1024;
    private static final int MIB = 1024 * KIB;

    private final Tlsf tlsf = new Tlsf();

    private ClassBlocks classes(long small, long medium, long large) {
        return new ClassBlocks(
                tlsf,
                List.of(
                        new BlockClass(0, KIB, small),
                        new BlockClass(1, 64 * KIB, medium),
                        new BlockClass(2, MIB, large)));
    }

    private static List<Long> allocated(ClassBlocks classes) {
        return classes.figures().stream()
                .map(HeapReport.BlockClass::allocatedBlocks)
                .toList();
    }

    @Test
    void theFirstClassThatFitsAndHasABlock() {
        tlsf.addRegion(64 * MIB);
        ClassBlocks classes = classes(2, 1, 1);
        classes.take(1024, 256);
        assertThat(allocated(classes)).containsExactly(1L, 0L, 0L);
        classes.take(1025, 256);
        assertThat(allocated(classes)).containsExactly(1L, 1L, 0L);
        classes.take(1, 1);
        assertThat(allocated(classes)).containsExactly(2L, 1L, 0L);
        classes.take(1, 1);
        assertThat(allocated(classes)).as("both smaller classes are used up").containsExactly(2L, 1L, 1L);
        assertThat(classes.take(1, 1)).isEqualTo(Tlsf.NONE);
    }

    @Test
    void sizesRoundUpTo256AndOneMebibyteStillFits() {
        tlsf.addRegion(64 * MIB);
        ClassBlocks classes = classes(10, 10, 10);
        assertThat(classes.byteSize(classes.take(MIB, 256))).isEqualTo(MIB);
        assertThat(classes.byteSize(classes.take(MIB - 255, 256))).isEqualTo(MIB);
        assertThat(classes.take(MIB + 1, 256)).isEqualTo(Tlsf.NONE);
        assertThat(classes.byteSize(classes.take(64 * KIB, 256))).isEqualTo(64 * KIB);
        assertThat(classes.serves(MIB, 256)).isTrue();
        assertThat(classes.serves(MIB + 1, 256)).isFalse();
    }

    @Test
    void aClassTooSmallForWhereKernelsBindIsPassedOver() {
        Tlsf coarse = new Tlsf(4 * KIB);
        coarse.addRegion(64 * MIB);
        ClassBlocks classes =
                new ClassBlocks(coarse, List.of(new BlockClass(0, KIB, 10), new BlockClass(1, 64 * KIB, 10)));
        assertThat(classes.byteSize(classes.take(100, 256))).isEqualTo(64 * KIB);
        assertThat(allocated(classes)).containsExactly(0L, 1L);
    }

    @Test
    void blocksAreAlignedToTheirSize() {
        tlsf.addRegion(64 * MIB);
        tlsf.allocate(256, 256);
        ClassBlocks classes = classes(10, 10, 10);
        for (int alignment = 256; alignment <= MIB; alignment *= 2) {
            int block = classes.take(100, alignment);
            assertThat((tlsf.offset(classes.node(block)) + classes.byteOffset(block)) % alignment)
                    .as("alignment %s", alignment)
                    .isZero();
        }
        assertThat(classes.take(100, 2 * MIB)).isEqualTo(Tlsf.NONE);
    }

    @Test
    void aShortHeapGivesSmallerSlabsAndThenNone() {
        tlsf.addRegion(200 * KIB);
        ClassBlocks classes = classes(10_000, 10, 10);
        assertThat(classes.take(KIB, 256)).isNotEqualTo(Tlsf.NONE);
        assertThat(classes.reservedBytes()).isEqualTo(128 * KIB);
        assertThat(classes.take(64 * KIB, 256)).isNotEqualTo(Tlsf.NONE);
        assertThat(classes.take(64 * KIB, 256)).as("no room for a second").isEqualTo(Tlsf.NONE);
        assertThat(classes.takeLarger(64 * KIB, 256)).isEqualTo(Tlsf.NONE);
        classes.validate();
    }

    @Test
    void inNeedABlockOfALargerClassWillDo() {
        tlsf.addRegion(2 * MIB);
        ClassBlocks classes = classes(10, 100, 10);
        classes.take(64 * KIB, 256);
        assertThat(classes.take(KIB, 256))
                .as("all of the heap is slabs of 64 KiB")
                .isEqualTo(Tlsf.NONE);
        assertThat(classes.byteSize(classes.takeLarger(KIB, 256))).isEqualTo(64 * KIB);
    }

    @Test
    void onlyEmptySlabsGoBack() {
        tlsf.addRegion(64 * MIB);
        ClassBlocks classes = classes(10_000, 100, 10);
        int small = classes.take(1, 1);
        int medium = classes.take(5000, 1);
        assertThat(classes.isSlab(classes.node(small))).isTrue();
        assertThat(classes.free(small)).isTrue();
        assertThat(classes.releaseIdle()).isTrue();
        assertThat(classes.reservedBytes()).isEqualTo(2 * MIB);
        assertThat(tlsf.usedBytes()).isEqualTo(2 * MIB);
        assertThat(classes.releaseIdle()).isFalse();
        assertThat(classes.free(medium)).isTrue();
        assertThat(classes.releaseIdle()).isTrue();
        assertThat(tlsf.usedBytes() + classes.reservedBytes() + classes.usedBytes())
                .isZero();
        assertThat(classes.slabCount()).isZero();
        classes.validate();
    }

    @Test
    void manyRandomStepsKeepTheBooks() {
        tlsf.addRegion(32 * MIB);
        ClassBlocks classes = classes(6000, 100, 12);
        SplittableRandom random = new SplittableRandom(7);
        List<Integer> open = new ArrayList<>();
        long used = 0;
        for (int step = 0; step < 40_000; step++) {
            int what = random.nextInt(100);
            if (what < 52) {
                int block = classes.take(1 + random.nextLong(1L << (4 + random.nextInt(17))), 256);
                if (block != Tlsf.NONE) {
                    assertThat(ClassBlocks.isBlock(block)).isTrue();
                    assertThat(open).doesNotContain(block);
                    open.add(block);
                    used += classes.byteSize(block);
                }
            } else if (what < 99 && !open.isEmpty()) {
                int block = open.remove(random.nextInt(open.size()));
                used -= classes.byteSize(block);
                classes.free(block);
            } else {
                classes.releaseIdle();
            }
            assertThat(classes.usedBytes()).isEqualTo(used);
            assertThat(classes.blocksInUse()).isEqualTo(open.size());
            if (step % 500 == 0) {
                classes.validate();
                tlsf.validate();
                assertThat(tlsf.usedBytes()).isEqualTo(classes.reservedBytes());
            }
        }
        open.forEach(classes::free);
        classes.releaseIdle();
        assertThat(tlsf.usedBytes()).isZero();
    }
}
