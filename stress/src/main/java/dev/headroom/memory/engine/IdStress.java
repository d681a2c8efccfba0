package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import dev.headroom.memory.IdAllocator;
import dev.headroom.memory.LocalCache;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.I_Result;

/** Memory by number: an id stands for its memory until it is freed and is refused afterwards, whatever grows meanwhile. */
final class IdStress {

    /** Names in the first piece of the table, and far behind it. */
    private static final int NEAR = 5;

    private static final int FAR = 5000;

    private IdStress() {}

    /** Whether a table knows an id, and by the right name. */
    private static int known(IdTable table, long id, int name) {
        try {
            return table.name(id) == name ? 1 : 2;
        } catch (IllegalArgumentException e) {
            return 0;
        }
    }

    /** Two ids are drawn from a table without pieces. */
    @JCStressTest
    @Outcome(id = "1, 1, 1", expect = ACCEPTABLE, desc = "both are known, and differ")
    @State
    public static class IssueIssue {
        private final IdTable table = new IdTable();
        private long mine;
        private long yours;

        @Actor
        public void first() {
            mine = table.issue(NEAR);
        }

        @Actor
        public void second() {
            yours = table.issue(FAR);
        }

        @Arbiter
        public void end(III_Result r) {
            r.r1 = known(table, mine, NEAR);
            r.r2 = known(table, yours, FAR);
            r.r3 = mine == yours ? 0 : 1;
        }
    }

    /** One id is freed while the table grows for another. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "the freed one is refused, the others are known")
    @State
    public static class RevokeGrow {
        private final IdTable table = new IdTable();
        private final long gone = table.issue(NEAR);
        private final long stays = table.issue(NEAR + 1);
        private long drawn;

        @Actor
        public void first() {
            int ignored = table.revoke(gone);
        }

        @Actor
        public void second() {
            drawn = table.issue(FAR);
        }

        @Arbiter
        public void end(III_Result r) {
            r.r1 = known(table, gone, NEAR);
            r.r2 = known(table, stays, NEAR + 1);
            r.r3 = known(table, drawn, FAR);
        }
    }

    /** An id each, of a whole pool. */
    abstract static class Trial {
        static final IdAllocator IDS = StressPool.POOL.ids();

        private long mine;
        private long yours;

        /** The first thread goes round in a cache of its own, and keeps what it has last. */
        final void iGoRound() {
            try (LocalCache cache = StressPool.POOL.localCache()) {
                for (int round = 0; round < 3; round++) { // a size is kept when it comes back
                    cache.free(cache.allocate(StressPool.SIZE));
                }
                mine = cache.allocate(StressPool.SIZE);
            }
        }

        /** The first thread takes and frees without a cache of its own, and keeps what it has last. */
        final void iTake() {
            IDS.free(IDS.allocate(StressPool.SIZE));
            mine = IDS.allocate(StressPool.SIZE);
        }

        /** The second thread asks for all that lies at hand, and takes something. */
        final void youDrain() {
            boolean ignored = StressPool.blocks().drain();
            yours = IDS.allocate(StressPool.SIZE);
        }

        /** Whether both have memory of their own. */
        final void tell(I_Result r) {
            boolean apart = IDS.block(mine) != IDS.block(yours)
                    || Math.abs(IDS.offset(mine) - IDS.offset(yours)) >= StressPool.SIZE;
            r.r1 = apart ? 0 : 1;
            IDS.free(mine);
            IDS.free(yours);
        }
    }

    /** A thread goes round in its own cache while another empties all that are at hand. */
    @JCStressTest
    @Outcome(id = "0", expect = ACCEPTABLE, desc = "apart")
    @State
    public static class LocalDrain extends Trial {
        @Actor
        public void first() {
            iGoRound();
        }

        @Actor
        public void second() {
            youDrain();
        }

        @Arbiter
        public void end(I_Result r) {
            tell(r);
        }
    }

    /** Two take and free by number. */
    @JCStressTest
    @Outcome(id = "0", expect = ACCEPTABLE, desc = "apart")
    @State
    public static class TakeDrain extends Trial {
        @Actor
        public void first() {
            iTake();
        }

        @Actor
        public void second() {
            youDrain();
        }

        @Arbiter
        public void end(I_Result r) {
            tell(r);
        }
    }
}
