package dev.headroom.memory.engine;

import java.util.function.IntToLongFunction;

/**
 * Freed memory kept at hand in front of a heap's book, for sizes that come and go: a thread that asks for the size it has just
 * freed neither meets the other threads at the heap's lock nor pays for splitting and merging. What lies here counts as free, but
 * the book takes it for allocated; so it is given back to the book before anybody is refused, and before memory is looked for
 * that could go back to the driver.
 *
 * <p>The cache is striped: threads spread over its stripes by their ids, virtual threads too, and nothing is bound to a thread
 * that may end. Each stripe is guarded by one word that is tried, never waited for: a holder may have been descheduled. A stripe
 * that does not seem to have what is wanted is not even tried.
 *
 * <p>Bounded in pieces of a size and in bytes. Thread-safe; makes no garbage on the way of a buffer.
 */
final class BufferCache {

    /** What {@link #take} returns when nothing is there, and {@link #put} when the memory was kept. */
    static final int NONE = SizeTable.NONE;

    /** Larger ones are rare, and would fill the bound by themselves. */
    static final long MOST_BUFFER_BYTES = 16L << 20;

    /** How many stripes are tried before a request goes to the book. */
    private static final int TRIES = 2;

    private final SizeTable table;
    private final int stripeMask;

    /**
     * An empty cache.
     *
     * @param stripes     how many threads should not meet; rounded up to a power of two
     * @param mostBytes   the most bytes of it all
     * @param mostPerSize the most pieces of a size in a stripe, above 0; no more than 61 are kept
     */
    BufferCache(int stripes, long mostBytes, int mostPerSize) {
        int count = Integer.highestOneBit(Math.max(1, 2 * stripes - 1));
        this.table = new SizeTable(count, mostBytes / count, mostPerSize);
        this.stripeMask = count - 1;
    }

    /** Takes memory of exactly a size, and counts a hit. {@link #NONE} if none is at hand. */
    int take(long byteSize) {
        int home = homeStripe();
        for (int attempt = 0; attempt < TRIES; attempt++) {
            int stripe = stripe(home + attempt);
            int set = table.set(stripe, byteSize);
            if (!table.mayHave(set, byteSize)) {
                return NONE;
            }
            if (table.tryLock(stripe)) {
                int name = table.take(stripe, set, byteSize);
                table.unlock(stripe);
                return name;
            }
        }
        return NONE;
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
        int home = homeStripe();
        for (int attempt = 0; attempt < TRIES; attempt++) {
            int stripe = stripe(home + attempt);
            int set = table.set(stripe, byteSize);
            if (!table.admits(stripe, set, byteSize)) {
                return name;
            }
            if (table.tryLock(stripe)) {
                int left = table.put(stripe, set, name, byteSize);
                table.unlock(stripe);
                return left;
            }
        }
        return name;
    }

    /** Sees the names of memory that leaves the cache. */
    @FunctionalInterface
    interface Drain {
        void accept(int[] names, int count);
    }

    /** Empties the cache, stripe by stripe; whoever sees the names has the memory. True if there was any. */
    boolean drain(Drain drain) {
        int[] names = new int[table.mostNames()];
        boolean any = false;
        for (int number = 0; number <= stripeMask; number++) {
            int stripe = stripe(number);
            if (table.isEmpty(stripe)) {
                continue;
            }
            table.lock(stripe);
            int count = table.empty(stripe, names);
            table.unlock(stripe);
            if (count > 0) {
                drain.accept(names, count);
                any = true;
            }
        }
        return any;
    }

    /** Keeps nothing any more; what is still here is forgotten, for its heap is closed. */
    void close() {
        for (int number = 0; number <= stripeMask; number++) {
            int stripe = stripe(number);
            table.lock(stripe);
            table.close(stripe);
            table.unlock(stripe);
        }
    }

    /** Shuts everybody out, so that the figures are those of one moment. Before the heap's lock, never after it. */
    void lockAll() {
        for (int number = 0; number <= stripeMask; number++) {
            table.lock(stripe(number));
        }
    }

    /** Lets everybody in again. */
    void unlockAll() {
        for (int number = 0; number <= stripeMask; number++) {
            table.unlock(stripe(number));
        }
    }

    /** Bytes that lie here. Exact between {@link #lockAll} and {@link #unlockAll}. */
    long byteSize() {
        return sum(table::byteSize);
    }

    /** Pieces that lie here. Exact between {@link #lockAll} and {@link #unlockAll}. */
    long entries() {
        return sum(table::entries);
    }

    /** Requests that were served from here. Exact between {@link #lockAll} and {@link #unlockAll}. */
    long hits() {
        return sum(table::hits);
    }

    /** Counts hits anew. Between {@link #lockAll} and {@link #unlockAll}. */
    void resetHits() {
        for (int number = 0; number <= stripeMask; number++) {
            table.resetHits(stripe(number));
        }
    }

    /** The most bytes it keeps. */
    long mostBytes() {
        return table.mostBytes();
    }

    /** Checks its figures against what is in it; for tests. Between {@link #lockAll} and {@link #unlockAll}. */
    void validate() {
        for (int number = 0; number <= stripeMask; number++) {
            table.validate(stripe(number));
        }
    }

    private long sum(IntToLongFunction figure) {
        long sum = 0;
        for (int number = 0; number <= stripeMask; number++) {
            sum += figure.applyAsLong(stripe(number));
        }
        return sum;
    }

    private int homeStripe() {
        return (int) Thread.currentThread().threadId();
    }

    private int stripe(int number) {
        return table.stripe(number & stripeMask);
    }
}
