package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BufferCacheTest {

    private static final long KIB = 1024;
    private static final long MIB = 1L << 20;

    private final BufferCache cache = new BufferCache(1, 64 * MIB, 13);

    @Test
    void aSizeFreedTwiceInARowIsKept() {
        assertThat(cache.put(7, 4 * KIB)).as("the first is only noted").isEqualTo(7);
        assertThat(cache.put(8, 4 * KIB)).isEqualTo(BufferCache.NONE);
        assertThat(cache.byteSize()).isEqualTo(4 * KIB);
        assertThat(cache.entries()).isEqualTo(1);
        assertThat(cache.take(4 * KIB)).isEqualTo(8);
        assertThat(cache.hits()).isEqualTo(1);
        assertThat(cache.byteSize()).isZero();
        assertThat(cache.take(4 * KIB)).as("it is gone").isEqualTo(BufferCache.NONE);
        assertThat(cache.hits()).as("a miss is no hit").isEqualTo(1);
    }

    @Test
    void onlyTheExactSizeIsServed() {
        keep(8, 4 * KIB);
        assertThat(cache.take(4 * KIB - 256)).isEqualTo(BufferCache.NONE);
        assertThat(cache.take(4 * KIB + 256)).isEqualTo(BufferCache.NONE);
        assertThat(cache.take(4 * KIB)).isEqualTo(8);
    }

    @Test
    void theLastFreedComesFirst() {
        keep(1, KIB);
        cache.put(2, KIB);
        cache.put(3, KIB);
        assertThat(List.of(cache.take(KIB), cache.take(KIB), cache.take(KIB))).containsExactly(3, 2, 1);
    }

    @Test
    void sizesThatNeverComeAgainPassBy() {
        for (int i = 1; i < 10_000; i++) {
            assertThat(cache.put(i, i * 256L)).isEqualTo(i);
        }
        assertThat(cache.entries()).isZero();
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "4, 4", "5, 5", "6, 6", "16, 16", "61, 61", "1000, 61"})
    void neverMorePiecesOfASizeThanAllowed(int allowed, int expected) {
        BufferCache some = new BufferCache(1, 64 * MIB, allowed);
        some.put(0, KIB);
        int kept = 0;
        for (int i = 1; i < 1000; i++) {
            kept += some.put(i, KIB) == BufferCache.NONE ? 1 : 0;
        }
        assertThat(kept).isEqualTo(expected);
        assertThat(some.entries()).isEqualTo(expected);
        for (int i = expected; i > 0; i--) {
            assertThat(some.take(KIB)).isEqualTo(i);
        }
    }

    @Test
    void neverMoreBytesThanTheBound() {
        BufferCache small = new BufferCache(1, 10 * KIB, 13);
        small.put(1, 4 * KIB);
        assertThat(small.put(2, 4 * KIB)).isEqualTo(BufferCache.NONE);
        assertThat(small.put(3, 4 * KIB)).isEqualTo(BufferCache.NONE);
        assertThat(small.put(4, 4 * KIB)).as("12 KiB are more than 10").isEqualTo(4);
        assertThat(small.byteSize()).isEqualTo(8 * KIB).isLessThanOrEqualTo(small.mostBytes());
    }

    /** A loop over one large size is served; several large pieces would split too much of the book. */
    @Test
    void aLargePieceIsKeptAloneAndGivesWay() {
        BufferCache some = new BufferCache(1, 64 * MIB, 13);
        some.put(1, 16 * MIB);
        assertThat(some.put(1, 16 * MIB)).isEqualTo(BufferCache.NONE);
        assertThat(some.put(2, 16 * MIB)).as("a second one").isEqualTo(2);
        some.put(3, KIB);
        assertThat(some.put(3, KIB)).as("the large one gives way").isEqualTo(1);
        assertThat(some.take(16 * MIB)).isEqualTo(BufferCache.NONE);
        assertThat(some.put(3, KIB)).as("the next small one stays").isEqualTo(BufferCache.NONE);
        assertThat(some.take(KIB)).isEqualTo(3);
        some.put(4, 3 * MIB);
        for (int i = 4; i < 10; i++) {
            assertThat(some.put(i, 3 * MIB)).isEqualTo(i < 6 ? BufferCache.NONE : i);
        }
        assertThat(some.byteSize()).isLessThanOrEqualTo(SizeTable.MOST_CROWD_BYTES);
        some.lockAll();
        some.validate();
        some.unlockAll();
    }

    @Test
    void largeMemoryIsNotKept() {
        cache.put(1, BufferCache.MOST_BUFFER_BYTES + 256);
        assertThat(cache.put(2, BufferCache.MOST_BUFFER_BYTES + 256)).isEqualTo(2);
        cache.put(1, BufferCache.MOST_BUFFER_BYTES);
        assertThat(cache.put(2, BufferCache.MOST_BUFFER_BYTES)).isEqualTo(BufferCache.NONE);
    }

    /** Two sizes that share a place: the one in use stays, the one that is out of use makes room piece by piece. */
    @Test
    void aSizeOutOfUseMakesRoom() {
        long old = KIB;
        long rival = rivalOf(old);
        keep(1, old);
        cache.put(2, old);
        assertThat(cache.put(10, rival)).isEqualTo(10);
        assertThat(cache.take(old)).as("still in use").isEqualTo(2);
        assertThat(cache.put(11, rival)).as("so the rival is only noted again").isEqualTo(11);
        assertThat(cache.put(12, rival)).as("the last of the old size goes").isEqualTo(1);
        assertThat(cache.put(13, rival)).isEqualTo(BufferCache.NONE);
        assertThat(cache.take(old)).isEqualTo(BufferCache.NONE);
        assertThat(cache.take(rival)).isEqualTo(13);
        valid();
    }

    @Test
    void drainShowsEveryPieceOnce() {
        List<Integer> kept = new ArrayList<>();
        for (int size = 1; size <= 20; size++) {
            for (int i = 0; i < 5; i++) {
                int name = size * 100 + i;
                int left = cache.put(name, size * 256L);
                if (left == BufferCache.NONE) {
                    kept.add(name);
                } else if (left != name) {
                    kept.remove((Integer) left);
                }
            }
        }
        List<Integer> seen = new ArrayList<>();
        assertThat(cache.drain((names, count) -> {
                    for (int i = 0; i < count; i++) {
                        seen.add(names[i]);
                    }
                }))
                .isTrue();
        assertThat(seen).hasSizeGreaterThan(20).containsExactlyInAnyOrderElementsOf(kept);
        assertThat(cache.byteSize()).isZero();
        assertThat(cache.drain((_, _) -> {})).as("nothing is left").isFalse();
        valid();
    }

    @Test
    void aClosedCacheKeepsNothing() {
        keep(1, KIB);
        cache.close();
        assertThat(cache.take(KIB)).isEqualTo(BufferCache.NONE);
        for (int i = 2; i < 10; i++) {
            assertThat(cache.put(i, KIB)).isEqualTo(i);
        }
        assertThat(cache.entries()).isZero();
    }

    @Test
    void nobodyWaitsForAStripe() {
        keep(1, KIB);
        cache.lockAll();
        assertThat(cache.take(KIB)).isEqualTo(BufferCache.NONE);
        assertThat(cache.put(2, KIB)).isEqualTo(2);
        cache.unlockAll();
        assertThat(cache.take(KIB)).isEqualTo(1);
    }

    /** Whoever gets a name has it alone: names go round between threads and the cache, and none is lost or doubled. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aNameHasOneOwner(boolean virtualThreads) throws Exception {
        int names = 4096;
        BufferCache shared = new BufferCache(4, 64 * MIB, 13);
        AtomicIntegerArray owned = new AtomicIntegerArray(names);
        List<Callable<Integer>> threads = new ArrayList<>();
        for (int thread = 0; thread < 8; thread++) {
            int id = thread;
            threads.add(() -> goRound(shared, owned, id, names / 8));
        }
        int held = 0;
        try (ExecutorService pool =
                virtualThreads ? Executors.newVirtualThreadPerTaskExecutor() : Executors.newFixedThreadPool(4)) {
            for (Future<Integer> end : pool.invokeAll(threads)) {
                held += end.get();
            }
        }
        BitSet left = new BitSet();
        shared.drain((drained, count) -> {
            for (int i = 0; i < count; i++) {
                assertThat(left.get(drained[i])).isFalse();
                assertThat(owned.get(drained[i])).isZero();
                left.set(drained[i]);
            }
        });
        assertThat(held + left.cardinality()).isEqualTo(names);
        assertThat(shared.hits()).isGreaterThan(1000);
    }

    /** Frees and takes at random; the size of a name is a function of it. Returns how many names it holds at the end. */
    private static int goRound(BufferCache shared, AtomicIntegerArray owned, int id, int count) {
        Random random = new Random(id);
        List<Integer> mine = new ArrayList<>();
        for (int name = id * count; name < (id + 1) * count; name++) {
            owned.set(name, 1);
            mine.add(name);
        }
        for (int step = 0; step < 100_000; step++) {
            if (random.nextBoolean() && !mine.isEmpty()) {
                int name = mine.remove(mine.size() - 1);
                owned.set(name, 0);
                int left = shared.put(name, sizeOf(name));
                if (left != BufferCache.NONE) {
                    take(owned, mine, name);
                }
                if (left != BufferCache.NONE && left != name) {
                    take(owned, mine, left);
                }
            } else {
                int name = shared.take(sizeOf(random.nextInt(64)));
                if (name != BufferCache.NONE) {
                    take(owned, mine, name);
                }
            }
        }
        return mine.size();
    }

    private static void take(AtomicIntegerArray owned, List<Integer> mine, int name) {
        assertThat(owned.getAndSet(name, 1))
                .as("name " + name + " had an owner")
                .isZero();
        mine.add(name);
    }

    private static long sizeOf(int name) {
        return 256L * (1 + name % 16);
    }

    private void keep(int name, long byteSize) {
        cache.put(name, byteSize);
        assertThat(cache.put(name, byteSize)).isEqualTo(BufferCache.NONE);
    }

    private void valid() {
        cache.lockAll();
        cache.validate();
        cache.unlockAll();
    }

    /** A size that shares its place in the table with another: found by trying. */
    private static long rivalOf(long size) {
        for (long other = size + 256; ; other += 256) {
            BufferCache probe = new BufferCache(1, MIB, 13);
            probe.put(1, size);
            probe.put(2, size);
            probe.put(3, other);
            if (probe.put(4, other) == 2) {
                return other;
            }
        }
    }
}
