package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/** Two threads at a whole pool, cache and book and all: whoever has a buffer has its bytes alone. */
final class PoolStress {

    private PoolStress() {}

    /** A buffer each. */
    abstract static class Trial {
        private EngineBuffer mine = take();
        private EngineBuffer yours = take();

        static EngineBuffer take() {
            return (EngineBuffer) StressPool.POOL.allocate(StressPool.SIZE);
        }

        /** The first thread's buffer goes, and another comes. */
        final void iChange() {
            mine.close();
            mine = take();
        }

        /** The second thread's buffer goes, and another comes. */
        final void youChange() {
            yours.close();
            yours = take();
        }

        final EngineBuffer mine() {
            return mine;
        }

        final void tell(I_Result r) {
            r.r1 = StressPool.overlap(mine, yours) ? 1 : 0;
            mine.close();
            yours.close();
        }
    }

    /** Both change buffers. */
    @JCStressTest
    @Outcome(id = "0", expect = ACCEPTABLE, desc = "apart")
    @State
    public static class ChangeChange extends Trial {
        @Actor
        public void first() {
            iChange();
        }

        @Actor
        public void second() {
            youChange();
        }

        @Arbiter
        public void end(I_Result r) {
            tell(r);
        }
    }

    /** One changes buffers while the other empties the cache. */
    @JCStressTest
    @Outcome(id = "0", expect = ACCEPTABLE, desc = "apart")
    @State
    public static class ChangeDrain extends Trial {
        @Actor
        public void first() {
            iChange();
        }

        @Actor
        public void second() {
            boolean ignored = StressPool.blocks().drain();
            youChange();
        }

        @Arbiter
        public void end(I_Result r) {
            tell(r);
        }
    }

    /** One closes the other's buffer while that one takes another. */
    @JCStressTest
    @Outcome(id = "0", expect = ACCEPTABLE, desc = "apart")
    @State
    public static class CloseElsewhere extends Trial {
        private final EngineBuffer passedOn = take();

        @Actor
        public void first() {
            passedOn.close();
            iChange();
        }

        @Actor
        public void second() {
            youChange();
            passedOn.close();
        }

        @Arbiter
        public void end(I_Result r) {
            tell(r);
        }
    }
}
