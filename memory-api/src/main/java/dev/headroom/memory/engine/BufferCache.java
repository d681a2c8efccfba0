package dev.headroom.memory.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * Freed memory kept at hand in front of a heap's book, for sizes that come and go: a thread that asks for the size it has just
 * freed neither meets the other threads at the heap's lock nor pays for splitting and merging. What lies here counts as free, but
 * the book takes it for allocated; so it is given back to the book before anybody is refused, and before memory is looked for
 * that could go back to the driver.
 *
 * <p>The cache is striped: threads spread over its stripes by their ids, virtual threads too, and nothing is bound to a thread
 * that may end. Each stripe is guarded by one word that is tried, never waited for: a holder may have been descheduled. A
 * stripe is a small direct-mapped table of exact sizes. Rounding to size classes would serve more requests and waste memory;
 * only sizes that were freed twice in a row in their place of the table are kept, so that sizes which never come again pass
 * by. A size that is in steady use keeps its place.
 *
 * <p>Bounded in pieces of a size and in bytes, and the more narrowly the more pieces there are: what lies here splits the free
 * ranges of the book around it. Thread-safe; makes no garbage on the way of a buffer.
 */
final class BufferCache {

    /** What {@link #take} returns when nothing is there, and {@link #put} when the memory was kept. */
    static final int NONE = Tlsf.NONE;

    /** Larger ones are rare, and would fill the bound by themselves. */
    static final long MOST_BUFFER_BYTES = 16L << 20;

    /** The most that several pieces of a stripe have together. With 64 MiB traces of 7B models took 1 to 8 % more of the memory that moves. */
    static final long MOST_CROWD_BYTES = 8L << 20;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    // A stripe is one array: a line of words nobody uses, its own words, and its sets.
    private static final int GUARD = 8;
    private static final int BYTES = 9;
    private static final int ENTRIES = 10;
    private static final int HITS = 11;
    private static final int CLOSED = 12;
    private static final int FIRST_SET = 16;

    // A set is a line or a few: a size, the one that may replace it, and names of free memory of that size.
    private static final int SIZE = 0;
    private static final int COUNT = 1;
    private static final int RIVAL = 2;
    private static final int NAMES = 3;
    private static final int LINE = 8;
    private static final int MOST_LINES = 8;
    private static final int SET_BITS = 5;
    private static final int SETS = 1 << SET_BITS;

    /** A few bits of a multiplicative hash tell the sizes of one program apart. */
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    /** How many stripes are tried before a request goes to the book. */
    private static final int TRIES = 2;

    private final long[][] stripes;
    private final int stripeMask;
    private final long stripeBytes;
    private final long crowdBytes;
    private final int depth;
    private final int stride;

    /**
     * An empty cache.
     *
     * @param stripes     how many threads should not meet; rounded up to a power of two
     * @param mostBytes   the most bytes of it all
     * @param mostPerSize the most pieces of a size in a stripe, above 0; no more than 61 are kept
     */
    BufferCache(int stripes, long mostBytes, int mostPerSize) {
        int count = Integer.highestOneBit(Math.max(1, 2 * stripes - 1));
        this.depth = Math.min(mostPerSize, MOST_LINES * LINE - NAMES);
        this.stride = (NAMES + depth + LINE - 1) / LINE * LINE;
        this.stripes = new long[count][FIRST_SET + SETS * stride + GUARD];
        this.stripeMask = count - 1;
        this.stripeBytes = mostBytes / count;
        this.crowdBytes = Math.min(stripeBytes, MOST_CROWD_BYTES);
    }

    /** Takes memory of exactly a size, and counts a hit. {@link #NONE} if none is at hand. */
    int take(long byteSize) {
        for (int attempt = 0, stripe = homeStripe(); attempt < TRIES; attempt++, stripe++) {
            long[] words = stripes[stripe & stripeMask];
            if (tryLock(words)) {
                int name = take(words, setOf(byteSize), byteSize);
                unlock(words);
                return name;
            }
        }
        return NONE;
    }

    private static int take(long[] words, int set, long byteSize) {
        int count = (int) words[set + COUNT];
        if (words[set + SIZE] != byteSize || count == 0) {
            return NONE;
        }
        words[set + COUNT] = count - 1L;
        words[set + RIVAL] = 0;
        words[BYTES] -= byteSize;
        words[ENTRIES]--;
        words[HITS]++;
        return (int) words[set + NAMES + count - 1];
    }

    /**
     * Offers free memory.
     *
     * @return {@link #NONE} if it was kept; otherwise the caller still has it, and if another name is returned, that one too
     */
    int put(int name, long byteSize) {
        if (byteSize > MOST_BUFFER_BYTES) {
            return name;
        }
        for (int attempt = 0, stripe = homeStripe(); attempt < TRIES; attempt++, stripe++) {
            long[] words = stripes[stripe & stripeMask];
            if (tryLock(words)) {
                int left = put(words, setOf(byteSize), name, byteSize);
                unlock(words);
                return left;
            }
        }
        return name;
    }

    private int put(long[] words, int set, int name, long byteSize) {
        int count = (int) words[set + COUNT];
        if (words[set + SIZE] != byteSize) {
            if (words[set + RIVAL] != byteSize) {
                words[set + RIVAL] = byteSize;
                return name;
            }
            if (count > 0) { // nobody asked for the old size between two frees of this one: it goes, one by one
                return evict(words, set, count);
            }
            words[set + SIZE] = byteSize;
        }
        words[set + RIVAL] = 0;
        long most = words[BYTES] == 0 ? stripeBytes : crowdBytes;
        if (count == depth || words[BYTES] + byteSize > most || words[CLOSED] != 0) {
            return name;
        }
        words[set + NAMES + count] = name;
        words[set + COUNT] = count + 1L;
        words[BYTES] += byteSize;
        words[ENTRIES]++;
        return NONE;
    }

    private static int evict(long[] words, int set, int count) {
        words[set + COUNT] = count - 1L;
        words[BYTES] -= words[set + SIZE];
        words[ENTRIES]--;
        return (int) words[set + NAMES + count - 1];
    }

    /** Sees the names of memory that leaves the cache. */
    @FunctionalInterface
    interface Drain {
        void accept(int[] names, int count);
    }

    /** Empties the cache, stripe by stripe; whoever sees the names has the memory. True if there was any. */
    boolean drain(Drain drain) {
        int[] names = new int[SETS * depth];
        boolean any = false;
        for (long[] words : stripes) {
            if (isEmpty(words)) {
                continue;
            }
            lock(words);
            int count = empty(words, names);
            unlock(words);
            if (count > 0) {
                drain.accept(names, count);
                any = true;
            }
        }
        return any;
    }

    private static boolean isEmpty(long[] words) {
        return (long) WORD.getOpaque(words, ENTRIES) == 0;
    }

    private int empty(long[] words, int[] names) {
        int found = 0;
        for (int set = FIRST_SET; set < FIRST_SET + SETS * stride; set += stride) {
            for (int i = 0; i < words[set + COUNT]; i++) {
                names[found++] = (int) words[set + NAMES + i];
            }
            words[set + COUNT] = 0;
        }
        words[BYTES] = 0;
        words[ENTRIES] = 0;
        return found;
    }

    /** Keeps nothing any more; what is still here is forgotten, for its heap is closed. */
    void close() {
        for (long[] words : stripes) {
            lock(words);
            words[CLOSED] = 1;
            Arrays.fill(words, FIRST_SET, FIRST_SET + SETS * stride, 0);
            words[BYTES] = 0;
            words[ENTRIES] = 0;
            unlock(words);
        }
    }

    /** Shuts everybody out, so that the figures are those of one moment. Before the heap's lock, never after it. */
    void lockAll() {
        for (long[] words : stripes) {
            lock(words);
        }
    }

    /** Lets everybody in again. */
    void unlockAll() {
        for (long[] words : stripes) {
            unlock(words);
        }
    }

    /** Bytes that lie here. Exact between {@link #lockAll} and {@link #unlockAll}. */
    long byteSize() {
        return sum(BYTES);
    }

    /** Pieces that lie here. Exact between {@link #lockAll} and {@link #unlockAll}. */
    long entries() {
        return sum(ENTRIES);
    }

    /** Requests that were served from here. Exact between {@link #lockAll} and {@link #unlockAll}. */
    long hits() {
        return sum(HITS);
    }

    /** Counts hits anew. Between {@link #lockAll} and {@link #unlockAll}. */
    void resetHits() {
        for (long[] words : stripes) {
            words[HITS] = 0;
        }
    }

    /** The most bytes it keeps. */
    long mostBytes() {
        return stripeBytes * stripes.length;
    }

    /** Checks its figures against what is in it; for tests. Between {@link #lockAll} and {@link #unlockAll}. */
    void validate() {
        for (long[] words : stripes) {
            long bytes = 0;
            long entries = 0;
            for (int set = FIRST_SET; set < FIRST_SET + SETS * stride; set += stride) {
                bytes += words[set + SIZE] * words[set + COUNT];
                entries += words[set + COUNT];
            }
            if (bytes != words[BYTES]
                    || entries != words[ENTRIES]
                    || bytes > (entries > 1 ? crowdBytes : stripeBytes)) {
                throw new IllegalStateException("a stripe of the cache counts %d bytes in %d pieces, but has %d in %d"
                        .formatted(words[BYTES], words[ENTRIES], bytes, entries));
            }
        }
    }

    private long sum(int word) {
        long sum = 0;
        for (long[] words : stripes) {
            sum += (long) WORD.getOpaque(words, word);
        }
        return sum;
    }

    private int setOf(long byteSize) {
        return FIRST_SET + (int) ((byteSize * GOLDEN) >>> (Long.SIZE - SET_BITS)) * stride;
    }

    private static int homeStripe() {
        return (int) Thread.currentThread().threadId();
    }

    private static boolean tryLock(long[] words) {
        return words[GUARD] == 0 && WORD.compareAndSet(words, GUARD, 0L, 1L);
    }

    private static void lock(long[] words) {
        for (int round = 0; !WORD.compareAndSet(words, GUARD, 0L, 1L); round++) {
            EngineLock.pause(round, words);
        }
    }

    private static void unlock(long[] words) {
        WORD.setRelease(words, GUARD, 0L);
    }
}
