package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;

/**
 * Brings what the driver gives to the alignment a block was asked for. The driver has no such parameter. It aligns large
 * allocations by more than any alignment there is, so asking for exactly the size is nearly always right; where it was
 * not, more is asked for, and the block begins inside.
 */
final class Alignment {

    /** How addresses are taken from a driver and given back to it. */
    interface Source {
        long take(long byteSize) throws DriverException;

        FreeOutcome giveBack(long address);
    }

    /**
     * An address the driver gave and the aligned one in it.
     *
     * @param given   what must be given back
     * @param address where the block begins
     */
    record Place(long given, long address) {}

    private Alignment() {}

    /** Takes memory that begins at a multiple of the alignment, a power of two. */
    static Place take(long byteSize, long byteAlignment, Source source) throws DriverException {
        long exact = source.take(byteSize);
        if (isAligned(exact, byteAlignment)) {
            return new Place(exact, exact);
        }
        FreeOutcome gone = source.giveBack(exact);
        if (gone.failure().isPresent()) {
            throw gone.failure().get();
        }
        long given = source.take(byteSize + byteAlignment);
        return new Place(given, (given + byteAlignment - 1) & -byteAlignment);
    }

    private static boolean isAligned(long address, long byteAlignment) {
        return (address & (byteAlignment - 1)) == 0;
    }
}
