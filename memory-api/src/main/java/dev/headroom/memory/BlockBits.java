package dev.headroom.memory;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Which blocks of a {@link FixedBlockPool} are free, without any memory. Thread-safe: nobody who takes or frees waits for
 * anybody; slabs come and go under the monitor of this object.
 *
 * <p>Each stripe of threads remembers the word it took from last and stays in that word, then in that slab, while something is
 * free there; one that meets another thread goes on to another word. From one slab to the next the lowest that is partly used is
 * preferred, and empty ones met on the way are kept aside, so that they stay empty.
 */
final class BlockBits extends BlockWords {

    static final int NONE = OpenWords.NONE;

    private static final VarHandle INTS = MethodHandles.arrayElementVarHandle(int[].class);
    private static final int INTS_PER_LINE = 16;

    /** What a slab is; the words of one that is not in service are 0. */
    private enum Slab {
        ABSENT,
        IN_SERVICE,
        ASIDE
    }

    private final int wordsPerSlab;
    private final OpenWords open;
    /** For each stripe the word it took from last, on a cache line of its own. */
    private final int[] hints;

    private final int stripeMask;
    private final Slab[] slabs;
    private boolean closed;

    /** Books without a slab. */
    static BlockBits of(int blocksPerSlab, int slabCount) {
        int wordsPerSlab = blocksPerSlab / BLOCKS_PER_WORD;
        return new BlockBits(wordsPerSlab, slabCount, new OpenWords(wordsPerSlab * slabCount));
    }

    private BlockBits(int wordsPerSlab, int slabCount, OpenWords open) {
        super(wordsPerSlab * slabCount, open);
        this.wordsPerSlab = wordsPerSlab;
        this.open = open;
        this.stripeMask = Integer.highestOneBit(Runtime.getRuntime().availableProcessors()) * 4 - 1;
        this.hints = new int[(stripeMask + 2) * INTS_PER_LINE];
        this.slabs = new Slab[slabCount];
        Arrays.fill(slabs, Slab.ABSENT);
    }

    int blocksPerSlab() {
        return wordsPerSlab * BLOCKS_PER_WORD;
    }

    /** Takes a free block, if there is one; else {@link #NONE}. */
    int take() {
        int stripe = stripe();
        int word = (int) INTS.getOpaque(hints, stripe);
        int bit = tryFirst(word);
        return bit >= 0 ? word * BLOCKS_PER_WORD + bit : takeElsewhere(stripe, word);
    }

    private int takeElsewhere(int stripe, int last) {
        for (int word = next(last); word != NONE; word = next(word)) {
            int taken = take(word, 1);
            if (taken != 0) {
                INTS.setOpaque(hints, stripe, word);
                return word * BLOCKS_PER_WORD + Integer.numberOfTrailingZeros(taken);
            }
        }
        return NONE;
    }

    /** Takes up to so many free blocks, and says how many. */
    int take(int[] target, int from, int count) {
        int stripe = stripe();
        int word = (int) INTS.getOpaque(hints, stripe);
        int done = 0;
        while (done < count && word != NONE) {
            INTS.setOpaque(hints, stripe, word);
            for (int taken = take(word, count - done); taken != 0; taken &= taken - 1) {
                target[from + done++] = word * BLOCKS_PER_WORD + Integer.numberOfTrailingZeros(taken);
            }
            word = done < count ? next(word) : word;
        }
        return done;
    }

    /** Frees a block. False if it is not in use. */
    boolean free(int block) {
        return move(block >>> 5, 1 << block, IN_USE, FREE);
    }

    /** Takes blocks out of use, all or none, so that nobody can take them. The index of one that is not in use, or {@link #NONE}. */
    int retire(int[] blocks, int from, int count) {
        int end = from + count;
        for (int i = from; i < end; ) {
            int run = runEnd(blocks, i, end);
            if (!move(blocks[i] >>> 5, mask(blocks, i, run), IN_USE, NEITHER)) {
                moveAll(blocks, from, i - from, IN_USE);
                return firstNotInUse(blocks, i, run);
            }
            i = run;
        }
        return NONE;
    }

    /** Frees blocks that {@link #retire} took out of use. */
    void release(int[] blocks, int from, int count) {
        moveAll(blocks, from, count, FREE);
    }

    /** Undoes {@link #retire}. */
    void restore(int[] blocks, int from, int count) {
        moveAll(blocks, from, count, IN_USE);
    }

    /** The lowest number no slab has, or {@link #NONE}. */
    synchronized int vacant() {
        return closed ? NONE : lowest(Slab.ABSENT);
    }

    /** Puts a slab into service that was absent. */
    synchronized void add(int slab) {
        serve(slab);
    }

    /** Takes a slab away, if all its blocks are free. */
    synchronized boolean remove(int slab) {
        boolean gone = slabs[slab] == Slab.ASIDE || (slabs[slab] == Slab.IN_SERVICE && claim(slab));
        if (gone) {
            slabs[slab] = Slab.ABSENT;
        }
        return gone;
    }

    /** Whether a block can be taken now, if need be from a slab that was kept aside. Looks at every word, as marks may be late. */
    synchronized boolean hasRoom() {
        for (int slab = 0; slab < slabs.length; slab++) {
            int end = slabs[slab] == Slab.IN_SERVICE ? (slab + 1) * wordsPerSlab : 0;
            for (int word = slab * wordsPerSlab; word < end; word++) {
                if (freeIn(read(word)) != 0) {
                    open.mark(word);
                    return true;
                }
            }
        }
        return reopen();
    }

    /** Ends all service, and says how many blocks were in use; the set gets the slabs that had blocks waiting for work. */
    synchronized int close(BitSet waiting) {
        closed = true;
        int used = 0;
        for (int word = 0; word < wordCount(); word++) {
            long last = close(word);
            int slab = word / wordsPerSlab;
            if (slabs[slab] == Slab.IN_SERVICE) {
                used += Integer.bitCount(usedIn(last));
                if ((freeIn(last) | usedIn(last)) != -1) {
                    waiting.set(slab);
                }
            }
        }
        Arrays.fill(slabs, Slab.ABSENT);
        return used;
    }

    /** What there is, by a walk over all words; other threads may take and free meanwhile. */
    synchronized FixedBlockStats stats(long blockBytes) {
        int present = 0;
        int used = 0;
        int free = 0;
        for (int slab = 0; slab < slabs.length; slab++) {
            present += slabs[slab] == Slab.ABSENT ? 0 : 1;
            free += slabs[slab] == Slab.ASIDE ? wordsPerSlab * BLOCKS_PER_WORD : 0;
            if (slabs[slab] == Slab.IN_SERVICE) {
                for (int word = slab * wordsPerSlab; word < (slab + 1) * wordsPerSlab; word++) {
                    long now = read(word);
                    used += Integer.bitCount(usedIn(now));
                    free += Integer.bitCount(freeIn(now));
                }
            }
        }
        int all = present * wordsPerSlab * BLOCKS_PER_WORD;
        return new FixedBlockStats(used, free, all - used - free, present, all * blockBytes);
    }

    /** Checks the books while nobody takes or frees; for tests. */
    synchronized void validate() {
        for (int word = 0; word < wordCount(); word++) {
            long now = read(word);
            Slab slab = slabs[word / wordsPerSlab];
            if (closed ? now != CLOSED : ((int) now & usedIn(now)) != 0 || (slab != Slab.IN_SERVICE && now != 0)) {
                throw new IllegalStateException("word %d of slab %d is %x".formatted(word, word / wordsPerSlab, now));
            }
            if (freeIn(now) != 0 && !open.isMarked(word)) {
                throw new IllegalStateException("word %d has free blocks that nobody can find".formatted(word));
            }
        }
    }

    /** A word that may have something free: of the same slab, else of one that is partly used, else of any. */
    private int next(int last) {
        int first = last & -wordsPerSlab;
        int word = open.next(last + 1, first + wordsPerSlab);
        if (word == NONE) {
            word = open.next(first, last + 1);
        }
        if (word == NONE) {
            word = open.lowest();
            while (word != NONE && read(word) == ALL_FREE && putAside(word / wordsPerSlab)) {
                word = open.lowest();
            }
        }
        if (word == NONE && reopen()) {
            word = open.lowest();
        }
        return word;
    }

    /** Keeps an empty slab aside while others may have something free. */
    private synchronized boolean putAside(int slab) {
        int first = slab * wordsPerSlab;
        boolean others = open.next(0, first) != NONE || open.next(first + wordsPerSlab, wordCount()) != NONE;
        boolean done = slabs[slab] == Slab.IN_SERVICE && others && claim(slab);
        if (done) {
            slabs[slab] = Slab.ASIDE;
        }
        return done;
    }

    /** Puts the lowest slab into service that was kept aside. False if there is none. */
    private synchronized boolean reopen() {
        int slab = closed ? NONE : lowest(Slab.ASIDE);
        if (slab != NONE) {
            serve(slab);
        }
        return slab != NONE;
    }

    private boolean claim(int slab) {
        return claim(slab * wordsPerSlab, (slab + 1) * wordsPerSlab);
    }

    private void serve(int slab) {
        slabs[slab] = Slab.IN_SERVICE;
        unclaim(slab * wordsPerSlab, (slab + 1) * wordsPerSlab);
    }

    private int lowest(Slab state) {
        for (int slab = 0; slab < slabs.length; slab++) {
            if (slabs[slab] == state) {
                return slab;
            }
        }
        return NONE;
    }

    /** Brings blocks that are in neither state to another; after a close nothing happens. */
    private void moveAll(int[] blocks, int from, int count, long to) {
        int end = from + count;
        for (int i = from; i < end; ) {
            int run = runEnd(blocks, i, end);
            boolean ignored = move(blocks[i] >>> 5, mask(blocks, i, run), NEITHER, to);
            i = run;
        }
    }

    /** Where the blocks of one word end, or a block comes again. */
    private static int runEnd(int[] blocks, int from, int end) {
        int mask = 0;
        int i = from;
        while (i < end && blocks[i] >>> 5 == blocks[from] >>> 5 && (mask & 1 << blocks[i]) == 0) {
            mask |= 1 << blocks[i++];
        }
        return i;
    }

    private static int mask(int[] blocks, int from, int end) {
        int mask = 0;
        for (int i = from; i < end; i++) {
            mask |= 1 << blocks[i];
        }
        return mask;
    }

    private int firstNotInUse(int[] blocks, int from, int end) {
        for (int i = from; i < end; i++) {
            int word = blocks[i] >>> 5;
            if (word >= wordCount() || (usedIn(read(word)) & 1 << blocks[i]) == 0) {
                return i;
            }
        }
        return from; // it has been taken again since
    }

    private int stripe() {
        return (((int) Thread.currentThread().threadId() & stripeMask) + 1) * INTS_PER_LINE;
    }
}
