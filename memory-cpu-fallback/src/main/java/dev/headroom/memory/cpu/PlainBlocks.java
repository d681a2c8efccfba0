package dev.headroom.memory.cpu;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Blocks from Java itself: works on every system and asks for no permission. Java clears what it gives, so taking a
 * block touches all of it, and memory that is never used is paid for all the same.
 */
final class PlainBlocks implements BlockSource {

    /** The page of most systems. Nothing here depends on it; it keeps small blocks from being odd. */
    private static final long GRANULARITY = 4096;

    @Override
    public long granularity() {
        return GRANULARITY;
    }

    @Override
    public HostBlock allocate(long byteSize, long byteAlignment, MemoryKind kind) throws DriverException {
        Arena arena = Arena.ofShared();
        try {
            MemorySegment segment = arena.allocate(byteSize, byteAlignment);
            return new HostBlock(kind, segment, arena);
        } catch (OutOfMemoryError refused) {
            arena.close();
            throw new DriverException(
                    DriverException.Kind.OUT_OF_MEMORY, 0, "Arena.allocate", String.valueOf(refused.getMessage()));
        }
    }

    @Override
    public FreeOutcome free(HostBlock block) {
        // The arena owns the memory: ending the segments gives it back.
        return block.endSegments().map(FreeOutcome::failed).orElse(FreeOutcome.freed());
    }
}
