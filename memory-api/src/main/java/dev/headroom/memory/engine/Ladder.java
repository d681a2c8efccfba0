package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;

/** The way every shortage takes, and how often each {@link Rung} of it yielded the bytes. Thread-safe. */
final class Ladder {

    private final PressureListeners listeners;
    private final HeapSet heaps;
    private final ReclaimQueue reclaim;
    private final DomainLedger.Member self;
    private final Refusals refusals;
    private final Duration patience;
    private final Map<Rung, AtomicLong> yields = new EnumMap<>(Rung.class);

    /**
     * A ladder for one pool.
     *
     * @param listeners asked to give back
     * @param heaps     where memory comes from
     * @param reclaim   closed buffers with work pending
     * @param self      this pool among the members of its domains
     * @param refusals  says no
     * @param patience  how long pending work and growing threads are waited for
     */
    Ladder(
            PressureListeners listeners,
            HeapSet heaps,
            ReclaimQueue reclaim,
            DomainLedger.Member self,
            Refusals refusals,
            Duration patience) {
        this.listeners = listeners;
        this.heaps = heaps;
        this.reclaim = reclaim;
        this.self = self;
        this.refusals = refusals;
        this.patience = patience;
        for (Rung rung : Rung.values()) {
            yields.put(rung, new AtomicLong());
        }
    }

    /**
     * Finds memory for a request no block had room for: each rung is climbed only if those below did not yield the bytes, and
     * after each the blocks are searched again.
     *
     * @param heap    where the memory is to come from
     * @param request what is wanted
     * @param claim   the reservation to use first
     * @param visit   the caller's use of the pool
     * @return the memory's name in the heap
     * @throws DriverException if the driver fails for another reason than want of memory
     */
    int climb(Heap heap, AllocationRequest request, DomainLedger.Claim claim, Visit visit) throws DriverException {
        requirePossible(heap, request);
        Heap.Attempt attempt = Heap.Attempt.NOTHING;
        if (reclaim.collect()) {
            attempt = counted(Rung.COLLECT, search(heap, request));
        }
        if (!attempt.served()) {
            attempt = grow(Rung.GROW, heap, request, claim);
        }
        if (!attempt.served() && listenersGiveBack(heap, missing(attempt), visit)) {
            attempt = grow(Rung.LISTENERS, heap, request, claim);
        }
        long deadline = System.nanoTime() + patience.toNanos();
        while (!attempt.served() && pendingEnds(heap, deadline)) {
            attempt = grow(Rung.WAIT, heap, request, claim);
        }
        if (!attempt.served()) {
            attempt = grow(Rung.RETRY, heap, request, claim);
        }
        Heap.Refusal refusal = attempt.refusal();
        if (!attempt.served()) {
            attempt = counted(Rung.RETRY, searchLarger(heap, request));
        }
        if (!attempt.served()) {
            throw refusals.outOfMemory(heap, request, refusal);
        }
        return attempt.name();
    }

    /** The rung yielded. */
    void count(Rung rung) {
        counter(rung).incrementAndGet();
    }

    /** How often the rung yielded. */
    long yields(Rung rung) {
        return counter(rung).get();
    }

    private void requirePossible(Heap heap, AllocationRequest request) throws DriverException {
        long largest = heap.largestBlock();
        if (request.byteSize() > largest) {
            throw refusals.overLargestBlock(request, largest);
        }
        if (heap.accountant().isSmall(request.byteSize())) {
            return; // an answer would cost more than the rest of the way
        }
        BudgetRule.Allowance allowance =
                heap.accountant().allowance(heap.accountant().read());
        if (request.byteSize() > allowance.ceilingBytes()) {
            throw refusals.overCeiling(request, allowance);
        }
    }

    private static Heap.Attempt search(Heap heap, AllocationRequest request) {
        return Heap.Attempt.of(heap.blocks().hitAnywhere(request.byteSize(), request.byteAlignment()));
    }

    /** A block of a larger class than needed is better than none. */
    private static Heap.Attempt searchLarger(Heap heap, AllocationRequest request) {
        return Heap.Attempt.of(heap.blocks().hitLarger(request.byteSize(), request.byteAlignment()));
    }

    /** Takes more; if that is refused, once more with some and then with all of what sibling pools do not use now. */
    private Heap.Attempt grow(Rung rung, Heap heap, AllocationRequest request, DomainLedger.Claim claim)
            throws DriverException {
        Heap.Attempt attempt = counted(rung, growAlone(heap, request, claim));
        DomainLedger ledger = heap.accountant().ledger();
        if (!attempt.served() && ledger.collectIdle(missing(attempt), self) > 0) {
            attempt = counted(Rung.SIBLINGS, growAlone(heap, request, claim));
        }
        // What is missing is only a guess where the system says 0 is free, and not how far it is below.
        if (!attempt.served() && ledger.collectIdle(Long.MAX_VALUE, self) > 0) {
            attempt = counted(Rung.SIBLINGS, growAlone(heap, request, claim));
        }
        return attempt;
    }

    private Heap.Attempt growAlone(Heap heap, AllocationRequest request, DomainLedger.Claim claim)
            throws DriverException {
        return heap.grow(request.byteSize(), request.byteAlignment(), claim, patience, heaps.neighbours(heap));
    }

    private boolean listenersGiveBack(Heap heap, long missing, Visit visit) throws DriverException {
        if (!listeners.canBeAsked()) {
            return false;
        }
        MemoryPressure pressure = heap.accountant().pressure(heap.accountant().read());
        visit.leave();
        listeners.ask(pressure, missing);
        visit.enter();
        reclaim.collect();
        return true; // what they say is a hint; the search tells
    }

    /** Waits for work on buffers closed here, and then for that of the other pools of the same memory. */
    private boolean pendingEnds(Heap heap, long deadline) {
        return reclaim.awaitAny(Duration.ofNanos(deadline - System.nanoTime()))
                || heap.accountant().ledger().awaitPending(Duration.ofNanos(deadline - System.nanoTime()), self);
    }

    private static long missing(Heap.Attempt attempt) {
        Heap.Refusal refusal = attempt.refusal();
        return refusal == null ? 0 : refusal.missingBytes();
    }

    private Heap.Attempt counted(Rung rung, Heap.Attempt attempt) {
        if (attempt.served()) {
            count(rung);
        }
        return attempt;
    }

    private AtomicLong counter(Rung rung) {
        return Objects.requireNonNull(yields.get(rung));
    }
}
