package dev.headroom.memory.engine;

import java.util.Arrays;

/**
 * Where blocks of classes lie, by their numbers. Written with the heap's lock held; read without it by whoever owns the
 * allocation, who got its name after it was written. The pieces of the table never move, so that a reader is not disturbed when
 * it grows. Makes no garbage but where it grows.
 */
final class PlaceTable {

    private static final int CHUNK_BITS = 8;
    private static final int CHUNK_MASK = (1 << CHUNK_BITS) - 1;

    // An entry is two longs: the region above the offset, and the size.
    private static final int ENTRY_SHIFT = 1;
    private static final int OFFSET_BITS = 47;
    private static final long OFFSET_MASK = (1L << OFFSET_BITS) - 1;

    private volatile long[][] chunks = {};

    /** Enters an allocation, or what its name stands for now. With the heap's lock held. */
    void put(int index, int region, long byteOffset, long byteSize) {
        int chunk = index >> CHUNK_BITS;
        if (chunk >= chunks.length) {
            growTo(chunk);
        }
        long[] entries = chunks[chunk];
        int at = (index & CHUNK_MASK) << ENTRY_SHIFT;
        entries[at] = (long) region << OFFSET_BITS | byteOffset;
        entries[at + 1] = byteSize;
    }

    /** The region an allocation lies in. */
    int region(int index) {
        return (int) (chunks[index >> CHUNK_BITS][(index & CHUNK_MASK) << ENTRY_SHIFT] >>> OFFSET_BITS);
    }

    /** Where it begins in its region. */
    long byteOffset(int index) {
        return chunks[index >> CHUNK_BITS][(index & CHUNK_MASK) << ENTRY_SHIFT] & OFFSET_MASK;
    }

    /** What it takes up, rounded. */
    long byteSize(int index) {
        return chunks[index >> CHUNK_BITS][((index & CHUNK_MASK) << ENTRY_SHIFT) + 1];
    }

    private void growTo(int chunk) {
        long[][] grown = Arrays.copyOf(chunks, chunk + 1);
        for (int i = chunks.length; i <= chunk; i++) {
            grown[i] = new long[1 << (CHUNK_BITS + ENTRY_SHIFT)];
        }
        chunks = grown; // published whole
    }
}
