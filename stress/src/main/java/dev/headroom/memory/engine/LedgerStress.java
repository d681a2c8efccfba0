package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import dev.headroom.memory.MemoryDomain;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.IIII_Result;
import org.openjdk.jcstress.infra.results.III_Result;

/**
 * The books of one memory of 100 bytes: what is granted and set aside is never more than there is, and adds up at the end. The
 * results are what is held, reserved and in flight.
 */
final class LedgerStress {

    private static final long MEMORY = 100;
    private static final long REFUSED = -1;

    private LedgerStress() {}

    private static DomainLedger ledger() {
        return new DomainLedger(new MemoryDomain("stress", false));
    }

    private static long usable(DomainLedger.Figures figures) {
        return MEMORY - figures.heldBytes() - figures.reservedBytes();
    }

    /** A memory, and two who want it. */
    abstract static class Trial {
        final DomainLedger ledger = ledger();
        final DomainLedger.Claim mine = new DomainLedger.Claim();
        final DomainLedger.Claim yours = new DomainLedger.Claim();

        final boolean grant(long bytes, DomainLedger.Claim claim) {
            return ledger.tryGrant(bytes, claim, LedgerStress::usable) != REFUSED;
        }

        final boolean reserve(long bytes, DomainLedger.Claim claim) {
            return ledger.tryReserve(bytes, claim, LedgerStress::usable);
        }

        final void tell(III_Result r) {
            tell(ledger, r);
        }

        static void tell(DomainLedger ledger, III_Result r) {
            DomainLedger.Figures figures = ledger.figures();
            r.r1 = (int) figures.heldBytes();
            r.r2 = (int) figures.reservedBytes();
            r.r3 = (int) figures.inFlightBytes();
        }
    }

    /** Two blocks, and room for one. */
    @JCStressTest
    @Outcome(id = "60, 0, 60", expect = ACCEPTABLE, desc = "one was refused")
    @State
    public static class GrantGrant extends Trial {
        @Actor
        public void first() {
            boolean ignored = grant(60, mine);
        }

        @Actor
        public void second() {
            boolean ignored = grant(60, yours);
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** A block and a reservation, and room for one. */
    @JCStressTest
    @Outcome(id = "60, 0, 60", expect = ACCEPTABLE, desc = "the block")
    @Outcome(id = "0, 60, 0", expect = ACCEPTABLE, desc = "the reservation")
    @State
    public static class GrantReserve extends Trial {
        @Actor
        public void first() {
            boolean ignored = grant(60, mine);
        }

        @Actor
        public void second() {
            boolean ignored = reserve(60, yours);
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One block comes and goes while another is wanted: both fit one after the other, and never both. */
    @JCStressTest
    @Outcome(id = "60, 0, 0", expect = ACCEPTABLE, desc = "the second was granted")
    @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "the second was refused")
    @State
    public static class BlockBlock extends Trial {
        @Actor
        public void first() {
            if (grant(60, mine)) {
                ledger.settle(60);
                ledger.release(60);
            }
        }

        @Actor
        public void second() {
            if (grant(60, yours)) {
                ledger.settle(60);
            }
        }

        @Arbiter
        public void end(III_Result r) {
            DomainLedger.Figures figures = ledger.figures();
            tell(r);
            // Completed bytes tell which of them were granted; more than granted would be wrong.
            r.r3 += figures.completedBytes() > 120 ? 1000 : 0;
        }
    }

    /** Both turn parts of one claim into blocks. */
    @JCStressTest
    @Outcome(id = "80, 0, 80", expect = ACCEPTABLE, desc = "30 and 50 of the claim's 80")
    @State
    public static class OneClaim extends Trial {
        public OneClaim() {
            if (!reserve(80, mine)) {
                throw new IllegalStateException("refused");
            }
        }

        @Actor
        public void first() {
            boolean ignored = grant(30, mine);
        }

        @Actor
        public void second() {
            boolean ignored = grant(50, mine);
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** The driver refuses a block of a claim that is cancelled meanwhile: nothing is left, and nothing comes back. */
    @JCStressTest
    @Outcome(id = "0, 0, 0, 0", expect = ACCEPTABLE, desc = "as if there had been nothing")
    @State
    public static class UndoCancel extends Trial {
        public UndoCancel() {
            if (!reserve(80, mine)) {
                throw new IllegalStateException("refused");
            }
        }

        @Actor
        public void first() {
            long fromClaim = ledger.tryGrant(60, mine, LedgerStress::usable);
            if (fromClaim != REFUSED) {
                long ignored = ledger.undo(60, mine, fromClaim);
            }
        }

        @Actor
        public void second() {
            ledger.cancel(mine);
        }

        @Arbiter
        public void end(IIII_Result r) {
            DomainLedger.Figures figures = ledger.figures();
            r.r1 = (int) figures.heldBytes();
            r.r2 = (int) figures.reservedBytes();
            r.r3 = (int) figures.inFlightBytes();
            r.r4 = (int) ledger.remaining(mine);
        }
    }

    /** Two ledgers turn out to be of one memory while a block comes into one of them: it is carried over or goes there. */
    @JCStressTest
    @Outcome(id = "60, 0, 0", expect = ACCEPTABLE, desc = "the block is in the books of the heir")
    @State
    public static class GrantJoin extends Trial {
        private final DomainLedger heir = ledger();

        @Actor
        public void first() {
            if (grant(60, mine)) {
                ledger.settle(60);
            }
        }

        @Actor
        public void second() {
            ledger.joinTo(heir);
        }

        @Arbiter
        public void end(III_Result r) {
            tell(heir, r);
        }
    }

    /** A block goes, and what a driver kept comes back into the books, while they are joined. */
    @JCStressTest
    @Outcome(id = "40, 10, 0", expect = ACCEPTABLE, desc = "40 of them kept, 10 set aside")
    @State
    public static class ReleaseJoin extends Trial {
        private final DomainLedger heir = ledger();

        public ReleaseJoin() {
            if (!grant(60, mine) || !reserve(10, yours)) {
                throw new IllegalStateException("refused");
            }
            ledger.settle(60);
        }

        @Actor
        public void first() {
            ledger.release(60);
            ledger.keep(40);
        }

        @Actor
        public void second() {
            ledger.joinTo(heir);
        }

        @Arbiter
        public void end(III_Result r) {
            tell(heir, r);
        }
    }
}
