package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTracker;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolReport;
import dev.headroom.memory.PressureListener;
import dev.headroom.memory.TraceRecording;
import dev.headroom.memory.spi.DeviceDriver;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/** A pool whose growth is paid from a reservation first. */
final class ReservedPool implements GpuMemoryPool, DeviceDriver.Source {

    private final PoolEngine pool;
    private final DomainLedger.Claim claim;

    ReservedPool(PoolEngine pool, DomainLedger.Claim claim) {
        this.pool = pool;
        this.claim = claim;
    }

    @Override
    public GpuDevice device() {
        return pool.device();
    }

    @Override
    public DeviceBuffer allocate(AllocationRequest request) {
        return pool.allocate(request, claim);
    }

    @Override
    public FallbackBuffer allocateWithFallback(AllocationRequest request) {
        return pool.allocateWithFallback(request, claim);
    }

    @Override
    public MemoryStats stats() {
        return pool.stats();
    }

    @Override
    public MemoryBudget budget() {
        return pool.budget();
    }

    @Override
    public long usableBytes() {
        return pool.usableBytes() + pool.ledger().remaining(claim);
    }

    @Override
    public MemoryPressure pressure() {
        return pool.pressure();
    }

    @Override
    public void clearPool() {
        pool.clearPool();
    }

    @Override
    public long shrink() {
        return pool.shrink();
    }

    @Override
    public long shrink(Duration idleFor) {
        return pool.shrink(idleFor);
    }

    @Override
    public PoolReport report() {
        return pool.report(claim);
    }

    @Override
    public void addPressureListener(PressureListener listener) {
        pool.addPressureListener(listener);
    }

    @Override
    public void removePressureListener(PressureListener listener) {
        pool.removePressureListener(listener);
    }

    @Override
    public Optional<AllocationTracker> tracker() {
        return pool.tracker();
    }

    @Override
    public TraceRecording recordTrace(Path file) throws IOException {
        return pool.recordTrace(file);
    }

    @Override
    public boolean awaitIdle(Duration timeout) {
        return pool.awaitIdle(timeout);
    }

    @Override
    public DeviceDriver driver() {
        return pool.driver();
    }

    @Override
    public void close() {
        // The GpuMemory owns the pool; this is a view of it.
    }
}
