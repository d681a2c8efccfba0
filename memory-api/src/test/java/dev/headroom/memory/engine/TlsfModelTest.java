package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import com.google.common.collect.ContiguousSet;
import com.google.common.collect.DiscreteDomain;
import com.google.common.collect.Range;
import com.google.common.collect.RangeSet;
import com.google.common.collect.TreeRangeSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Runs random steps against {@link Tlsf} and a model made of range sets. A step is two random numbers that mean something in
 * any state, so a failing trace can be cut down to the few steps that matter.
 */
class TlsfModelTest {
    private static final int STEPS = 250_000;
    private static final int VALIDATE_EACH = 2_000;
    private static final int VALIDATE_EVERY = 10_000;
    private static final long PAGE = 4096;

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void agreesWithTheModel(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        long[] trace = random.longs(2L * STEPS).toArray();
        Failure failure = run(trace, Model::new);
        if (failure != null) {
            fail(
                    "seed " + seed + ", step " + failure.step + ":\n" + describe(shrink(trace, failure, Model::new)),
                    failure.cause);
        }
    }

    /** The proof that the model sees anything, and that a failing trace becomes a short one. */
    @Test
    void noticesAMissedFitAndShrinksTheTrace() {
        long[] trace = new SplittableRandom(5).longs(40_000).toArray();
        ModelFactory forgetful = () -> new Model() {
            @Override
            int allocate(long bytes, long alignment) {
                return bytes > 30_000 && tlsf.allocationCount() > 3 ? Tlsf.NONE : super.allocate(bytes, alignment);
            }
        };
        Failure failure = run(trace, forgetful);
        assertThat(failure).isNotNull();
        assertThat(shrink(trace, failure, forgetful).length / 2).isBetween(5, 8);
    }

    @Test
    void findsTheCheapestGrowth() {
        for (long seed = 0; seed < 3_000; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            long page = 16;
            long end = 16 * page;
            Tlsf tlsf = new Tlsf(1);
            int region = tlsf.addReservedRegion(end);
            boolean[] hole = new boolean[(int) end];
            boolean[] used = new boolean[(int) end];
            Arrays.fill(hole, true);
            for (long p = 0; p < end; p += page) {
                if (random.nextInt(2) == 0) {
                    tlsf.commit(region, p, page);
                    Arrays.fill(hole, (int) p, (int) (p + page), false);
                }
            }
            for (int i = random.nextInt(6); i > 0; i--) {
                int node = tlsf.allocate(1 + random.nextInt(20), 1L << random.nextInt(4));
                if (node >= 0) {
                    Arrays.fill(used, (int) tlsf.offset(node), (int) (tlsf.offset(node) + tlsf.byteSize(node)), true);
                }
            }
            long bytes = 1 + random.nextInt(120);
            long alignment = 1L << random.nextInt(7);
            if (tlsf.allocate(bytes, alignment) != Tlsf.NONE) {
                continue;
            }
            long cheapest = Long.MAX_VALUE;
            for (long start = 0; start + bytes <= end; start += alignment) {
                Set<Long> pages = new HashSet<>();
                boolean blocked = false;
                for (int at = (int) start; at < start + bytes; at++) {
                    blocked |= used[at];
                    if (hole[at]) {
                        pages.add(at / page);
                    }
                }
                cheapest = blocked ? cheapest : Math.min(cheapest, pages.size() * page);
            }
            Tlsf.Growth growth = tlsf.findGrowth(bytes, alignment, page);
            assertThat(growth == null ? Long.MAX_VALUE : growth.missingBytes())
                    .as("seed %d, %d bytes at %d", seed, bytes, alignment)
                    .isEqualTo(cheapest);
        }
    }

    private interface ModelFactory {
        Model create();
    }

    private record Failure(int step, Throwable cause) {}

    private static @Nullable Failure run(long[] trace, ModelFactory factory) {
        Model model = factory.create();
        for (int step = 0; step < trace.length / 2; step++) {
            try {
                model.step(trace[2 * step], trace[2 * step + 1]);
                if (step < VALIDATE_EACH || step % VALIDATE_EVERY == 0) {
                    model.compareAll();
                }
            } catch (RuntimeException | AssertionError e) {
                return new Failure(step, e);
            }
        }
        return null;
    }

    /** Leaves out ever smaller pieces for as long as what remains still fails. */
    private static long[] shrink(long[] trace, Failure failure, ModelFactory factory) {
        long[] best = Arrays.copyOf(trace, 2 * (failure.step + 1));
        for (int piece = Integer.highestOneBit(Math.max(1, best.length / 4)); piece > 0; piece /= 2) {
            for (int at = 0; at + piece <= best.length / 2; ) {
                long[] shorter = new long[best.length - 2 * piece];
                System.arraycopy(best, 0, shorter, 0, 2 * at);
                System.arraycopy(best, 2 * (at + piece), shorter, 2 * at, best.length - 2 * (at + piece));
                Failure again = run(shorter, factory);
                if (again == null) {
                    at += piece;
                } else {
                    best = Arrays.copyOf(shorter, 2 * (again.step + 1));
                }
            }
        }
        return best;
    }

    private static String describe(long[] trace) {
        StringBuilder text = new StringBuilder("smallest failing trace: ");
        for (int i = 0; i < Math.min(trace.length, 100); i += 2) {
            text.append('\n')
                    .append(trace[i])
                    .append("L, ")
                    .append(trace[i + 1])
                    .append("L,");
        }
        return text.toString();
    }

    /** What the allocator should hold, kept the slow way. */
    private static class Model {
        final Tlsf tlsf = new Tlsf();
        private final Map<Integer, RangeSet<Long>> free = new TreeMap<>();
        private final Map<Integer, RangeSet<Long>> holes = new TreeMap<>();
        private final Map<Integer, Long> sizes = new TreeMap<>();
        private final List<long[]> live = new ArrayList<>();
        private long used;

        int allocate(long bytes, long alignment) {
            return tlsf.allocate(bytes, alignment);
        }

        void step(long what, long argument) {
            long choice = (what >>> 1) % 1000;
            long number = argument >>> 1;
            if (free.isEmpty() || (choice < 4 && free.size() < 8)) {
                addRegion(number);
            } else if (choice < 8) {
                removeRegion(number);
            } else if (choice < 20) {
                decommit(number);
            } else if (choice < 30) {
                commit(number);
            } else if (choice == 30 && number % 20 == 0) {
                while (!live.isEmpty()) {
                    free(live.size() - 1);
                }
            } else if (choice < (number % 7 == 0 ? 400 : 510) && !live.isEmpty()) {
                free((int) (number % live.size()));
            } else {
                request(number);
            }
            assertThat(tlsf.usedBytes()).isEqualTo(used);
        }

        private void addRegion(long number) {
            long size = PAGE * (1 + number % 500);
            boolean reserved = (number >>> 20) % 2 == 0;
            int region = reserved ? tlsf.addReservedRegion(size) : tlsf.addRegion(size);
            assertThat(sizes).doesNotContainKey(region);
            sizes.put(region, size);
            free.put(region, TreeRangeSet.create());
            holes.put(region, TreeRangeSet.create());
            (reserved ? holes : free).get(region).add(Range.closedOpen(0L, size));
        }

        private void removeRegion(long number) {
            int region = anyRegion(number);
            boolean inUse = live.stream().anyMatch(block -> block[1] == region);
            assertThat(tlsf.isRegionFree(region)).isEqualTo(!inUse);
            if (inUse) {
                try {
                    tlsf.removeRegion(region);
                    fail("region in use was removed");
                } catch (IllegalStateException expected) {
                    assertThat(expected).hasMessageContaining("region " + region + " still holds");
                }
                return;
            }
            tlsf.removeRegion(region);
            sizes.remove(region);
            free.remove(region);
            holes.remove(region);
        }

        private void commit(long number) {
            int region = anyRegion(number);
            move(region, number >>> 8, holes, free, tlsf::commit);
        }

        private void decommit(long number) {
            int region = anyRegion(number);
            move(region, number >>> 8, free, holes, tlsf::decommit);
        }

        private interface Move {
            void apply(int region, long byteOffset, long byteSize);
        }

        private void move(
                int region,
                long number,
                Map<Integer, RangeSet<Long>> from,
                Map<Integer, RangeSet<Long>> to,
                Move move) {
            List<Range<Long>> ranges = new ArrayList<>(from.get(region).asRanges());
            if (ranges.isEmpty()) {
                return;
            }
            Range<Long> range = ranges.get((int) (number % ranges.size()));
            // Mostly whole pages, now and then any granules.
            long unit = (number >>> 40) % 10 == 0 ? 256 : PAGE;
            long start = (range.lowerEndpoint() + unit - 1) / unit * unit;
            long units = (range.upperEndpoint() - start) / unit;
            if (units <= 0) {
                return;
            }
            long skip = (number >>> 10) % units;
            long size = unit * (1 + (number >>> 20) % (units - skip));
            start += skip * unit;
            move.apply(region, start, size);
            from.get(region).remove(Range.closedOpen(start, start + size));
            to.get(region).add(Range.closedOpen(start, start + size));
        }

        private int anyRegion(long number) {
            List<Integer> regions = new ArrayList<>(free.keySet());
            return regions.get((int) (number % regions.size()));
        }

        private void free(int index) {
            long[] block = live.get(index);
            live.set(index, live.getLast());
            live.removeLast();
            long merged = tlsf.free((int) block[0]);
            assertThat(tlsf.isAllocated((int) block[0])).isFalse();
            free.get((int) block[1]).add(Range.closedOpen(block[2], block[2] + block[3]));
            Range<Long> around = free.get((int) block[1]).rangeContaining(block[2]);
            assertThat(merged).isEqualTo(around.upperEndpoint() - around.lowerEndpoint());
            used -= block[3];
        }

        private void request(long number) {
            long bytes = 1 + ((number >>> 30) & ((1L << (1 + number % 17)) - 1));
            long alignment = (number >>> 8) % 4 == 0 ? 1L << ((number >>> 12) % 22) : 1;
            int node = allocate(bytes, alignment);
            if (node == Tlsf.NONE) {
                long size = (bytes + 255) & -256;
                free.forEach((region, ranges) -> assertThat(fits(ranges, size, alignment))
                        .as("%d bytes aligned to %d fit into region %d", size, alignment, region)
                        .isFalse());
                if ((number >>> 50) % 8 == 0) {
                    grow(bytes, size, alignment);
                }
                return;
            }
            taken(node, bytes, alignment);
        }

        private void grow(long bytes, long size, long alignment) {
            boolean possible = false;
            for (int region : free.keySet()) {
                RangeSet<Long> both = TreeRangeSet.create(free.get(region));
                both.addAll(holes.get(region));
                possible |= fits(both, size, alignment);
            }
            Tlsf.Growth growth = tlsf.findGrowth(bytes, alignment, PAGE);
            assertThat(growth != null)
                    .as("growth for %d at %d", size, alignment)
                    .isEqualTo(possible);
            if (growth == null) {
                return;
            }
            List<long[]> parts = new ArrayList<>();
            tlsf.forEachHole(
                    growth.region(),
                    growth.byteOffset(),
                    growth.byteSize(),
                    (region, offset, part) -> parts.add(new long[] {offset, part}));
            long missing = 0;
            for (long[] part : parts) {
                tlsf.commit(growth.region(), part[0], part[1]);
                Range<Long> range = Range.closedOpen(part[0], part[0] + part[1]);
                assertThat(holes.get(growth.region()).encloses(range)).isTrue();
                holes.get(growth.region()).remove(range);
                free.get(growth.region()).add(range);
                missing += part[1];
            }
            assertThat(missing).isEqualTo(growth.missingBytes());
            int node = allocate(bytes, alignment);
            assertThat(node).isNotEqualTo(Tlsf.NONE);
            taken(node, bytes, alignment);
        }

        private void taken(int node, long bytes, long alignment) {
            int region = tlsf.region(node);
            long offset = tlsf.offset(node);
            long size = tlsf.byteSize(node);
            if (size != ((bytes + 255) & -256) || offset % alignment != 0) {
                fail("%d bytes at %d for a request of %d aligned to %d", size, offset, bytes, alignment);
            }
            Range<Long> range = Range.closedOpen(offset, offset + size);
            if (!free.get(region).encloses(range)) {
                fail("%s of region %d was not free", range, region);
            }
            free.get(region).remove(range);
            live.add(new long[] {node, region, offset, size});
            used += size;
        }

        private static boolean fits(RangeSet<Long> ranges, long size, long alignment) {
            for (Range<Long> range : ranges.asRanges()) {
                long start = (range.lowerEndpoint() + alignment - 1) & -alignment;
                if (start + size <= range.upperEndpoint()) {
                    return true;
                }
            }
            return false;
        }

        void compareAll() {
            tlsf.validate();
            assertThat(tlsf.capacity())
                    .isEqualTo(sizes.values().stream().mapToLong(x -> x).sum());
            assertThat(tlsf.regionCount()).isEqualTo(sizes.size());
            assertThat(tlsf.allocationCount()).isEqualTo(live.size());
            assertThat(tlsf.freeRangeCount())
                    .isEqualTo(free.values().stream()
                            .mapToInt(x -> x.asRanges().size())
                            .sum());
            assertThat(tlsf.holeCount())
                    .isEqualTo(holes.values().stream()
                            .mapToInt(x -> x.asRanges().size())
                            .sum());
            assertThat(tlsf.largestFree())
                    .isEqualTo(free.values().stream()
                            .flatMap(x -> x.asRanges().stream())
                            .mapToLong(x -> x.upperEndpoint() - x.lowerEndpoint())
                            .max()
                            .orElse(0));
            Map<Integer, RangeSet<Long>> seenFree = new TreeMap<>();
            Map<Integer, RangeSet<Long>> seenHoles = new TreeMap<>();
            sizes.keySet().forEach(region -> {
                seenFree.put(region, TreeRangeSet.create());
                seenHoles.put(region, TreeRangeSet.create());
            });
            tlsf.forEachFreeRange(
                    0, (region, offset, size) -> seenFree.get(region).add(Range.closedOpen(offset, offset + size)));
            tlsf.forEachHole(
                    (region, offset, size) -> seenHoles.get(region).add(Range.closedOpen(offset, offset + size)));
            assertThat(seenFree).isEqualTo(free);
            assertThat(seenHoles).isEqualTo(holes);
            Set<List<Long>> seenUsed = new HashSet<>();
            tlsf.forEachAllocation((region, offset, size) -> seenUsed.add(List.of((long) region, offset, size)));
            assertThat(seenUsed).hasSize(live.size());
            for (long[] block : live) {
                assertThat(seenUsed).contains(List.of(block[1], block[2], block[3]));
            }
            comparePages();
            compareSteps();
        }

        /** A walk in steps sees every allocation by its node, and every free range. */
        private void compareSteps() {
            Map<Integer, Long> seen = new TreeMap<>();
            long[] freeBytes = {0};
            for (int from = 0; from != Tlsf.NONE; ) {
                from = tlsf.visitNodes(from, 7, (node, used, size) -> {
                    freeBytes[0] += used ? 0 : size;
                    assertThat(used ? seen.put(node, size) : null).isNull();
                });
            }
            Map<Integer, Long> expected = new TreeMap<>();
            live.forEach(block -> expected.put((int) block[0], block[3]));
            assertThat(seen).isEqualTo(expected);
            assertThat(freeBytes[0]).isEqualTo(tlsf.freeBytes());
        }

        /** Every wholly free page is in exactly one run, and nothing else is. */
        private void comparePages() {
            Set<List<Long>> expected = new HashSet<>();
            free.forEach((region, ranges) -> {
                for (Range<Long> range : ranges.asRanges()) {
                    long from = (range.lowerEndpoint() + PAGE - 1) / PAGE;
                    long to = range.upperEndpoint() / PAGE;
                    if (from < to) {
                        ContiguousSet.create(Range.closedOpen(from, to), DiscreteDomain.longs())
                                .forEach(page -> expected.add(List.of((long) region, page)));
                    }
                }
            });
            Set<List<Long>> seen = new HashSet<>();
            tlsf.forEachFreePageRun(PAGE, (region, offset, size) -> {
                for (long at = offset; at < offset + size; at += PAGE) {
                    assertThat(seen.add(List.of((long) region, at / PAGE))).isTrue();
                }
            });
            assertThat(seen).isEqualTo(expected);
        }
    }
}
