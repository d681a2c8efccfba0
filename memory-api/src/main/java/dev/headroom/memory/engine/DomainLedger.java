package dev.headroom.memory.engine;

import dev.headroom.memory.MemoryDomain;
import dev.headroom.memory.PoolReport;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/**
 * What this process holds in one domain, over all pools and all {@code GpuMemory} instances, and what is set aside.
 * Deciding and charging are one step, so that two pools never share the same free byte. Thread-safe; its lock is held for
 * arithmetic only.
 *
 * <p>Where two ledgers turn out to be of one memory, one is joined to the other and from then on only passes calls on; what
 * it held is carried over.
 */
final class DomainLedger {

    /** A pool that can be asked to give idle memory back. */
    interface Member {
        /** Gives back idle blocks of a ledger's memory, about so many bytes; returns what it gave. Never waits for another pool. */
        long giveBack(DomainLedger ledger, long wantedBytes);

        /** Whether work on a closed buffer is pending. */
        default boolean hasPending() {
            return false;
        }

        /** Waits until such work ends. False if none ended in time, or none is pending. */
        default boolean awaitPending(Duration timeout) {
            return false;
        }

        /** What it knows about itself; empty if it does not tell, or cannot now. */
        default Optional<PoolReport> report() {
            return Optional.empty();
        }
    }

    /**
     * The ledger at one moment.
     *
     * @param heldBytes      in blocks, grants under way included
     * @param reservedBytes  set aside and not yet turned into blocks
     * @param inFlightBytes  granted, while the driver has not answered yet
     * @param completedBytes ever granted and answered; tells what a free figure read earlier cannot know
     */
    record Figures(long heldBytes, long reservedBytes, long inFlightBytes, long completedBytes) {}

    /** Bytes set aside for one owner. */
    static final class Claim {
        private final boolean planned;
        private long remaining;
        private boolean cancelled;

        /** A claim to nothing yet. */
        Claim() {
            this(false);
        }

        /** A claim to nothing yet; {@code planned} if it is for buffers that are known one by one. */
        Claim(boolean planned) {
            this.planned = planned;
        }

        boolean isPlanned() {
            return planned;
        }
    }

    /** How long one member is waited for before the next has its turn. */
    private static final Duration TURN = Duration.ofMillis(5);

    private final MemoryDomain domain;
    private final List<Member> members = new CopyOnWriteArrayList<>();
    /** Where the books are since this ledger was joined to another. */
    private @Nullable DomainLedger heir;

    private long held;
    private long reserved;
    private long inFlight;
    private long completed;

    DomainLedger(MemoryDomain domain) {
        this.domain = domain;
    }

    synchronized MemoryDomain domain() {
        return heir == null ? domain : heir.domain();
    }

    /** Whether both keep the books of one memory. */
    boolean isOfSameMemory(DomainLedger other) {
        return root().equals(other.root());
    }

    /**
     * Carries the books over to another ledger, for good. The other must not have been joined itself, and the caller sees to
     * it that only one thread joins ledgers.
     */
    void joinTo(DomainLedger other) {
        synchronized (this) { // always the joined one first, so that no two wait for each other
            synchronized (other) {
                other.held += held;
                other.reserved += reserved;
                other.inFlight += inFlight;
                other.completed += completed;
                other.members.addAll(members);
                heir = other;
            }
        }
    }

    private synchronized DomainLedger root() {
        return heir == null ? this : heir.root();
    }

    synchronized void join(Member member) {
        (heir == null ? members : heir.members).add(member);
    }

    synchronized void leave(Member member) {
        (heir == null ? members : heir.members).remove(member);
    }

    /**
     * Asks members for idle memory until they have given so many bytes.
     *
     * @param wantedBytes how many
     * @param except      who is not asked, null to ask all
     * @return what they gave
     */
    long collectIdle(long wantedBytes, @Nullable Member except) {
        DomainLedger root = root();
        long gone = 0;
        for (Member other : root.members) {
            if (!other.equals(except) && gone < wantedBytes) {
                gone += other.giveBack(root, wantedBytes - gone);
            }
        }
        return gone;
    }

    /**
     * Waits until work on a closed buffer of a member ends: of each in turn for a moment, so that none is kept from closing.
     *
     * @param timeout how long at most
     * @param except  who is not asked
     * @return true if some ended; false if none did in time, or none is pending
     */
    boolean awaitPending(Duration timeout, Member except) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean pending;
        do {
            pending = false;
            for (Member other : root().members) {
                if (!other.equals(except) && other.hasPending()) {
                    if (other.awaitPending(TURN)) {
                        return true;
                    }
                    pending = true;
                }
            }
        } while (pending && deadline - System.nanoTime() > 0);
        return false;
    }

    /** What the other members know about themselves. */
    List<PoolReport> reports(Member except) {
        return root().members.stream()
                .filter(other -> !other.equals(except))
                .flatMap(other -> other.report().stream())
                .toList();
    }

    synchronized Figures figures() {
        if (heir != null) {
            return heir.figures();
        }
        return new Figures(held, reserved, inFlight, completed);
    }

    /**
     * Charges a block if the rule allows it; the claim's bytes are used first and need no room.
     *
     * @param bytes  the block's size
     * @param claim  the reservation it is taken from
     * @param usable what may be taken, given the ledger now
     * @return the bytes that came from the claim, or -1 if refused
     */
    synchronized long tryGrant(long bytes, Claim claim, ToLongFunction<Figures> usable) {
        if (heir != null) {
            return heir.tryGrant(bytes, claim, usable);
        }
        long fromClaim = Math.min(bytes, claim.remaining);
        if (bytes > fromClaim && bytes - fromClaim > usable.applyAsLong(figures())) {
            return -1;
        }
        claim.remaining -= fromClaim;
        reserved -= fromClaim;
        held += bytes;
        inFlight += bytes;
        return fromClaim;
    }

    /** The driver answered well. */
    synchronized void settle(long bytes) {
        if (heir != null) {
            heir.settle(bytes);
            return;
        }
        inFlight -= bytes;
        completed += bytes;
    }

    /** The driver refused: as if nothing had been granted. Returns what the claim got back: nothing if it was cancelled since. */
    synchronized long undo(long bytes, Claim claim, long fromClaim) {
        if (heir != null) {
            return heir.undo(bytes, claim, fromClaim);
        }
        inFlight -= bytes;
        held -= bytes;
        if (claim.cancelled) {
            return 0;
        }
        claim.remaining += fromClaim;
        reserved += fromClaim;
        return fromClaim;
    }

    /** The driver kept memory that was to be given back. */
    synchronized void keep(long bytes) {
        if (heir != null) {
            heir.keep(bytes);
            return;
        }
        held += bytes;
    }

    /** A block is gone. */
    synchronized void release(long bytes) {
        if (heir != null) {
            heir.release(bytes);
            return;
        }
        held -= bytes;
    }

    /** Sets bytes aside if the rule allows it. */
    synchronized boolean tryReserve(long bytes, Claim claim, ToLongFunction<Figures> usable) {
        if (heir != null) {
            return heir.tryReserve(bytes, claim, usable);
        }
        if (bytes > usable.applyAsLong(figures())) {
            return false;
        }
        reserved += bytes;
        claim.remaining += bytes;
        return true;
    }

    synchronized long remaining(Claim claim) {
        return claim.remaining;
    }

    /** Returns what a claim still holds. */
    synchronized void cancel(Claim claim) {
        if (heir != null) {
            heir.cancel(claim);
            return;
        }
        reserved -= claim.remaining;
        claim.remaining = 0;
        claim.cancelled = true;
    }

    synchronized boolean isIdle() {
        if (heir != null) {
            return heir.isIdle();
        }
        return held == 0 && reserved == 0;
    }
}
