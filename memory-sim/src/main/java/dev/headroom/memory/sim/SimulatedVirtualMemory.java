package dev.headroom.memory.sim;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.VirtualMemory;

/** Ranges of a simulated driver: a block with nothing in it, and the books of what is committed. */
final class SimulatedVirtualMemory implements VirtualMemory {

    private final SimulatedDriver driver;
    private final SimulatedDevice device;
    private final long granularity;

    SimulatedVirtualMemory(SimulatedDriver driver, long granularity) {
        this.driver = driver;
        this.device = driver.simulated();
        this.granularity = granularity;
    }

    @Override
    public boolean supports(MemoryKind kind) {
        // As with CUDA, where staging is not made of granules; on the host there is no difference.
        KindTraits traits = device.traits(kind);
        return traits.supported()
                && (kind == MemoryKind.DEVICE || device.device().physicalId().host());
    }

    @Override
    public long granularity() {
        return granularity;
    }

    @Override
    public DriverBlock reserve(long byteSize, MemoryKind kind) throws DriverException {
        driver.meet("reserve");
        driver.lock();
        try {
            driver.requireOpen("reserve");
            if (!supports(kind) || byteSize <= 0 || byteSize % granularity != 0) {
                throw device.misuse(
                        Violation.Type.BAD_ARGUMENT,
                        "a range of %d bytes of %s memory".formatted(byteSize, kind.label()));
            }
            KindTraits traits = device.traits(kind);
            return driver.newBlock(
                    kind,
                    byteSize,
                    Math.max(Math.max(granularity, traits.baseAlignment()), AllocationRequest.MAX_ALIGNMENT),
                    "range",
                    device.placeOf(traits),
                    true);
        } finally {
            driver.unlock();
        }
    }

    @Override
    public void commit(DriverBlock range, long byteOffset, long byteSize) throws DriverException {
        driver.meet("commit");
        driver.lock();
        try {
            SimulatedBlock block = requirePiece(range, byteOffset, byteSize);
            RangeSet committed = committedIn(block);
            if (committed.intersects(byteOffset, byteOffset + byteSize)) {
                throw device.misuse(
                        Violation.Type.COMMITMENT,
                        "%d bytes at %d of %s were committed twice".formatted(byteSize, byteOffset, block));
            }
            driver.take(block.place, byteSize, "commit");
            committed.add(byteOffset, byteOffset + byteSize);
            device.books().blockBytes += byteSize;
            device.books().committed += byteSize;
        } finally {
            driver.unlock();
        }
    }

    @Override
    public FreeOutcome decommit(DriverBlock range, long byteOffset, long byteSize) {
        Throwable failure = driver.meetAnyway("decommit");
        driver.lock();
        try {
            SimulatedBlock block = requirePiece(range, byteOffset, byteSize);
            RangeSet committed = committedIn(block);
            if (!committed.containsAll(byteOffset, byteOffset + byteSize)) {
                throw device.misuse(
                        Violation.Type.COMMITMENT,
                        "%d bytes at %d of %s were not all committed".formatted(byteSize, byteOffset, block));
            }
            if (!driver.isLost() && !driver.toldLost()) {
                driver.requireUnused(block, byteOffset, byteSize);
            }
            committed.remove(byteOffset, byteOffset + byteSize);
            device.books().blockBytes -= byteSize;
            device.books().committed -= byteSize;
            if (failure != null) {
                block.quarantined.add(byteOffset, byteOffset + byteSize);
                device.books().failedFrees++;
                device.books().quarantined += byteSize;
                return SimulatedDriver.kept(failure);
            }
            block.place.giveBack(byteSize);
            block.bytes.discard(byteOffset, byteSize);
            return FreeOutcome.freed();
        } finally {
            driver.unlock();
        }
    }

    @Override
    public FreeOutcome release(DriverBlock range) {
        return driver.giveBack("release", range, true);
    }

    private SimulatedBlock requirePiece(DriverBlock range, long byteOffset, long byteSize) {
        SimulatedBlock block = driver.requireOwn(range);
        driver.requireLive(block);
        if (byteOffset < 0
                || byteSize <= 0
                || byteOffset % granularity != 0
                || byteSize % granularity != 0
                || byteSize > block.byteSize - byteOffset) {
            throw device.misuse(
                    Violation.Type.OUT_OF_RANGE,
                    "%d bytes at %d are no piece of %s".formatted(byteSize, byteOffset, block));
        }
        if (block.quarantined.intersects(byteOffset, byteOffset + byteSize)) {
            throw device.misuse(
                    Violation.Type.QUARANTINE_TOUCHED, "a piece of " + block + " that could not be decommitted");
        }
        return block;
    }

    private RangeSet committedIn(SimulatedBlock block) {
        if (block.committed == null) {
            throw device.misuse(Violation.Type.BAD_ARGUMENT, block + " is no range");
        }
        return block.committed;
    }
}
