package dev.headroom.memory;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;

/** Two threads at the bits of a pool of fixed blocks: a block has one owner, and a slab in use does not go. */
final class BlockBitsStress {

    private BlockBitsStress() {}

    /** A slab of as many blocks as a word has bits. */
    abstract static class Trial {
        final BlockBits bits = BlockBits.of(BlockWords.BLOCKS_PER_WORD, 2);

        Trial() {
            bits.add(0);
        }

        /** A block, if there is one: who meets another thread may have to look again. */
        final int take() {
            int block = bits.take();
            while (block < 0 && bits.hasRoom()) {
                block = bits.take();
            }
            return block;
        }

        /** Whether the books hold together: 0 if they do. */
        final int wrong() {
            try {
                bits.validate();
                return 0;
            } catch (IllegalStateException e) {
                return 1;
            }
        }

        final int inUse() {
            return bits.stats(1).inUseBlocks();
        }
    }

    /** Two take. */
    @JCStressTest
    @Outcome(id = "1, 2, 0", expect = ACCEPTABLE, desc = "a block each")
    @State
    public static class TakeTake extends Trial {
        private int mine;
        private int yours;

        @Actor
        public void first() {
            mine = take();
        }

        @Actor
        public void second() {
            yours = take();
        }

        @Arbiter
        public void end(III_Result r) {
            r.r1 = mine != yours && mine >= 0 && yours >= 0 ? 1 : 0;
            r.r2 = inUse();
            r.r3 = wrong();
        }
    }

    /** Two free the same block: one of them is told that it is not in use. */
    @JCStressTest
    @Outcome(id = "1, 0, 0", expect = ACCEPTABLE, desc = "freed once")
    @State
    public static class FreeFree extends Trial {
        private final int block = take();
        private boolean mine;
        private boolean yours;

        @Actor
        public void first() {
            mine = bits.free(block);
        }

        @Actor
        public void second() {
            yours = bits.free(block);
        }

        @Arbiter
        public void end(III_Result r) {
            r.r1 = (mine ? 1 : 0) + (yours ? 1 : 0);
            r.r2 = inUse();
            r.r3 = wrong();
        }
    }

    /** One frees while the other takes. */
    @JCStressTest
    @Outcome(id = "1, 1, 0", expect = ACCEPTABLE, desc = "one in use")
    @State
    public static class FreeTake extends Trial {
        private final int block = take();
        private int taken;

        @Actor
        public void first() {
            boolean ignored = bits.free(block);
        }

        @Actor
        public void second() {
            taken = take();
        }

        @Arbiter
        public void end(III_Result r) {
            r.r1 = taken >= 0 ? 1 : 0;
            r.r2 = inUse();
            r.r3 = wrong();
        }
    }

    /** One takes while the other gives an empty slab back: the block is of a slab that stays, or there is none. */
    @JCStressTest
    @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "taken, and the slab stayed")
    @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "the slab went")
    @State
    public static class TakeRemove extends Trial {
        @Actor
        public void first(II_Result r) {
            r.r1 = take() >= 0 ? 1 : 0;
        }

        @Actor
        public void second(II_Result r) {
            r.r2 = bits.remove(0) ? 1 : 0;
        }
    }
}
