package dev.headroom.memory;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * An index of the words of {@link BlockWords}: marked wherever something is free, and perhaps where nothing is. Thread-safe. Who
 * frees looks at the mark after its free; who takes a mark away looks for frees after that.
 */
final class OpenWords {

    static final int NONE = -1;

    private static final VarHandle LONGS = MethodHandles.arrayElementVarHandle(long[].class);

    private final int wordCount;
    private final long[] marks;

    /** The first entry that is not 0; a hint. */
    private volatile int lowest;

    OpenWords(int wordCount) {
        this.wordCount = wordCount;
        this.marks = new long[(wordCount + Long.SIZE - 1) / Long.SIZE];
    }

    /** The lowest word that is marked, or {@link #NONE}. */
    int lowest() {
        int start = lowest * Long.SIZE;
        int word = next(start, wordCount);
        if (word == NONE) {
            word = next(0, start);
        }
        if (word != NONE) {
            lowest = word / Long.SIZE;
        }
        return word;
    }

    /** The next word that is marked, or {@link #NONE}. */
    int next(int from, int to) {
        for (int i = from; i < to; i = (i | (Long.SIZE - 1)) + 1) {
            long rest = (long) LONGS.getVolatile(marks, i / Long.SIZE) >>> i;
            if (rest != 0) {
                int word = i + Long.numberOfTrailingZeros(rest);
                return word < to ? word : NONE;
            }
        }
        return NONE;
    }

    boolean isMarked(int word) {
        return ((long) LONGS.getVolatile(marks, word / Long.SIZE) & 1L << word) != 0;
    }

    void mark(int word) {
        int index = word / Long.SIZE;
        if (!isMarked(word)) {
            long ignored = (long) LONGS.getAndBitwiseOr(marks, index, 1L << word);
        }
        if (index < lowest) {
            lowest = index;
        }
    }

    void unmark(int word) {
        long ignored = (long) LONGS.getAndBitwiseAnd(marks, word / Long.SIZE, ~(1L << word));
    }
}
