package dev.headroom.memory.engine;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * How often the names of a heap were handed out as ids: the upper half of an id, so that one that was freed is told from a later
 * one of the same name. Odd while an id is out. An entry belongs to who owns the memory of that name, so entries are read and
 * written without a lock; the pieces of the table never move, so that nobody is disturbed when it grows. Makes no garbage but
 * where it grows.
 */
final class IdTable {

    private static final int CHUNK_BITS = 10;
    private static final int CHUNK_MASK = (1 << CHUNK_BITS) - 1;
    /** Processors fetch lines of 64 bytes in pairs. */
    private static final int LINE_BITS = 5;

    private static final int LINE = 1 << LINE_BITS;

    private volatile int[][] nodes = {};
    private volatile int[][] blocks = {};

    /** The id of memory that was nobody's a moment ago. */
    long issue(int name) {
        int index = index(name);
        int[] chunk = chunk(name, index);
        if (chunk == null) {
            chunk = grow(name, index);
        }
        int count = chunk[place(index)] + 1 & Integer.MAX_VALUE;
        chunk[place(index)] = count;
        return (long) count << Integer.SIZE | Integer.toUnsignedLong(name);
    }

    /** The name behind an id in use. */
    int name(long id) {
        int name = (int) id;
        int index = index(name);
        requireInUse(id, chunk(name, index), index);
        return name;
    }

    /** The name behind an id in use, which is refused from now on. */
    int revoke(long id) {
        int name = (int) id;
        int index = index(name);
        int[] chunk = requireInUse(id, chunk(name, index), index);
        chunk[place(index)] = (int) (id >>> Integer.SIZE) + 1 & Integer.MAX_VALUE;
        return name;
    }

    private static int[] requireInUse(long id, int @Nullable [] chunk, int index) {
        int count = (int) (id >>> Integer.SIZE);
        if (chunk == null || (count & 1) == 0 || chunk[place(index)] != count) {
            throw new IllegalArgumentException("id " + id + " is not in use: it was freed, or is none of this pool's");
        }
        return chunk;
    }

    /**
     * Neighbours lie in different pairs of lines of the processor's cache: they may belong to different threads, which write at
     * once. The first pair is nobody's, for it has the length of the array, which everybody reads.
     */
    private static int place(int index) {
        int spread = (index << LINE_BITS) | ((index & CHUNK_MASK) >>> (CHUNK_BITS - LINE_BITS));
        return LINE + (spread & CHUNK_MASK);
    }

    private static int index(int name) {
        return ClassBlocks.isBlock(name) ? ClassBlocks.index(name) : name;
    }

    private int @Nullable [] chunk(int name, int index) {
        int[][] chunks = ClassBlocks.isBlock(name) ? blocks : nodes;
        int chunk = index >> CHUNK_BITS;
        return index >= 0 && chunk < chunks.length ? chunks[chunk] : null;
    }

    private synchronized int[] grow(int name, int index) {
        boolean block = ClassBlocks.isBlock(name);
        int[][] chunks = block ? blocks : nodes;
        int chunk = index >> CHUNK_BITS;
        if (chunk >= chunks.length) {
            int[][] grown = Arrays.copyOf(chunks, chunk + 1);
            for (int i = chunks.length; i <= chunk; i++) {
                grown[i] = new int[LINE + (1 << CHUNK_BITS)];
            }
            chunks = grown;
            if (block) {
                blocks = grown; // published whole
            } else {
                nodes = grown;
            }
        }
        return chunks[chunk];
    }
}
