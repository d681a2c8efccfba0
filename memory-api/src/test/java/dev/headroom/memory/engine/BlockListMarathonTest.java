package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.CellMap.FREE;
import static dev.headroom.memory.engine.CellMap.USED;
import static dev.headroom.memory.engine.CellMap.require;
import static dev.headroom.memory.engine.CellMap.requireSame;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The book of a heap with the cache in front, against a map of its granules. After each step: nothing overlaps, whatever is at
 * hand; nothing is refused that fits once what is at hand is joined; and the figures add up, the cache's within its bound.
 */
class BlockListMarathonTest {

    private static final int GRANULE = 256;
    private static final int MOST_BLOCKS = 8;
    private static final int CELLS = 4096;
    private static final long BLOCK_BYTES = (long) CELLS * GRANULE;
    private static final int MOST_LIVE = 2048;

    @Test
    void agreesWithAMap() {
        Marathon.run(300_000, Course::new);
    }

    @Test
    @Tag("long")
    void agreesWithAMapForLong() {
        Marathon.run(30_000_000, Course::new);
    }

    /** The proof that a course sees anything. */
    @Test
    void noticesMemoryThatComesBackTwice() {
        assertThatThrownBy(() -> Marathon.run(100_000, random -> new Course(random) {
                    private int frees;

                    @Override
                    void freed(int name) {
                        super.freed(name);
                        if (++frees == 5000) {
                            super.freed(name);
                        }
                    }
                }))
                .hasMessageContaining("repeat with -Dheadroom.seed=1 -Dheadroom.steps=")
                .isInstanceOf(AssertionError.class);
    }

    /**
     * A block of a driver that does nothing.
     *
     * @param region which region of the map it is
     */
    private record Block(int region) implements DriverBlock {
        @Override
        public long byteSize() {
            return BLOCK_BYTES;
        }

        @Override
        public MemoryKind kind() {
            return MemoryKind.DEVICE;
        }
    }

    private static class Course implements Marathon.Runner {
        private final PoolCounters counters = new PoolCounters(() -> 0);
        private final BlockList.Cached cached;
        private final BlockList book;
        private final CellMap map = new CellMap(GRANULE);
        private final int[] live = new int[MOST_LIVE];
        private final int[] homes = new int[MOST_LIVE];
        private final long[] offsets = new long[MOST_LIVE];
        private final long[] sizes = new long[MOST_LIVE];
        private final long[] favourites = new long[8];
        private int count;
        private long served;

        Course(SplittableRandom random) {
            // Small enough for the bound to be met, large enough for hits.
            cached = new BlockList.Cached((64L << random.nextInt(6)) * 1024, 1 + random.nextInt(16));
            book = new BlockList(counters, GRANULE, GRANULE, cached);
            for (int i = 0; i < favourites.length; i++) {
                favourites[i] = 1 + random.nextLong((long) GRANULE << random.nextInt(9));
            }
        }

        void freed(int name) {
            book.free(name);
        }

        @Override
        public void step(SplittableRandom random) {
            int what = random.nextInt(10_000);
            if (what == 0) {
                giveBack(random);
            } else if (what < 3) {
                boolean ignored = book.drain();
            } else if (what < 5) {
                while (count > 0) {
                    free(count - 1);
                }
            } else if (count == 0 || (random.nextInt(100) < 52 && count < MOST_LIVE)) {
                allocate(random);
            } else {
                // Mostly the newest, as programs do, so that sizes come and go.
                free(random.nextInt(3) == 0 ? random.nextInt(count) : count - 1);
            }
            if (what % 64 == 0) {
                checkFigures();
            }
        }

        private void allocate(SplittableRandom random) {
            long bytes = random.nextInt(8) == 0
                    ? 1 + random.nextLong((long) GRANULE << random.nextInt(10))
                    : favourites[random.nextInt(favourites.length)];
            long alignment = random.nextInt(16) == 0 ? 1L << random.nextInt(15) : GRANULE;
            int name = book.hit(bytes, alignment);
            if (name == Tlsf.NONE) {
                name = book.hitAnywhere(bytes, alignment);
            }
            if (name == Tlsf.NONE) {
                require(!map.fits(bytes, alignment), bytes + " bytes at " + alignment + " were refused and fit");
                if (map.count() < MOST_BLOCKS) {
                    int region = 0;
                    while (region < map.count() && map.region(region) == region) {
                        region++; // the first that is not there
                    }
                    map.add(region, CELLS, FREE);
                    name = book.addBlock(new Block(region), BLOCK_BYTES, bytes, alignment);
                    require(name != Tlsf.NONE, "a new block did not serve " + bytes);
                }
            }
            if (name == Tlsf.NONE) {
                while (count > MOST_LIVE / 4) {
                    free(random.nextInt(count));
                }
                return;
            }
            served++;
            taken(name, bytes, alignment);
        }

        private void taken(int name, long bytes, long alignment) {
            long offset = book.byteOffset(name);
            long size = book.byteSize(name);
            int region = ((Block) book.memory(name)).region();
            requireSame("byteSize", size, (bytes + GRANULE - 1) / GRANULE * GRANULE);
            requireSame("what is over the alignment", offset % alignment, 0);
            map.change(region, offset, size, FREE, USED);
            live[count] = name;
            homes[count] = region;
            offsets[count] = offset;
            sizes[count++] = size;
        }

        private void free(int index) {
            requireStill(index);
            map.change(homes[index], offsets[index], sizes[index], USED, FREE);
            int name = live[index];
            count--;
            live[index] = live[count];
            homes[index] = homes[count];
            offsets[index] = offsets[count];
            sizes[index] = sizes[count];
            freed(name);
        }

        private void requireStill(int index) {
            requireSame("byteOffset", book.byteOffset(live[index]), offsets[index]);
            requireSame("byteSize", book.byteSize(live[index]), sizes[index]);
            requireSame("block", ((Block) book.memory(live[index])).region(), homes[index]);
        }

        /** Idle blocks go back to the driver, what is at hand in them too; they must be idle by the map. */
        private void giveBack(SplittableRandom random) {
            long wanted = random.nextInt(3) * BLOCK_BYTES;
            long gone = 0;
            for (BlockList.Owned owned : book.detachIdleBlocks(wanted, IdleAges.Due.ANY)) {
                map.remove(((Block) owned.memory()).region());
                gone += owned.heldBytes();
            }
            require(gone <= Math.max(wanted, 0), gone + " bytes were given back, " + wanted + " were wanted");
        }

        private void checkFigures() {
            BlockList.Figures figures = book.figures();
            requireSame("usedBytes", figures.usedBytes(), map.usedBytes());
            requireSame("freeBytes", figures.freeBytes(), map.freeBytes());
            requireSame("blockBytes", figures.blockBytes(), map.usedBytes() + map.freeBytes());
            requireSame("buffers", figures.buffers(), count);
            requireSame("blocks", figures.blocks(), map.count());
            require(figures.cachedBytes() <= cached.mostBytes(), figures + " has more at hand than " + cached);
            requireSame("requests served", counters.hits + counters.misses + book.cacheHits(), served);
        }

        @Override
        public void checkAll() {
            book.validate();
            checkFigures();
            for (int i = 0; i < count; i++) {
                requireStill(i);
            }
            boolean ignored = book.drain();
            BlockList.Figures figures = book.figures();
            requireSame("what is at hand", figures.cachedBytes(), 0);
            requireSame("largestFree", figures.largestFree(), map.runs(FREE)[1]);
        }
    }
}
