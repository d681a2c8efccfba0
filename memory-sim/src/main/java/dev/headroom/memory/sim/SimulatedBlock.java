package dev.headroom.memory.sim;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One allocation, or one reserved range. Everything but the first fields is guarded by the lock of the clock. */
final class SimulatedBlock implements DriverBlock {

    enum State {
        LIVE,
        FREED,
        /** Its giving back failed. */
        QUARANTINED
    }

    final SimulatedDriver driver;
    final MemoryKind kind;
    final long byteSize;
    final long byteAlignment;
    final long address;
    final String name;
    final PhysicalMemory place;
    final BlockBytes bytes;
    /** What is committed, if this is a reserved range. */
    final @Nullable RangeSet committed;
    /** Pieces whose taking back failed. */
    final RangeSet quarantined = new RangeSet();

    final List<Timeline.PendingUse> pending = new ArrayList<>();
    State state = State.LIVE;
    int mappings;

    SimulatedBlock(
            SimulatedDriver driver,
            MemoryKind kind,
            long byteSize,
            long byteAlignment,
            long address,
            String name,
            PhysicalMemory place,
            BlockBytes bytes,
            boolean range) {
        this.driver = driver;
        this.kind = kind;
        this.byteSize = byteSize;
        this.byteAlignment = byteAlignment;
        this.address = address;
        this.name = name;
        this.place = place;
        this.bytes = bytes;
        this.committed = range ? new RangeSet() : null;
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public MemoryKind kind() {
        return kind;
    }

    /** Memory really taken. */
    long heldBytes() {
        return committed == null ? byteSize : committed.size();
    }

    @Override
    public String toString() {
        return "%s block '%s' of %d bytes at 0x%x".formatted(kind.label(), name, byteSize, address);
    }
}
