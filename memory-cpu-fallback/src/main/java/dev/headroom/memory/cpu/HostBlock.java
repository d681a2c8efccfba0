package dev.headroom.memory.cpu;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * One block of host memory: a segment, and the arena that ends it.
 *
 * <p>The arena is the block's own and shared among threads. Ending one costs tens of microseconds, because every thread
 * of the process has to agree that nobody is inside; that is why there is one per block and never one per buffer. What
 * it buys: a segment somebody kept throws {@link IllegalStateException} once the block is gone, where a bare address
 * would end the process or reach somebody else's bytes.
 *
 * <p>Not a record: two blocks are never equal, though the second may get the address of the first.
 */
final class HostBlock implements DriverBlock {

    private final MemoryKind kind;
    private final MemorySegment segment;
    private final Arena arena;

    HostBlock(MemoryKind kind, MemorySegment segment, Arena arena) {
        this.kind = kind;
        this.segment = segment;
        this.arena = arena;
    }

    @Override
    public long byteSize() {
        return segment.byteSize();
    }

    @Override
    public MemoryKind kind() {
        return kind;
    }

    /** All of the block. */
    MemorySegment segment() {
        return segment;
    }

    /** Where the block begins. */
    long address() {
        return segment.address();
    }

    /**
     * Ends every segment of the block; to be called once, before the memory goes.
     *
     * @return why they live on, if somebody is inside native code with one of them; empty if they have ended
     */
    Optional<DriverException> endSegments() {
        try {
            arena.close();
            return Optional.empty();
        } catch (IllegalStateException inUse) {
            return Optional.of(new DriverException(
                    DriverException.Kind.UNEXPECTED, 0, "Arena.close", String.valueOf(inUse.getMessage())));
        }
    }
}
