package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * Two threads at one stripe of the cache. Whatever they do, each name of memory has one owner at the end: one of the threads, or
 * the cache; and the cache keeps no more than it may.
 */
final class BufferCacheStress {

    private static final long SIZE = 4096;

    /** A size that shares its place in the table with {@link #SIZE}; found by trying, once. */
    private static final long RIVAL = rivalOf(SIZE);

    private BufferCacheStress() {}

    private static BufferCache cache(int stripes, long mostBytes) {
        return new BufferCache(stripes, mostBytes, 2);
    }

    private static long rivalOf(long size) {
        for (long other = size + 256; ; other += 256) {
            BufferCache probe = cache(1, 1 << 20);
            keep(probe, 1, size);
            int left = probe.put(2, other);
            if (left == 2 && probe.put(2, other) == 1) {
                return other;
            }
        }
    }

    /** Puts a name in; a size is kept only when it comes back. */
    private static void keep(BufferCache cache, int name, long size) {
        for (int round = 0; cache.put(name, size) != BufferCache.NONE; round++) {
            if (round == 8) {
                throw new IllegalStateException("the cache does not keep " + size + " bytes");
            }
        }
    }

    /** The names 1 and 2, and who has them. */
    abstract static class Trial {
        final BufferCache cache;

        // How often each thread has a name: that of name n in the n-th four bits.
        private long mine;
        private long yours;
        private long shown;

        Trial(int stripes, long mostBytes) {
            cache = cache(stripes, mostBytes);
        }

        Trial() {
            this(1, 1 << 20);
        }

        /** The first thread has got what a call returned. */
        final void iHave(int name) {
            mine += owned(name);
        }

        /** The second thread has got what a call returned. */
        final void youHave(int name) {
            yours += owned(name);
        }

        /** The first thread offers a name, and has what comes back. */
        final void iPut(int name, long size) {
            mine += left(name, cache.put(name, size));
        }

        /** The second thread offers a name, and has what comes back. */
        final void youPut(int name, long size) {
            yours += left(name, cache.put(name, size));
        }

        /** The second thread has all that it sees. */
        final void youDrain() {
            boolean ignored = cache.drain((names, count) -> {
                for (int i = 0; i < count; i++) {
                    yours += owned(names[i]);
                }
            });
        }

        /** How many owners each name has, and what is wrong with the figures: 0 for nothing. */
        final void tell(III_Result r) {
            int wrong = 0;
            cache.lockAll();
            long bytes = cache.byteSize();
            long entries = cache.entries();
            wrong += bytes > cache.mostBytes() ? 1 : 0;
            try {
                cache.validate();
            } catch (IllegalStateException e) {
                wrong += 10;
            }
            cache.unlockAll();
            long[] pieces = {0};
            boolean ignored = cache.drain((names, count) -> {
                pieces[0] += count;
                for (int i = 0; i < count; i++) {
                    shown += owned(names[i]);
                }
            });
            wrong += pieces[0] == entries ? 0 : 100;
            wrong += cache.byteSize() == 0 && cache.entries() == 0 ? 0 : 1000;
            long all = mine + yours + shown;
            r.r1 = (int) (all >> 4 & 15);
            r.r2 = (int) (all >> 8 & 15);
            r.r3 = wrong;
        }

        private static long left(int name, int returned) {
            return returned == BufferCache.NONE ? 0 : owned(name) + (returned == name ? 0 : owned(returned));
        }

        private static long owned(int name) {
            return name == BufferCache.NONE ? 0 : 1L << (4 * name);
        }
    }

    /** Two threads ask for the same size. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner")
    @State
    public static class TakeTake extends Trial {
        public TakeTake() {
            keep(cache, 1, SIZE);
            keep(cache, 2, SIZE);
        }

        @Actor
        public void first() {
            iHave(cache.take(SIZE));
        }

        @Actor
        public void second() {
            youHave(cache.take(SIZE));
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** Two threads ask for the only piece. */
    @JCStressTest
    @Outcome(id = "1, 0, 0", expect = ACCEPTABLE, desc = "one owner")
    @State
    public static class TakeTheLast extends Trial {
        public TakeTheLast() {
            keep(cache, 1, SIZE);
        }

        @Actor
        public void first() {
            iHave(cache.take(SIZE));
        }

        @Actor
        public void second() {
            youHave(cache.take(SIZE));
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One frees while the other asks. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner")
    @State
    public static class PutTake extends Trial {
        public PutTake() {
            keep(cache, 1, SIZE);
        }

        @Actor
        public void first() {
            iPut(2, SIZE);
        }

        @Actor
        public void second() {
            youHave(cache.take(SIZE));
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** Two free, and there is room for one. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner, and the bound is kept")
    @State
    public static class PutPutAtTheBound extends Trial {
        public PutPutAtTheBound() {
            super(1, SIZE);
            keep(cache, 1, SIZE);
            if (cache.take(SIZE) != 1) {
                throw new IllegalStateException("the only piece is not there");
            }
        }

        @Actor
        public void first() {
            iPut(1, SIZE);
        }

        @Actor
        public void second() {
            youPut(2, SIZE);
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** A size that is out of use makes room while somebody asks for it after all. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner")
    @State
    public static class RivalTake extends Trial {
        public RivalTake() {
            keep(cache, 1, SIZE);
            if (cache.put(2, RIVAL) != 2) {
                throw new IllegalStateException("kept at first sight");
            }
        }

        @Actor
        public void first() {
            iPut(2, RIVAL);
        }

        @Actor
        public void second() {
            youHave(cache.take(SIZE));
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** Each goes round once: out and in again. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner")
    @State
    public static class PairPair extends Trial {
        public PairPair() {
            super(2, 1 << 20);
            keep(cache, 1, SIZE);
            keep(cache, 2, SIZE);
        }

        @Actor
        public void first() {
            int name = cache.take(SIZE);
            if (name != BufferCache.NONE) {
                iPut(name, SIZE);
            }
        }

        @Actor
        public void second() {
            int name = cache.take(SIZE);
            if (name != BufferCache.NONE) {
                youPut(name, SIZE);
            }
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One takes while the other empties the cache. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner")
    @State
    public static class TakeDrain extends Trial {
        public TakeDrain() {
            keep(cache, 1, SIZE);
            keep(cache, 2, SIZE);
        }

        @Actor
        public void first() {
            iHave(cache.take(SIZE));
        }

        @Actor
        public void second() {
            youDrain();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One frees while the other empties the cache. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "each name has one owner")
    @State
    public static class PutDrain extends Trial {
        public PutDrain() {
            keep(cache, 1, SIZE);
        }

        @Actor
        public void first() {
            iPut(2, SIZE);
        }

        @Actor
        public void second() {
            youDrain();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One frees while the other closes: what is in a closed cache is forgotten, and nothing stays in it. */
    @JCStressTest
    @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "kept, and forgotten")
    @Outcome(id = "0, 1, 0", expect = ACCEPTABLE, desc = "not kept")
    @State
    public static class PutClose extends Trial {
        public PutClose() {
            keep(cache, 1, SIZE);
        }

        @Actor
        public void first() {
            int left = 2;
            for (int offer = 0; offer < 3 && left != BufferCache.NONE; offer++) {
                left = cache.put(2, SIZE); // a size is kept when it comes back
            }
            iHave(left);
        }

        @Actor
        public void second() {
            cache.close();
        }

        @Arbiter
        public void end(III_Result r) {
            int kept = (int) cache.entries();
            tell(r);
            r.r3 += 10_000 * kept;
        }
    }

    /** Figures are looked at while a piece goes round: bytes and pieces are those of one moment. */
    @JCStressTest
    @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "one piece, and its bytes")
    @Outcome(id = "0, 0", expect = ACCEPTABLE, desc = "no piece, and no bytes")
    @State
    public static class PairFigures extends Trial {
        public PairFigures() {
            keep(cache, 1, SIZE);
        }

        @Actor
        public void first(II_Result r) {
            int name = cache.take(SIZE);
            if (name != BufferCache.NONE) {
                iPut(name, SIZE);
            }
        }

        @Actor
        public void second(II_Result r) {
            cache.lockAll();
            r.r1 = (int) cache.entries();
            r.r2 = (int) (cache.byteSize() - cache.entries() * SIZE);
            cache.unlockAll();
        }
    }
}
