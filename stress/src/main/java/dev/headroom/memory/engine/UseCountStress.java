package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;

/**
 * The life of what must not vanish while it is used: whoever ends the last use after a close takes it apart, once, and nobody
 * does while it is used. The results: what the first thread saw, how often it was taken apart, whether it is finished.
 */
final class UseCountStress {

    private UseCountStress() {}

    /** Something that can be taken apart, by whoever is told to. */
    abstract static class Trial extends UseCount {
        private static final int REFUSED = -1;

        // Plain on purpose: only one thread may ever be told to.
        private int takenApart;
        private int inside;

        /** Uses it. What was seen: -1 if refused, otherwise how often it was taken apart meanwhile. */
        final int use() {
            if (!acquire()) {
                return REFUSED;
            }
            int seen = takenApart;
            leave(release());
            return seen;
        }

        final void close() {
            leave(closeOnce());
        }

        /** Holds it alone. -1 if refused, otherwise how many others were inside. */
        final int move() {
            if (!acquireExclusively()) {
                return REFUSED;
            }
            int others = inside;
            inside = 1;
            int seen = others + takenApart;
            inside = 0;
            leave(releaseExclusively());
            return seen;
        }

        /** Uses it, and looks whether somebody is alone with it. */
        final int useBesideMove() {
            if (!acquire()) {
                return REFUSED;
            }
            int others = inside;
            leave(release());
            return others;
        }

        private void leave(boolean last) {
            if (last) {
                takenApart++;
            }
        }

        final void tell(III_Result r) {
            r.r2 = takenApart;
            r.r3 = isFinished() ? 1 : 0;
        }
    }

    /** Two close. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "taken apart once")
    @State
    public static class CloseClose extends Trial {
        @Actor
        public void first() {
            close();
        }

        @Actor
        public void second() {
            close();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One uses, one closes. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "used, and taken apart afterwards")
    @Outcome(id = "-1, 1, 1", expect = ACCEPTABLE, desc = "closed before the use")
    @State
    public static class UseClose extends Trial {
        @Actor
        public void first(III_Result r) {
            r.r1 = use();
        }

        @Actor
        public void second(III_Result r) {
            close();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** Two use it and both close it. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "used, and taken apart afterwards")
    @Outcome(id = "-1, 1, 1", expect = ACCEPTABLE, desc = "closed before the use")
    @State
    public static class UseAndClose extends Trial {
        @Actor
        public void first(III_Result r) {
            r.r1 = use();
            close();
        }

        @Actor
        public void second(III_Result r) {
            int ignored = use();
            close();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One holds it alone, one uses it. */
    @JCStressTest
    @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "alone")
    @Outcome(id = "-1, 0, 0", expect = ACCEPTABLE, desc = "refused, somebody was in")
    @State
    public static class MoveUse extends Trial {
        @Actor
        public void first(III_Result r) {
            r.r1 = move();
        }

        @Actor
        public void second(III_Result r) {
            r.r2 = useBesideMove();
        }

        @Arbiter
        public void end(III_Result r) {
            int used = r.r2;
            tell(r);
            r.r2 += Math.max(0, used); // an exclusive holder that was seen
        }
    }

    /** One holds it alone, one closes it: the move ends what the close began. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "moved, and taken apart afterwards")
    @Outcome(id = "-1, 1, 1", expect = ACCEPTABLE, desc = "closed before the move")
    @State
    public static class MoveClose extends Trial {
        @Actor
        public void first(III_Result r) {
            r.r1 = move();
        }

        @Actor
        public void second(III_Result r) {
            close();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** Two want it alone. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "one after the other, or one refused")
    @Outcome(id = "-1, 1, 1", expect = ACCEPTABLE, desc = "refused")
    @State
    public static class MoveMove extends Trial {
        @Actor
        public void first(III_Result r) {
            r.r1 = move();
        }

        @Actor
        public void second(III_Result r) {
            r.r2 = move();
        }

        @Arbiter
        public void end(III_Result r) {
            int both = r.r2;
            close();
            tell(r);
            r.r2 += Math.max(0, both);
        }
    }
}
