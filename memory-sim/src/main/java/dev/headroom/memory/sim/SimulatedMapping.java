package dev.headroom.memory.sim;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A mapping whose segment dies with it, so that late use is noticed. Where memory is not coherent the segment is a
 * copy, and only flushing and invalidating carry bytes across.
 */
final class SimulatedMapping implements HostMapping {

    private final SimulatedDriver driver;
    private final SimulatedBlock block;
    private final long byteOffset;
    private final long byteSize;
    private final MapAccess access;
    private final boolean coherent;
    /** Ends with the mapping; absent where segments live on. */
    private final @Nullable Arena arena;
    /** The bytes, writable whatever the host may do with them. */
    private final MemorySegment visible;

    private boolean closed;

    /** The caller holds the lock and has checked everything. */
    @SuppressWarnings("restricted") // only shortens the life of a segment that is alive
    SimulatedMapping(
            SimulatedDriver driver,
            SimulatedBlock block,
            long byteOffset,
            long byteSize,
            MapAccess access,
            boolean coherent) {
        this.driver = driver;
        this.block = block;
        this.byteOffset = byteOffset;
        this.byteSize = byteSize;
        this.access = access;
        this.coherent = coherent;
        this.arena = driver.simulated().strictMappings() ? Arena.ofShared() : null;
        MemorySegment memory = block.bytes.at(byteOffset, byteSize);
        if (coherent && access == MapAccess.WRITE_DISCARD) {
            // The old contents are nobody's business any more.
            memory.fill(SimulatedDevice.FRESH_POISON);
        }
        if (coherent) {
            visible = arena == null ? memory : memory.reinterpret(arena, null);
        } else {
            visible = (arena == null ? Arena.ofAuto() : arena).allocate(byteSize, block.byteAlignment);
        }
        if (!coherent) {
            if (access == MapAccess.WRITE_DISCARD) {
                visible.fill(SimulatedDevice.FRESH_POISON);
            } else {
                visible.copyFrom(memory);
            }
        }
        if (access != MapAccess.READ) {
            block.bytes.markWritten(byteOffset, byteSize);
        }
    }

    @Override
    public MemorySegment segment() {
        return access == MapAccess.READ ? visible.asReadOnly() : visible;
    }

    @Override
    public void flush() throws DriverException {
        driver.meet("flush");
        driver.lock();
        try {
            requireOpen();
            if (!coherent && access != MapAccess.READ) {
                block.bytes.at(byteOffset, byteSize).copyFrom(visible);
            }
        } finally {
            driver.unlock();
        }
    }

    @Override
    public void invalidate() throws DriverException {
        driver.meet("invalidate");
        driver.lock();
        try {
            requireOpen();
            if (!coherent) {
                visible.copyFrom(block.bytes.at(byteOffset, byteSize));
            }
        } finally {
            driver.unlock();
        }
    }

    @Override
    public void close() throws DriverException {
        Throwable failure = driver.meetAnyway("unmap");
        driver.lock();
        try {
            if (closed) {
                throw driver.simulated()
                        .misuse(Violation.Type.DOUBLE_CLOSE, "a mapping of " + block + " was closed twice");
            }
            closed = true;
            driver.closed(this);
            block.mappings--;
            if (arena != null) {
                arena.close();
            }
        } catch (IllegalStateException e) {
            if (e instanceof DriverMisuseException) {
                throw e;
            }
            throw driver.simulated()
                    .misuse(Violation.Type.CLOSED_IN_USE, "a mapping of " + block + " was closed during an access");
        } finally {
            driver.unlock();
        }
        SimulatedDriver.throwUnchecked(failure);
        if (failure instanceof DriverException refused) {
            throw refused;
        }
    }

    /** Whether it shows any byte of a range; the caller holds the lock. */
    boolean covers(SimulatedBlock other, long otherOffset, long otherSize) {
        return block == other && byteOffset < otherOffset + otherSize && otherOffset < byteOffset + byteSize;
    }

    private void requireOpen() {
        if (closed) {
            throw driver.simulated()
                    .misuse(Violation.Type.USE_AFTER_CLOSE, "a mapping of " + block + " was used after it was closed");
        }
    }
}
