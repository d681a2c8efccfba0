package dev.headroom.memory.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * Names of free memory by exact size: the <em>stripes</em> of a {@link BufferCache}, or the one of a {@link ThreadCache}. A stripe
 * is a small direct-mapped table of sets, and a set holds names of one size. Rounding to size classes would serve more requests
 * and waste memory. Only sizes that were freed twice in a row in their set are kept, so that sizes which never come again pass
 * by; a size in steady use keeps its set. What lies here splits the free ranges of the book around it, and so is bounded
 * narrowly; a larger piece is kept where nothing else is, for loops over one large size, and gives way to smaller ones.
 *
 * <p>One array for all stripes: a word that guards a stripe and the sums of it share a line, and a set takes up a line or two. Not
 * thread-safe: who guards a stripe is the caller's affair. The two methods that only look, {@link #mayHave} and {@link #admits},
 * need no guard; what they say is a guess by the time it is used. Makes no garbage.
 */
final class SizeTable {

    /** What {@link #take} returns when nothing is there, and {@link #put} when the memory was kept. */
    static final int NONE = Tlsf.NONE;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    // A stripe begins with a line nobody uses, so that it shares none with the one before.
    private static final int GUARD = 8;
    private static final int BYTES = 9;
    private static final int HITS = 10;
    private static final int CLOSED = 11;
    private static final int LARGE_SET = 12;
    private static final int FIRST_SET = 16;

    // A set: a size, the one that may replace it, and names.
    private static final int SIZE = 0;
    private static final int COUNT = 1;
    private static final int RIVAL = 2;
    private static final int NAMES = 3;
    private static final int LINE = 8;
    private static final int MOST_LINES = 8;
    private static final int SET_BITS = 5;
    private static final int SETS = 1 << SET_BITS;

    /**
     * The most that several pieces of a stripe have together. With 64 MiB traces of 7B models took 1 to 8 % more of the memory
     * that moves.
     */
    static final long MOST_CROWD_BYTES = 8L << 20;

    /** A few bits of a multiplicative hash tell the sizes of one program apart. */
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final long[] words;
    private final int stripes;
    private final int stripeWords;
    private final long stripeBytes;
    private final long crowdBytes;
    private final int depth;
    private final int setShift;

    /**
     * Empty stripes.
     *
     * @param stripes     how many
     * @param stripeBytes the most bytes of a stripe
     * @param mostPerSize the most names of a size in a stripe, above 0; no more than 61 are kept
     */
    SizeTable(int stripes, long stripeBytes, int mostPerSize) {
        this.stripes = stripes;
        this.stripeBytes = stripeBytes;
        this.crowdBytes = Math.min(stripeBytes, MOST_CROWD_BYTES);
        this.depth = Math.min(mostPerSize, MOST_LINES * LINE - NAMES);
        this.setShift = Integer.SIZE - Integer.numberOfLeadingZeros(Math.max(LINE, NAMES + depth) - 1);
        this.stripeWords = FIRST_SET + (SETS << setShift);
        this.words = new long[stripes * stripeWords + LINE];
    }

    /** A stripe by its number, as the other methods want it. */
    int stripe(int number) {
        return number * stripeWords;
    }

    /** Where a stripe would keep a size. */
    int set(int stripe, long byteSize) {
        return stripe + FIRST_SET + ((int) ((byteSize * GOLDEN) >>> (Long.SIZE - SET_BITS)) << setShift);
    }

    /** The most bytes all stripes keep. */
    long mostBytes() {
        return stripeBytes * stripes;
    }

    /** The most names a stripe keeps. */
    int mostNames() {
        return SETS * depth;
    }

    /** Whether a set seems to have memory of a size. */
    boolean mayHave(int set, long byteSize) {
        return (long) WORD.getOpaque(words, set + SIZE) == byteSize && (long) WORD.getOpaque(words, set + COUNT) != 0;
    }

    /** Takes memory of exactly a size, and counts a hit. */
    int take(int stripe, int set, long byteSize) {
        int count = (int) words[set + COUNT];
        if (words[set + SIZE] != byteSize || count == 0) {
            return NONE;
        }
        setWord(set + COUNT, count - 1L);
        words[set + RIVAL] = 0;
        remove(stripe, byteSize);
        words[stripe + HITS]++;
        return (int) words[set + NAMES + count - 1];
    }

    /** Whether a set would keep memory of a size, or make room for it; one that does not remembers that the size was there. */
    boolean admits(int stripe, int set, long byteSize) {
        if ((long) WORD.getOpaque(words, set + SIZE) == byteSize) {
            return (long) WORD.getOpaque(words, set + COUNT) < depth && hasRoom(stripe, byteSize);
        }
        if ((long) WORD.getOpaque(words, set + RIVAL) == byteSize) {
            return true;
        }
        setWord(set + RIVAL, byteSize);
        return false;
    }

    /** Whether a stripe has room for a piece, or will have once its large one gives way. */
    private boolean hasRoom(int stripe, long byteSize) {
        long bytes = byteSize(stripe);
        return bytes + byteSize <= (bytes == 0 ? stripeBytes : crowdBytes)
                || (byteSize <= crowdBytes && (long) WORD.getOpaque(words, stripe + LARGE_SET) != 0);
    }

    /**
     * Offers free memory.
     *
     * @return {@link #NONE} if it was kept; otherwise the caller still has it, and if another name is returned, that one too
     */
    int put(int stripe, int set, int name, long byteSize) {
        int count = (int) words[set + COUNT];
        if (words[set + SIZE] != byteSize) {
            if (count > 0) { // nobody asked for the old size between two frees of this one: it goes, one by one
                setWord(set + COUNT, count - 1L);
                remove(stripe, words[set + SIZE]);
                return (int) words[set + NAMES + count - 1];
            }
            setWord(set + SIZE, byteSize);
        }
        words[set + RIVAL] = 0;
        if (count == depth || words[stripe + CLOSED] != 0) {
            return name;
        }
        long bytes = words[stripe + BYTES] + byteSize;
        if (bytes > (bytes == byteSize ? stripeBytes : crowdBytes)) {
            return byteSize > crowdBytes ? name : makeRoom(stripe, name);
        }
        words[set + NAMES + count] = name;
        setWord(set + COUNT, count + 1L);
        setWord(stripe + BYTES, bytes);
        setWord(stripe + LARGE_SET, byteSize > crowdBytes ? set : 0);
        return NONE;
    }

    /** A large piece gives way to smaller ones; the next of them will be kept. */
    private int makeRoom(int stripe, int name) {
        int set = (int) words[stripe + LARGE_SET];
        if (set == 0) {
            return name;
        }
        setWord(set + COUNT, 0);
        remove(stripe, words[set + SIZE]);
        return (int) words[set + NAMES];
    }

    private void remove(int stripe, long byteSize) {
        setWord(stripe + BYTES, words[stripe + BYTES] - byteSize);
        setWord(stripe + LARGE_SET, 0); // the large piece is alone
    }

    /** Whether a stripe seems empty. */
    boolean isEmpty(int stripe) {
        return byteSize(stripe) == 0;
    }

    /** Empties a stripe. Returns how many names it had. */
    int empty(int stripe, int[] names) {
        int found = 0;
        for (int set = stripe + FIRST_SET; set < stripe + stripeWords; set += 1 << setShift) {
            for (int i = 0; i < words[set + COUNT]; i++) {
                names[found++] = (int) words[set + NAMES + i];
            }
            setWord(set + COUNT, 0);
        }
        setWord(stripe + BYTES, 0);
        setWord(stripe + LARGE_SET, 0);
        return found;
    }

    /** Forgets what a stripe has; it keeps nothing from now on. */
    void close(int stripe) {
        words[stripe + CLOSED] = 1;
        int _ = empty(stripe, new int[mostNames()]);
    }

    /** Bytes in a stripe. */
    long byteSize(int stripe) {
        return (long) WORD.getOpaque(words, stripe + BYTES);
    }

    /** Names in a stripe. */
    long entries(int stripe) {
        long entries = 0;
        for (int set = stripe + FIRST_SET; set < stripe + stripeWords; set += 1 << setShift) {
            entries += (long) WORD.getOpaque(words, set + COUNT);
        }
        return entries;
    }

    /** Requests a stripe served. */
    long hits(int stripe) {
        return (long) WORD.getOpaque(words, stripe + HITS);
    }

    void resetHits(int stripe) {
        words[stripe + HITS] = 0;
    }

    /** Shuts others out of a stripe; false if somebody is in. */
    boolean tryLock(int stripe) {
        int guard = stripe + GUARD;
        return words[guard] == 0 && WORD.compareAndSet(words, guard, 0L, 1L);
    }

    void lock(int stripe) {
        for (int round = 0; !WORD.compareAndSet(words, stripe + GUARD, 0L, 1L); round++) {
            EngineLock.pause(round, words);
        }
    }

    void unlock(int stripe) {
        WORD.setRelease(words, stripe + GUARD, 0L);
    }

    /** Checks the figures of a stripe against what is in it; for tests. */
    void validate(int stripe) {
        long bytes = 0;
        for (int set = stripe + FIRST_SET; set < stripe + stripeWords; set += 1 << setShift) {
            bytes += words[set + SIZE] * words[set + COUNT];
        }
        long counted = byteSize(stripe);
        if (bytes != counted || bytes > (entries(stripe) == 1 ? stripeBytes : crowdBytes)) {
            throw new IllegalStateException("a stripe of the cache counts %d bytes of at most %d, but has %d"
                    .formatted(counted, stripeBytes, bytes));
        }
    }

    /** A word that others look at without the guard. */
    private void setWord(int index, long value) {
        WORD.setOpaque(words, index, value);
    }
}
