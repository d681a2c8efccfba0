package dev.headroom.memory;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Two bits for each block, 32 blocks to a word, one bit in each half: free, or in use. Neither means that the block waits for
 * work, or has no memory, or lies in a slab that is kept aside; both, that everything is closed. Each change is one
 * compare-and-set, so nobody waits for anybody, and a second free, however it meets the first, finds a block that is not in use.
 * Neighbouring words lie in different cache lines. Thread-safe.
 */
class BlockWords {

    static final int BLOCKS_PER_WORD = 32;

    /** The states of a block, as the bits of the first one of a word. */
    static final long FREE = 1;

    static final long IN_USE = 1L << Integer.SIZE;
    static final long NEITHER = 0;

    /** All blocks of a word are free, or closed. */
    static final long ALL_FREE = 0xFFFF_FFFFL;

    static final long CLOSED = -1;

    private static final VarHandle LONGS = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int WORDS_PER_LINE = 8;
    private static final int LEAST_LINES = 16;

    private final int wordCount;
    private final int lineMask;
    private final int lineBits;
    private final long[] words;
    private final OpenWords open;

    BlockWords(int wordCount, OpenWords open) {
        this.wordCount = wordCount;
        this.open = open;
        int lines = Math.max(LEAST_LINES, Integer.highestOneBit(wordCount / WORDS_PER_LINE) << 1);
        lineMask = lines - 1;
        lineBits = Integer.numberOfTrailingZeros(lines);
        words = new long[lines * WORDS_PER_LINE];
    }

    final int wordCount() {
        return wordCount;
    }

    final long read(int word) {
        return (long) LONGS.getVolatile(words, place(word));
    }

    /** Tries once to take the first free block of a word; its bit, or -1 if there is none or another thread was there too. */
    final int tryFirst(int word) {
        int place = place(word);
        long now = (long) LONGS.getOpaque(words, place);
        int free = freeIn(now);
        int bit = Integer.numberOfTrailingZeros(free);
        return free != 0 && LONGS.compareAndSet(words, place, now, now ^ (FREE | IN_USE) << bit) ? bit : -1;
    }

    /** Takes up to so many blocks of a word: their bits. */
    final int take(int word, int count) {
        int place = place(word);
        while (true) {
            long now = (long) LONGS.getVolatile(words, place);
            int free = freeIn(now);
            if (free == 0) {
                exhausted(word);
                return 0;
            }
            int taken = count < Integer.bitCount(free) ? Integer.expand((1 << count) - 1, free) : free;
            if (LONGS.compareAndSet(words, place, now, now ^ (taken & ALL_FREE) * (FREE | IN_USE))) {
                return taken;
            }
        }
    }

    /** Brings blocks of a word from one state to another, if all are in it. No word of that number is no such block. */
    final boolean move(int word, int mask, long from, long to) {
        if (word >= wordCount) {
            return false;
        }
        int place = place(word);
        long bits = mask & ALL_FREE;
        while (true) {
            long now = (long) LONGS.getVolatile(words, place);
            if ((now & bits * (FREE | IN_USE)) != bits * from) {
                return false;
            }
            if (LONGS.compareAndSet(words, place, now, now ^ bits * (from ^ to))) {
                if (to == FREE && freeIn(now) == 0) {
                    open.mark(word);
                }
                return true;
            }
        }
    }

    /** Takes all blocks out of their state, if all are free. */
    final boolean claim(int from, int to) {
        for (int word = from; word < to; word++) {
            if (read(word) != ALL_FREE) {
                return false; // as a rule at the first look, and nobody has noticed
            }
        }
        for (int word = from; word < to; word++) {
            if (!LONGS.compareAndSet(words, place(word), ALL_FREE, 0L)) {
                unclaim(from, word);
                return false;
            }
        }
        for (int word = from; word < to; word++) {
            open.unmark(word);
        }
        return true;
    }

    /** Makes all blocks free that are in neither state. */
    final void unclaim(int from, int to) {
        for (int word = from; word < to; word++) {
            LONGS.setVolatile(words, place(word), ALL_FREE);
            open.mark(word);
        }
    }

    /** What a word was before nobody could use it any more. */
    final long close(int word) {
        return (long) LONGS.getAndSet(words, place(word), CLOSED);
    }

    static int freeIn(long word) {
        return (int) (word & ~(word >>> Integer.SIZE));
    }

    static int usedIn(long word) {
        return (int) (word >>> Integer.SIZE);
    }

    private void exhausted(int word) {
        open.unmark(word);
        if (freeIn(read(word)) != 0) {
            open.mark(word);
        }
    }

    private int place(int word) {
        return (word & lineMask) << 3 | word >>> lineBits;
    }
}
