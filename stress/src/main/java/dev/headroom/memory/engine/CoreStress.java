package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.JJJ_Result;

/** An owner asks without the lock where its memory lies, while another thread, who has the lock, changes what is around it. */
final class CoreStress {

    private static final int SIZE = 1024;
    /** A few less than the core has nodes for at first, and a few more. */
    private static final int BEFORE = 240;

    private static final int OTHERS = 40;
    private static final int LOOKS = 20;

    private CoreStress() {}

    /** Memory between two neighbours. */
    abstract static class Trial {
        final Tlsf tlsf = new Tlsf(256);
        final int below;
        final int above;

        private final int own;

        Trial() {
            int ignored = tlsf.addRegion(1 << 20);
            below = tlsf.allocate(SIZE, 1);
            own = tlsf.allocate(SIZE, 1);
            above = tlsf.allocate(SIZE, 1);
        }

        /** Takes as many pieces. */
        final void take(int pieces) {
            for (int i = 0; i < pieces; i++) {
                int ignored = tlsf.allocate(256, 1);
            }
        }

        final void look(JJJ_Result r) {
            for (int look = 0; look < LOOKS && (look == 0 || (r.r2 == SIZE && r.r3 == SIZE)); look++) {
                r.r1 = tlsf.ownedRegion(own);
                r.r2 = tlsf.ownedOffset(own);
                r.r3 = tlsf.ownedByteSize(own);
            }
        }
    }

    /** Much is taken, so that the core needs more nodes. */
    @JCStressTest
    @Outcome(id = "0, 1024, 1024", expect = ACCEPTABLE, desc = "where it was")
    @State
    public static class LookGrow extends Trial {
        public LookGrow() {
            take(BEFORE);
        }

        @Actor
        public void owner(JJJ_Result r) {
            look(r);
        }

        @Actor
        public void other(JJJ_Result r) {
            take(OTHERS);
        }
    }

    /** Both neighbours go, and something larger comes. */
    @JCStressTest
    @Outcome(id = "0, 1024, 1024", expect = ACCEPTABLE, desc = "where it was")
    @State
    public static class LookMerge extends Trial {
        @Actor
        public void owner(JJJ_Result r) {
            look(r);
        }

        @Actor
        public void other(JJJ_Result r) {
            long ignored = tlsf.free(below);
            ignored += tlsf.free(above);
            ignored += tlsf.allocate(8 * SIZE, 1);
        }
    }
}
