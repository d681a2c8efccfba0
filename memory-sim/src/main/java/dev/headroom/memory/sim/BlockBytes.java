package dev.headroom.memory.sim;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of one block. A page exists from its first use on and is filled with a pattern then, so that contents
 * nobody wrote are seen for what they are. Guarded by the lock of the clock.
 */
final class BlockBytes {

    private static final long PAGE = 64 << 10;

    private final long byteSize;
    private final long byteAlignment;
    /** Without contents only the books are kept. */
    private final boolean hollow;

    private final PhysicalMemory place;
    private final RangeSet present = new RangeSet();
    /** Pages that had memory once and lost it. */
    private final RangeSet stale = new RangeSet();

    private final RangeSet touched = new RangeSet();
    /** Which bytes were ever written, if that is watched. */
    private final @Nullable RangeSet written;

    private @Nullable Arena arena;
    private @Nullable MemorySegment segment;

    BlockBytes(long byteSize, long byteAlignment, PhysicalMemory place, boolean hollow, boolean watchWrites) {
        this.byteSize = byteSize;
        this.byteAlignment = byteAlignment;
        this.place = place;
        this.hollow = hollow;
        this.written = watchWrites ? new RangeSet() : null;
    }

    boolean isHollow() {
        return hollow;
    }

    /** The bytes of a range, to be read. */
    MemorySegment at(long byteOffset, long size) {
        if (segment == null) {
            arena = Arena.ofShared();
            // A hollow block is mapped now and then, and its bytes go nowhere.
            segment = NativePages.reserve(byteSize, byteAlignment, arena);
        }
        MemorySegment all = segment;
        long from = byteOffset & -PAGE;
        long to = Math.min(byteSize, (byteOffset + size + PAGE - 1) & -PAGE);
        for (RangeSet.Range gap : present.gaps(from, to)) {
            all.asSlice(gap.start(), gap.end() - gap.start()).fill(SimulatedDevice.FRESH_POISON);
            for (RangeSet.Range old : stale.within(gap.start(), gap.end())) {
                all.asSlice(old.start(), old.end() - old.start()).fill(SimulatedDevice.FREED_POISON);
            }
            present.add(gap.start(), gap.end());
        }
        return all.asSlice(byteOffset, size);
    }

    /** Notes that a range is written, now or by whoever was given its bytes. */
    void markWritten(long byteOffset, long size) {
        place.touch(touched.add(byteOffset & -PAGE, Math.min(byteSize, (byteOffset + size + PAGE - 1) & -PAGE)));
        if (written != null) {
            written.add(byteOffset, byteOffset + size);
        }
    }

    /** Whether every byte of a range was written, as far as that is watched. */
    boolean isWritten(long byteOffset, long size) {
        return written == null || written.containsAll(byteOffset, byteOffset + size);
    }

    /** Copies bytes from another block, and with them the knowledge which of them were ever written. */
    void copyFrom(BlockBytes source, long sourceOffset, long byteOffset, long size) {
        if (!hollow && !source.hollow) {
            MemorySegment.copy(source.at(sourceOffset, size), 0, at(byteOffset, size), 0, size);
        }
        List<RangeSet.Range> known =
                source.written == null ? List.of() : source.written.within(sourceOffset, sourceOffset + size);
        markWritten(byteOffset, size);
        if (written != null && source.written != null) {
            written.remove(byteOffset, byteOffset + size);
            long shift = byteOffset - sourceOffset;
            known.forEach(range -> written.add(range.start() + shift, range.end() + shift));
        }
    }

    /** Takes the memory from a range: what is there next time is a pattern of its own. */
    void discard(long byteOffset, long size) {
        present.remove(byteOffset, byteOffset + size);
        stale.add(byteOffset, byteOffset + size);
        place.touch(-touched.remove(byteOffset, byteOffset + size));
        if (written != null) {
            written.remove(byteOffset, byteOffset + size);
        }
    }

    /** Gives everything back; segments handed out die. */
    void release() {
        place.touch(-touched.remove(0, byteSize));
        segment = null;
        if (arena != null) {
            arena.close();
            arena = null;
        }
    }
}
