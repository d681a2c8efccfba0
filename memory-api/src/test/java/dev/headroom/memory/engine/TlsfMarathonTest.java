package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.CellMap.FREE;
import static dev.headroom.memory.engine.CellMap.HOLE;
import static dev.headroom.memory.engine.CellMap.USED;
import static dev.headroom.memory.engine.CellMap.require;
import static dev.headroom.memory.engine.CellMap.requireSame;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The core against a map of its granules. After each step: nothing overlaps, alignment is kept, neighbours are merged, nothing is
 * refused that fits, sums agree. Less than {@link TlsfModelTest} looks at, and many times as fast.
 */
class TlsfMarathonTest {

    private static final int GRANULE = 256;
    private static final int MOST_REGIONS = 6;
    private static final int MOST_CELLS = 2048;
    private static final int MOST_LIVE = 4096;

    @Test
    void agreesWithAMap() {
        Marathon.run(300_000, Course::new);
    }

    @Test
    @Tag("long")
    void agreesWithAMapForLong() {
        Marathon.run(60_000_000, Course::new);
    }

    /** The proof that a course sees anything. */
    @Test
    void noticesAnAllocatorThatForgetsAFree() {
        assertThatThrownBy(() -> Marathon.run(100_000, random -> new Course(random) {
                    private int frees;

                    @Override
                    long freed(int node) {
                        return ++frees == 1000 ? tlsf.byteSize(node) : super.freed(node);
                    }
                }))
                .hasMessageContaining("repeat with -Dheadroom.seed=1 -Dheadroom.steps=")
                .isInstanceOf(AssertionError.class);
    }

    private static class Course implements Marathon.Runner {
        final Tlsf tlsf = new Tlsf(GRANULE);
        private final CellMap map = new CellMap(GRANULE);
        private final int[] live = new int[MOST_LIVE];
        private final int[] homes = new int[MOST_LIVE];
        private final long[] offsets = new long[MOST_LIVE];
        private final int largestBits;
        private int count;
        private boolean filling = true;

        Course(SplittableRandom random) {
            largestBits = 3 + random.nextInt(6);
        }

        long freed(int node) {
            return tlsf.free(node);
        }

        @Override
        public void step(SplittableRandom random) {
            int what = random.nextInt(1000);
            if (map.count() == 0 || (what < 2 && map.count() < MOST_REGIONS)) {
                addRegion(random);
            } else if (what < 3) {
                removeRegion(map.region(random.nextInt(map.count())));
            } else if (what < 8) {
                convert(random, HOLE, FREE);
            } else if (what < 12) {
                convert(random, FREE, HOLE);
            } else {
                if (random.nextInt(2000) == 0) {
                    filling = !filling;
                }
                boolean allocates = random.nextInt(100) < (filling ? 60 : 40);
                if (count == 0 || (allocates && count < MOST_LIVE)) {
                    allocate(random);
                } else {
                    free(random.nextInt(count));
                }
            }
            requireSame("usedBytes", tlsf.usedBytes(), map.usedBytes());
            requireSame("freeBytes", tlsf.freeBytes(), map.freeBytes());
        }

        private void addRegion(SplittableRandom random) {
            int cells = 32 + random.nextInt(MOST_CELLS);
            boolean reserved = random.nextBoolean();
            long size = (long) cells * GRANULE;
            int region = reserved ? tlsf.addReservedRegion(size) : tlsf.addRegion(size);
            map.add(region, cells, reserved ? HOLE : FREE);
        }

        private void removeRegion(int region) {
            boolean inUse = tlsf.regionUsedBytes(region) > 0;
            requireSame("isRegionFree", tlsf.isRegionFree(region) ? 1 : 0, inUse ? 0 : 1);
            if (!inUse) {
                tlsf.removeRegion(region);
                map.remove(region);
            }
        }

        private void convert(SplittableRandom random, byte from, byte to) {
            int region = map.region(random.nextInt(map.count()));
            int cell = random.nextInt(map.cells(region));
            int cells = map.run(region, cell, from, 1 + random.nextInt(512));
            if (cells > 0) {
                long offset = (long) cell * GRANULE;
                long size = (long) cells * GRANULE;
                if (to == FREE) {
                    tlsf.commit(region, offset, size);
                } else {
                    tlsf.decommit(region, offset, size);
                }
                map.change(region, offset, size, from, to);
            }
        }

        private void allocate(SplittableRandom random) {
            long bytes = 1 + random.nextLong((long) GRANULE << random.nextInt(largestBits));
            long alignment = random.nextInt(4) == 0 ? 1L << random.nextInt(15) : 1;
            int node = tlsf.allocate(bytes, alignment);
            if (node == Tlsf.NONE) {
                require(!map.fits(bytes, alignment), bytes + " bytes at " + alignment + " were refused and fit");
                filling = false;
                return;
            }
            long offset = tlsf.offset(node);
            requireSame("byteSize", tlsf.byteSize(node), (bytes + GRANULE - 1) / GRANULE * GRANULE);
            requireSame("what is over the alignment", offset % alignment, 0);
            map.change(tlsf.region(node), offset, tlsf.byteSize(node), FREE, USED);
            live[count] = node;
            homes[count] = tlsf.region(node);
            offsets[count++] = offset;
        }

        private void free(int index) {
            int node = live[index];
            requireSame("region", tlsf.region(node), homes[index]);
            requireSame("offset", tlsf.offset(node), offsets[index]);
            map.change(homes[index], offsets[index], tlsf.byteSize(node), USED, FREE);
            requireSame("what was merged", freed(node), map.freeAround(homes[index], offsets[index]));
            count--;
            live[index] = live[count];
            homes[index] = homes[count];
            offsets[index] = offsets[count];
        }

        @Override
        public void checkAll() {
            tlsf.validate();
            long[] free = map.runs(FREE);
            requireSame("freeRangeCount", tlsf.freeRangeCount(), free[0]);
            requireSame("largestFree", tlsf.largestFree(), free[1]);
            requireSame("holeCount", tlsf.holeCount(), map.runs(HOLE)[0]);
            requireSame("allocationCount", tlsf.allocationCount(), count);
            requireSame("regionCount", tlsf.regionCount(), map.count());
            for (int i = 0; i < count; i++) {
                requireSame("region", tlsf.region(live[i]), homes[i]);
                requireSame("offset", tlsf.offset(live[i]), offsets[i]);
            }
        }
    }
}
