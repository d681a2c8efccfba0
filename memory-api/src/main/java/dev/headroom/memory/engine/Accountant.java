package dev.headroom.memory.engine;

import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.spi.DriverException;
import java.util.OptionalDouble;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Says whether a heap may take more, and books it: account first, then allocate, and undo if the driver refuses.
 * Thread-safe; reads the budget anew for every decision.
 */
final class Accountant {

    /** What a device has in all changes, if at all, by less than this: a container is given less, another process takes some. */
    private static final int SMALL_SHARE = 16;

    private final DeviceSession session;
    private final MemoryKind kind;
    private final DomainLedger ledger;
    private final BudgetRule rule;
    private final AtomicLong poolBytes;
    private final UnaryOperator<MemoryBudget> siblings;
    private final long totalBytes;
    private final long smallBytes;

    /**
     * Books for one kind of memory.
     *
     * @param session   the device
     * @param kind      the kind
     * @param ledger    of the domain the kind lives in
     * @param rule      what may be taken
     * @param poolBytes what the limit binds: blocks of the pool and bytes reserved there; shared by its accountants
     * @param siblings  fills in a free figure another API measures for the same memory
     * @param opened     what the driver said when the pool was opened
     */
    Accountant(
            DeviceSession session,
            MemoryKind kind,
            DomainLedger ledger,
            BudgetRule rule,
            AtomicLong poolBytes,
            UnaryOperator<MemoryBudget> siblings,
            MemoryBudget opened) {
        this.session = session;
        this.kind = kind;
        this.ledger = ledger;
        this.rule = rule;
        this.poolBytes = poolBytes;
        this.siblings = siblings;
        this.totalBytes = opened.totalBytes();
        this.smallBytes = rule.ceiling(opened) / SMALL_SHARE;
    }

    /** All memory of the kind, in use or not, as the driver said when the pool was opened. */
    long totalBytes() {
        return totalBytes;
    }

    /** Whether a request is so small that there is no need to ask whether it could ever fit. */
    boolean isSmall(long bytes) {
        return bytes <= smallBytes;
    }

    DomainLedger ledger() {
        return ledger;
    }

    /** Permission to take so many bytes; to be settled or undone. */
    final class Grant {
        private final long bytes;
        private final DomainLedger.Claim claim;
        private final long fromClaim;

        private Grant(long bytes, DomainLedger.Claim claim, long fromClaim) {
            this.bytes = bytes;
            this.claim = claim;
            this.fromClaim = fromClaim;
        }

        void settle() {
            ledger.settle(bytes);
        }

        void undo() {
            synchronized (ledger) {
                poolBytes.addAndGet(ledger.undo(bytes, claim, fromClaim) - bytes);
            }
        }
    }

    /** Reads what the system says. */
    BudgetRule.Reading read() throws DriverException {
        long completed = ledger.figures().completedBytes();
        try {
            return new BudgetRule.Reading(siblings.apply(session.driver().budget(kind)), completed);
        } catch (DriverException e) {
            session.note(e);
            throw e;
        }
    }

    /** What may be taken, by a reading. */
    BudgetRule.Allowance allowance(BudgetRule.Reading reading) {
        return rule.allowance(reading, ledger.figures(), poolBytes.get());
    }

    /** What may be taken, by a reading, once so many idle bytes of this pool are given back. */
    long usableWithout(long idleBytes, BudgetRule.Reading reading) {
        return rule.usableWithout(idleBytes, reading, ledger.figures(), poolBytes.get());
    }

    /** How full the device or the limit is, by a reading. */
    MemoryPressure pressure(BudgetRule.Reading reading) {
        return rule.pressure(reading, ledger.figures(), poolBytes.get());
    }

    /** The used share of the device or the limit, by a reading and what was granted since; empty where nothing is known. */
    OptionalDouble usedShare(BudgetRule.Reading reading) {
        return rule.usedShare(reading, ledger.figures(), poolBytes.get());
    }

    /** Sets bytes aside. False if there is no room. */
    boolean tryReserve(long bytes, BudgetRule.Reading reading, DomainLedger.Claim claim) {
        synchronized (ledger) {
            boolean done = ledger.tryReserve(bytes, claim, figures -> rule.usable(reading, figures, poolBytes.get()));
            poolBytes.addAndGet(done ? bytes : 0);
            return done;
        }
    }

    /** Returns what a claim still holds. */
    void cancel(DomainLedger.Claim claim) {
        synchronized (ledger) {
            poolBytes.addAndGet(-ledger.remaining(claim));
            ledger.cancel(claim);
        }
    }

    /** Books so many bytes, or gives null. */
    @Nullable
    Grant tryGrant(long bytes, BudgetRule.Reading reading, DomainLedger.Claim claim) {
        synchronized (ledger) { // a pool's limit and its domain are charged in one step
            long fromClaim = ledger.tryGrant(bytes, claim, figures -> rule.usable(reading, figures, poolBytes.get()));
            if (fromClaim < 0) {
                return null;
            }
            poolBytes.addAndGet(bytes - fromClaim);
            return new Grant(bytes, claim, fromClaim);
        }
    }

    /** Books memory the driver kept although it was to be given back. */
    void keep(long bytes) {
        poolBytes.addAndGet(bytes);
        ledger.keep(bytes);
    }

    /** A block is gone. */
    void release(long bytes) {
        poolBytes.addAndGet(-bytes);
        ledger.release(bytes);
    }
}
