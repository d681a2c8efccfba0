package dev.headroom.memory.engine;

/**
 * How much to take from the driver when a request does not fit: what is needed, and a little ahead so that small requests
 * share a driver call, but never more than a segment or 1/256 of what is in use beyond the need. Pure.
 */
final class GrowthPolicy {

    /** Beside a model's weights, what moves is a tenth of all: a larger share of all is much of that. */
    private static final int AHEAD_SHARE = 256;

    /** Where idle pages make up for growth, what is taken ahead is most of what is too much. */
    private static final int PAGES_AHEAD_SHARE = 512;

    private GrowthPolicy() {}

    /** Bytes worth having when {@code needed} are missing and {@code live} are in use, up to {@code largest}. */
    static long preferred(long needed, long live, long segment, long largest) {
        long ahead = Math.max(segment, segment == 0 ? 0 : live / AHEAD_SHARE);
        return Math.max(needed, Math.min(ahead, largest));
    }

    /**
     * As {@link #preferred}, where memory is taken page by page: to take more at a time saves little, and what is taken ahead is
     * no more than a segment or that share of what is in use, whichever is less.
     */
    static long preferredPages(long needed, long live, long segment, long largest) {
        long ahead = Math.min(segment, live / PAGES_AHEAD_SHARE);
        return Math.max(needed, Math.min(ahead, largest));
    }

    /**
     * Bytes worth having when {@code needed} are missing and all buffers to come are known: what was set aside for them and is
     * left, at once, up to {@code largest}.
     */
    static long planned(long needed, long left, long largest) {
        return Math.max(needed, Math.min(left, largest));
    }

    /** How far a growth looks for holes in its range: its own part, and so many bytes behind it. */
    static long window(Tlsf.Growth growth, long rangeBytes, long aheadBytes, long unit) {
        return Math.min(growth.byteSize() + aheadBytes / unit * unit, rangeBytes - growth.byteOffset());
    }

    /** The next smaller wish after a refusal: half, but not less than needed. */
    static long smaller(long wish, long needed) {
        return Math.max(needed, wish / 2);
    }

    /** The smallest multiple of a power of two that is not below {@code bytes}; {@code Long.MAX_VALUE} on overflow. */
    static long roundUp(long bytes, long powerOfTwo) {
        long rounded = bytes + (powerOfTwo - 1) & -powerOfTwo;
        return rounded < bytes ? Long.MAX_VALUE : rounded;
    }
}
