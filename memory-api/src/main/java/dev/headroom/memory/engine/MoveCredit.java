package dev.headroom.memory.engine;

/**
 * How much idle memory a heap may give back so that it need not grow: a byte for each that it took anew, and one for each 256 that
 * it handed out, or for each 16 while more than a fifth of what it holds is free. Giving back and taking again costs about as
 * much as taking anew, so that a program whose sizes alternate pays for it at most what it paid for its memory at first, and a
 * small share of each allocation; only where much lies idle, a larger one. Where there is no credit left, the heap grows, and
 * then holds enough for both. Used in a flight only.
 */
final class MoveCredit {

    /** To map a page again takes some 40 times as long as a device takes to write it: this is a part of the work on the memory. */
    private static final int ALLOCATED_SHARE = 256;

    private static final int ALLOCATED_SHARE_WITH_SLACK = 16;

    /** The part of what is held that may be free without haste. */
    private static final int SLACK = 5;

    private long bytes;
    private long seenBytes;

    /** Memory was taken from the driver that made up for none given back. */
    void grew(long grownBytes) {
        bytes += grownBytes;
    }

    /** Memory was given back so that as much could be taken elsewhere. */
    void moved(long movedBytes) {
        bytes -= movedBytes;
    }

    /**
     * What may be given back now.
     *
     * @param allocatedBytes what was handed out since the pool was opened; may wrap
     * @param heldBytes      what the heap holds: credit for more is of no use, and is lost
     * @param freeBytes      what of that is free
     */
    long left(long allocatedBytes, long heldBytes, long freeBytes) {
        int share = freeBytes > heldBytes / SLACK ? ALLOCATED_SHARE_WITH_SLACK : ALLOCATED_SHARE;
        long earned = Math.max(0, allocatedBytes - seenBytes) / share;
        seenBytes += earned * share;
        bytes = Math.min(heldBytes, bytes + earned);
        return Math.max(0, bytes);
    }
}
