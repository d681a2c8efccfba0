package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class RangeAllocatorTest {
    @Test
    void theExampleOfTheDocumentation() {
        RangeAllocator ranges = RangeAllocator.of(64L << 20);
        long weights = ranges.allocate(10_000_000, 4096);
        if (weights == RangeAllocator.NONE) {
            throw new IllegalStateException("largest free range: " + ranges.largestFreeBytes());
        }
        long start = ranges.offset(weights);
        assertThat(start % 4096).isZero();
        assertThat(ranges.byteSize(weights)).isEqualTo(10_000_128);
        ranges.free(weights);
        assertThat(ranges.usedBytes()).isZero();
        assertThat(ranges.freeBytes()).isEqualTo(64L << 20);
    }

    @Test
    void countsAndFragmentation() {
        RangeAllocator ranges = RangeAllocator.of(1000, 1);
        assertThat(ranges.granule()).isEqualTo(1);
        assertThat(ranges.fragmentation()).isZero();
        long a = ranges.allocate(100, 1);
        ranges.allocate(100, 1);
        long c = ranges.allocate(800, 1);
        assertThat(ranges.fragmentation()).isZero();
        assertThat(ranges.freeRangeCount()).isZero();
        assertThat(ranges.allocate(1, 1)).isEqualTo(RangeAllocator.NONE);
        ranges.free(a);
        assertThat(ranges.fragmentation()).isZero();
        ranges.free(c);
        assertThat(ranges.freeRangeCount()).isEqualTo(2);
        assertThat(ranges.largestFreeBytes()).isEqualTo(800);
        assertThat(ranges.fragmentation()).isCloseTo(1.0 / 9, Offset.offset(1e-12));
        assertThat(ranges.allocationCount()).isEqualTo(1);
        assertThat(ranges.capacity()).isEqualTo(ranges.usedBytes() + ranges.freeBytes());
        ranges.validate();
    }

    @Test
    void anIdIsGoodOnce() {
        RangeAllocator ranges = RangeAllocator.of(1 << 20);
        Set<Long> seen = new HashSet<>();
        for (int i = 0; i < 1000; i++) {
            long id = ranges.allocate(1, 1);
            assertThat(id).isNotNegative();
            assertThat(seen.add(id)).isTrue();
            ranges.free(id);
            refused(() -> ranges.free(id), "id " + id + " is not an allocation in use");
            refused(() -> ranges.offset(id), "id " + id + " is not an allocation in use");
            refused(() -> ranges.byteSize(id), "id " + id + " is not an allocation in use");
        }
        long id = ranges.allocate(1, 1);
        for (long never :
                new long[] {RangeAllocator.NONE, Long.MIN_VALUE, Long.MAX_VALUE, id + 1, id + (1L << 32), 0}) {
            refused(() -> ranges.free(never), "id " + never + " is not an allocation in use");
        }
        assertThat(ranges.allocationCount()).isEqualTo(1);
    }

    @Test
    void clearRetiresEveryId() {
        RangeAllocator ranges = RangeAllocator.of(1 << 20);
        SplittableRandom random = new SplittableRandom(11);
        List<Long> old = new ArrayList<>();
        for (int round = 0; round < 5; round++) {
            for (int i = 0; i < 500; i++) {
                long id = ranges.allocate(1 + random.nextInt(1500), 1L << random.nextInt(12));
                if (id != RangeAllocator.NONE) {
                    old.add(id);
                }
            }
            ranges.clear();
            ranges.validate();
            assertThat(ranges.allocationCount()).isZero();
            assertThat(ranges.largestFreeBytes()).isEqualTo(1 << 20);
        }
        long id = ranges.allocate(1, 1);
        for (long stale : old) {
            refused(() -> ranges.free(stale), "id " + stale + " is not an allocation in use");
        }
        assertThat(ranges.offset(id)).isZero();
    }

    @Test
    void refusesBadArgumentsAndChangesNothing() {
        refused(
                () -> RangeAllocator.of(1000),
                "size of the range must be a multiple of the granule 256 from 256 to 140737488355328 bytes: 1000");
        refused(
                () -> RangeAllocator.of(0, 1),
                "size of the range must be a multiple of the granule 1 from 1 to 140737488355328 bytes: 0");
        refused(
                () -> RangeAllocator.of(Long.MAX_VALUE, 1),
                "size of the range must be a multiple of the granule 1 from 1 to 140737488355328 bytes:"
                        + " 9223372036854775807");
        refused(() -> RangeAllocator.of(1000, 3), "granule must be a power of two from 1 to 1073741824: 3");
        RangeAllocator ranges = RangeAllocator.of(RangeAllocator.MAX_BYTES);
        refused(() -> ranges.allocate(0, 1), "size must be 1 to 9223372036854775807 bytes: 0");
        refused(() -> ranges.allocate(-5, 1), "size must be 1 to 9223372036854775807 bytes: -5");
        refused(() -> ranges.allocate(1, 12), "alignment must be a power of two from 1 to 2^62: 12");
        assertThat(ranges.allocate(Long.MAX_VALUE, 1)).isEqualTo(RangeAllocator.NONE);
        assertThat(ranges.usedBytes()).isZero();
        ranges.validate();
    }

    private static void refused(ThrowingCallable call, String message) {
        assertThatIllegalArgumentException().isThrownBy(call).withMessage(message);
    }
}
