package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import com.google.common.collect.Range;
import com.google.common.collect.TreeRangeSet;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TlsfTest {
    private static final long MIB = 1L << 20;

    @Test
    void handsOutTheLowEndAndMergesWhatComesBack() {
        Tlsf tlsf = new Tlsf();
        int region = tlsf.addRegion(MIB);
        int a = tlsf.allocate(1, 1);
        int b = tlsf.allocate(256, 256);
        int c = tlsf.allocate(257, 1);
        assertThat(List.of(tlsf.offset(a), tlsf.offset(b), tlsf.offset(c))).containsExactly(0L, 256L, 512L);
        assertThat(List.of(tlsf.byteSize(a), tlsf.byteSize(b), tlsf.byteSize(c)))
                .containsExactly(256L, 256L, 512L);
        assertThat(tlsf.region(c)).isEqualTo(region);
        assertThat(tlsf.usedBytes()).isEqualTo(1024);
        assertThat(tlsf.regionUsedBytes(region)).isEqualTo(1024);
        tlsf.free(a);
        tlsf.free(c);
        assertThat(tlsf.freeRangeCount()).isEqualTo(2);
        tlsf.free(b);
        assertThat(tlsf.freeRangeCount()).isEqualTo(1);
        assertThat(tlsf.largestFree()).isEqualTo(MIB);
        assertThat(tlsf.isRegionFree(region)).isTrue();
        tlsf.validate();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 16, 256, 4096})
    void everyAlignmentIsKeptAndNothingOverlaps(long granule) {
        Tlsf tlsf = new Tlsf(granule);
        tlsf.addRegion(64 * MIB);
        TreeRangeSet<Long> taken = TreeRangeSet.create();
        List<Integer> nodes = new ArrayList<>();
        for (int round = 0; round < 3; round++) {
            for (long alignment = 1; alignment <= 2 * MIB; alignment *= 2) {
                for (long bytes : new long[] {1, 255, 256, 1000, 4097, 70_000}) {
                    int node = tlsf.allocate(bytes, alignment);
                    assertThat(node).isNotEqualTo(Tlsf.NONE);
                    assertThat(tlsf.offset(node) % alignment).isZero();
                    assertThat(tlsf.byteSize(node))
                            .isGreaterThanOrEqualTo(bytes)
                            .isLessThan(bytes + granule);
                    Range<Long> range = Range.closedOpen(tlsf.offset(node), tlsf.offset(node) + tlsf.byteSize(node));
                    assertThat(taken.intersects(range))
                            .as("%s at %d", range, alignment)
                            .isFalse();
                    taken.add(range);
                    nodes.add(node);
                }
                tlsf.validate();
            }
        }
        nodes.forEach(tlsf::free);
        tlsf.validate();
        assertThat(tlsf.largestFree()).isEqualTo(64 * MIB);
    }

    @Test
    void fillsToTheLastGranuleAndRecovers() {
        Tlsf tlsf = new Tlsf();
        tlsf.addRegion(MIB);
        tlsf.addRegion(256);
        List<Integer> nodes = new ArrayList<>();
        for (int node = tlsf.allocate(256, 1); node != Tlsf.NONE; node = tlsf.allocate(256, 1)) {
            nodes.add(node);
        }
        assertThat(nodes).hasSize(4097);
        assertThat(tlsf.freeBytes()).isZero();
        assertThat(tlsf.largestFree()).isZero();
        assertThat(tlsf.freeRangeCount()).isZero();
        tlsf.validate();
        Collections.shuffle(nodes, new Random(1));
        nodes.forEach(tlsf::free);
        tlsf.validate();
        assertThat(tlsf.byteSize(tlsf.allocate(MIB, 1))).isEqualTo(MIB);
    }

    /** The paper rounds a request up to the next bin and would miss all but the largest of these. */
    @Test
    void findsAFitAnywhereInTheRequestsOwnBin() {
        Tlsf tlsf = new Tlsf();
        long[] sizes = {1030 * 256, 1025 * 256, 1040 * 256, 1027 * 256};
        for (long size : sizes) {
            tlsf.addRegion(size);
        }
        assertThat(tlsf.region(tlsf.allocate(1039 * 256, 1))).isEqualTo(2);
        assertThat(tlsf.region(tlsf.allocate(1029 * 256, 1))).isEqualTo(0);
        assertThat(tlsf.allocate(1028 * 256, 1)).isEqualTo(Tlsf.NONE);
        assertThat(tlsf.region(tlsf.allocate(1026 * 256, 1))).isEqualTo(3);
        tlsf.validate();
    }

    @Test
    void findsTheOneAlignedPlace() {
        Tlsf tlsf = new Tlsf();
        tlsf.addRegion(MIB);
        int front = tlsf.allocate(512 * 1024 - 256, 1);
        tlsf.allocate(64 * 1024, 512 * 1024);
        assertThat(tlsf.allocate(MIB / 4, 512 * 1024)).isEqualTo(Tlsf.NONE);
        tlsf.free(front);
        int aligned = tlsf.allocate(512 * 1024, 512 * 1024);
        assertThat(tlsf.offset(aligned)).isZero();
        tlsf.validate();
    }

    @Test
    void oneSearchCoversAllRegionsAndTheirIdsAreReused() {
        Tlsf tlsf = new Tlsf();
        int small = tlsf.addRegion(4096);
        int large = tlsf.addRegion(MIB);
        assertThat(tlsf.region(tlsf.allocate(4096, 1)))
                .as("the smallest sufficient range")
                .isEqualTo(small);
        int node = tlsf.allocate(8192, 1);
        assertThat(tlsf.region(node)).isEqualTo(large);
        tlsf.free(node);
        tlsf.removeRegion(large);
        assertThat(tlsf.allocate(1, 1)).isEqualTo(Tlsf.NONE);
        assertThat(tlsf.capacity()).isEqualTo(4096);
        assertThat(tlsf.addRegion(8192)).isEqualTo(large);
        assertThat(tlsf.regionCount()).isEqualTo(2);
        for (int i = 0; i < 40; i++) {
            assertThat(tlsf.addRegion(256)).isEqualTo(2 + i);
        }
        tlsf.validate();
    }

    @Test
    void commitsAndDecommits() {
        Tlsf tlsf = new Tlsf();
        int region = tlsf.addReservedRegion(MIB);
        assertThat(tlsf.allocate(1, 1)).isEqualTo(Tlsf.NONE);
        assertThat(tlsf.holeBytes()).isEqualTo(MIB);
        tlsf.commit(region, 65536, 65536);
        tlsf.commit(region, 0, 65536);
        assertThat(tlsf.freeRangeCount()).isEqualTo(1);
        assertThat(tlsf.holeCount()).isEqualTo(1);
        tlsf.decommit(region, 32768, 32768);
        assertThat(tlsf.freeRangeCount()).isEqualTo(2);
        assertThat(tlsf.holeCount()).isEqualTo(2);
        tlsf.decommit(region, 65536, 65536);
        assertThat(tlsf.holeCount()).isEqualTo(1);
        assertThat(tlsf.freeBytes()).isEqualTo(32768);
        assertThat(tlsf.regionHoleBytes(region)).isEqualTo(MIB - 32768);
        tlsf.validate();
        tlsf.removeRegion(region);
        assertThat(tlsf.capacity() + tlsf.freeBytes() + tlsf.holeBytes()).isZero();
        tlsf.validate();
    }

    @Test
    void growsOnlyByWhatIsMissing() {
        Tlsf tlsf = new Tlsf();
        int region = tlsf.addReservedRegion(MIB);
        tlsf.commit(region, 0, 65536);
        tlsf.allocate(60_000, 1);
        assertThat(tlsf.findGrowth(8192, 1, 4096)).isEqualTo(new Tlsf.Growth(region, 65536, 4096, 4096));
        assertThat(tlsf.findGrowth(8192, 65536, 4096)).isEqualTo(new Tlsf.Growth(region, 65536, 8192, 8192));
        assertThat(tlsf.findGrowth(1000, 131072, 4096)).isEqualTo(new Tlsf.Growth(region, 131072, 4096, 4096));
        assertThat(tlsf.findGrowth(MIB, 1, 4096)).isNull();
        assertThat(tlsf.findGrowth(Long.MAX_VALUE, 1L << 62, 1L << 62)).isNull();
        int other = tlsf.addReservedRegion(MIB);
        assertThat(tlsf.findGrowth(MIB, 1, 4096)).isEqualTo(new Tlsf.Growth(other, 0, MIB, MIB));
    }

    @Test
    void growsAcrossSeveralHoles() {
        Tlsf tlsf = new Tlsf();
        int region = tlsf.addReservedRegion(6 * 4096);
        tlsf.commit(region, 4096, 4096);
        tlsf.commit(region, 3 * 4096, 4096);
        Tlsf.Growth growth = tlsf.findGrowth(3 * 4096, 1, 4096);
        assertThat(growth).isEqualTo(new Tlsf.Growth(region, 2 * 4096, 4096, 4096));
        growth = tlsf.findGrowth(5 * 4096, 1, 4096);
        assertThat(growth).isEqualTo(new Tlsf.Growth(region, 0, 5 * 4096, 3 * 4096));
        List<Long> parts = new ArrayList<>();
        tlsf.forEachHole(region, 0, 5 * 4096, (where, offset, size) -> parts.add(size));
        assertThat(parts).containsExactlyInAnyOrder(4096L, 4096L, 4096L);
    }

    @Test
    void sizesBeyondAnythingAreNoFit() {
        Tlsf tlsf = new Tlsf();
        tlsf.addRegion(Tlsf.MAX_CAPACITY);
        for (long bytes : new long[] {Long.MAX_VALUE, Long.MAX_VALUE - 255, 1L << 62, Tlsf.MAX_CAPACITY + 1}) {
            assertThat(tlsf.allocate(bytes, 1)).isEqualTo(Tlsf.NONE);
            assertThat(tlsf.allocate(bytes, 1L << 62)).isEqualTo(Tlsf.NONE);
        }
        int whole = tlsf.allocate(Tlsf.MAX_CAPACITY, 1L << 62);
        assertThat(tlsf.byteSize(whole)).isEqualTo(Tlsf.MAX_CAPACITY);
        tlsf.validate();
        tlsf.free(whole);
        assertThat(tlsf.offset(tlsf.allocate(1, 1L << 62))).isZero();
        assertThat(tlsf.allocate(1, 1L << 62)).isEqualTo(Tlsf.NONE);
        assertThat(tlsf.offset(tlsf.allocate(1, 1L << 46))).isEqualTo(1L << 46);
        tlsf.validate();
    }

    @Test
    void countsBeyondAnInt() throws ReflectiveOperationException {
        Tlsf tlsf = new Tlsf();
        tlsf.addRegion(MIB);
        int node = tlsf.allocate(1, 1);
        Field allocations = Tlsf.class.getDeclaredField("allocations");
        allocations.setAccessible(true);
        allocations.setLong(tlsf, Integer.MAX_VALUE);
        tlsf.allocate(1, 1);
        assertThat(tlsf.allocationCount()).isEqualTo(1L << 31);
        tlsf.free(node);
        assertThat(tlsf.allocationCount()).isEqualTo(Integer.MAX_VALUE);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
        0  | 1  | size must be 1 to 9223372036854775807 bytes: 0
        -1 | 1  | size must be 1 to 9223372036854775807 bytes: -1
        1  | 0  | alignment must be a power of two from 1 to 2^62: 0
        1  | 3  | alignment must be a power of two from 1 to 2^62: 3
        1  | -1 | alignment must be a power of two from 1 to 2^62: -1
        1  | -9223372036854775808 | alignment must be a power of two from 1 to 2^62: -9223372036854775808
        """)
    void refusesBadRequests(long bytes, long alignment, String message) {
        Tlsf tlsf = new Tlsf();
        tlsf.addReservedRegion(MIB);
        refused(() -> tlsf.allocate(bytes, alignment), message);
        refused(() -> tlsf.findGrowth(bytes, alignment, 4096), message);
        tlsf.validate();
        assertThat(tlsf.allocationCount()).isZero();
    }

    @Test
    void namesWhatIsWrong() {
        refused(() -> new Tlsf(0), "granule must be a power of two from 1 to 1073741824: 0");
        refused(() -> new Tlsf(48), "granule must be a power of two from 1 to 1073741824: 48");
        refused(() -> new Tlsf(1L << 31), "granule must be a power of two from 1 to 1073741824: 2147483648");
        Tlsf tlsf = new Tlsf();
        refused(
                () -> tlsf.addRegion(1000),
                "region size must be a multiple of 256 from 256 to 140737488355328 bytes: 1000");
        refused(() -> tlsf.addRegion(0), "region size must be a multiple of 256 from 256 to 140737488355328 bytes: 0");
        int region = tlsf.addRegion(4096);
        refused(
                () -> tlsf.addReservedRegion(Tlsf.MAX_CAPACITY),
                "region size must be a multiple of 256 from 256 to 140737488351232 bytes: 140737488355328");
        refused(() -> tlsf.removeRegion(7), "no region 7");
        refused(() -> tlsf.regionUsedBytes(-1), "no region -1");
        int node = tlsf.allocate(1, 1);
        assertThatIllegalStateException()
                .isThrownBy(() -> tlsf.removeRegion(region))
                .withMessage("region 0 still holds 256 bytes in use");
        tlsf.free(node);
        for (int bad : new int[] {node, -1, 99, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
            String message = "node " + bad + " is not an allocation in use";
            refused(() -> tlsf.free(bad), message);
            refused(() -> tlsf.offset(bad), message);
            refused(() -> tlsf.byteSize(bad), message);
            refused(() -> tlsf.region(bad), message);
            assertThat(tlsf.isAllocated(bad)).isFalse();
        }
        refused(() -> tlsf.commit(region, 0, 256), "range of 256 bytes at 0 of region 0 is not inside one hole");
        tlsf.decommit(region, 0, 1024);
        refused(
                () -> tlsf.decommit(region, 768, 512),
                "range of 512 bytes at 768 of region 0 is not inside one free range");
        refused(() -> tlsf.decommit(region, 1, 256), "range of 256 bytes at 1 must be in multiples of 256");
        refused(
                () -> tlsf.decommit(region, 256, Long.MAX_VALUE),
                "range of 9223372036854775807 bytes at 256 must lie in the 4096 bytes of region 0");
        refused(() -> tlsf.findGrowth(1, 1, 128), "page size must be a power of two from 256: 128");
        refused(() -> tlsf.forEachFreePageRun(768, (r, o, s) -> {}), "page size must be a power of two from 256: 768");
        tlsf.validate();
    }

    @Test
    void noMoreThanTheLargestNumberOfRegions() {
        Tlsf tlsf = new Tlsf(1);
        for (int i = 0; i < 3; i++) {
            tlsf.addRegion(1);
        }
        tlsf.removeRegion(1);
        assertThat(tlsf.addRegion(5)).isEqualTo(1);
        assertThat(Tlsf.MAX_REGIONS).isEqualTo(65536);
    }

    /** Damages one field at a time: the walk has to see each. */
    @ParameterizedTest
    @CsvSource({
        "free, free bytes",
        "holeBytes, hole bytes",
        "capacity, capacity",
        "allocations, allocations",
        "holeCount, holes",
        "regionCount, regions",
        "levelMap, is marked wrongly",
        "nodeLimit, nodes: counted"
    })
    void validateNamesTheDamage(String field, String named) throws ReflectiveOperationException {
        Tlsf tlsf = new Tlsf();
        tlsf.addRegion(MIB);
        tlsf.allocate(1, 1);
        Field damaged = Tlsf.class.getDeclaredField(field);
        damaged.setAccessible(true);
        if (damaged.getType() == int.class) {
            damaged.setInt(tlsf, damaged.getInt(tlsf) + 1);
        } else {
            damaged.setLong(tlsf, damaged.getLong(tlsf) + 1);
        }
        assertThatIllegalStateException().isThrownBy(tlsf::validate).withMessageContaining(named);
    }

    @Test
    void validateSeesDamagedRanges() throws ReflectiveOperationException {
        Field field = Tlsf.class.getDeclaredField("words");
        field.setAccessible(true);
        for (int word : new int[] {2, 3, 6, 7, 10, 11}) { // place and size of three nodes
            Tlsf tlsf = new Tlsf();
            tlsf.addRegion(MIB);
            tlsf.allocate(1, 1);
            tlsf.allocate(1, 1);
            ((long[]) field.get(tlsf))[word] += 1024;
            assertThatIllegalStateException().as("word %d", word).isThrownBy(tlsf::validate);
        }
    }

    private static void refused(ThrowingCallable call, String message) {
        assertThatIllegalArgumentException().isThrownBy(call).withMessage(message);
    }
}
