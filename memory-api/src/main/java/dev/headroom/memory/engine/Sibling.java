package dev.headroom.memory.engine;

import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.PoolReport;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Supplier;

/** A pool as the others of its domains see it. That its device is lost, or the pool closed, is not their trouble. Thread-safe. */
final class Sibling implements DomainLedger.Member {

    private final DeviceSession session;
    private final UseCount uses;
    private final ReclaimQueue reclaim;
    private final HeapSet heaps;
    private final Duration patience;
    private final Supplier<PoolReport> report;

    /**
     * A member for the ledgers of one pool.
     *
     * @param session  the pool's driver
     * @param uses     keeps the pool open meanwhile
     * @param reclaim  its closed buffers with work pending
     * @param heaps    where its idle memory lies
     * @param patience how long threads that grow are waited for
     * @param report   what it knows about itself
     */
    Sibling(
            DeviceSession session,
            UseCount uses,
            ReclaimQueue reclaim,
            HeapSet heaps,
            Duration patience,
            Supplier<PoolReport> report) {
        this.session = session;
        this.uses = uses;
        this.reclaim = reclaim;
        this.heaps = heaps;
        this.patience = patience;
        this.report = report;
    }

    @Override
    public long giveBack(DomainLedger ledger, long wantedBytes) {
        if (session.isLost() || !uses.acquire()) {
            return 0;
        }
        try {
            reclaim.collect();
            return heaps.trim(ledger, wantedBytes, patience);
        } catch (GpuMemoryException e) {
            return 0;
        } finally {
            uses.release();
        }
    }

    @Override
    public boolean hasPending() {
        return !(uses.isClosed() || session.isLost() || reclaim.isEmpty());
    }

    @Override
    public boolean awaitPending(Duration timeout) {
        if (session.isLost() || !uses.acquire()) {
            return false;
        }
        try {
            return reclaim.awaitAny(timeout);
        } catch (GpuMemoryException e) {
            return false;
        } finally {
            uses.release();
        }
    }

    @Override
    public Optional<PoolReport> report() {
        try {
            return Optional.of(report.get());
        } catch (GpuMemoryException e) {
            return Optional.empty();
        }
    }
}
