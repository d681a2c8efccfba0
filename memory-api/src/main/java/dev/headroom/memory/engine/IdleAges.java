package dev.headroom.memory.engine;

import java.util.Arrays;

/**
 * When the parts of a block were last given back to it. A plain block is one part, for it goes back to the driver as a whole. A
 * range has one for each page, or, if it has very many, for each group of neighbours; the youngest page counts for its group.
 *
 * <p>Not thread-safe: the {@link BlockList} holds its lock. Times are differences of a clock that may wrap.
 */
final class IdleAges {

    /** The most parts of a range: 32 KiB of times. */
    private static final int MOST_PARTS = 4096;

    /**
     * What is old enough.
     *
     * @param nowNanos  the time
     * @param idleNanos how long it must have been idle
     */
    record Due(long nowNanos, long idleNanos) {

        /** Everything. */
        static final Due ANY = new Due(0, Long.MIN_VALUE);

        boolean isMet(long sinceNanos) {
            return idleNanos == Long.MIN_VALUE || nowNanos - sinceNanos >= idleNanos;
        }
    }

    /** Sees a part of a range. */
    @FunctionalInterface
    interface PartVisitor {
        void visit(long byteOffset, long byteSize);
    }

    private final long partBytes;
    private final long[] since;
    /** What was freed without a time lies between these. */
    private long untimedFrom = Long.MAX_VALUE;

    private long untimedTo;

    private IdleAges(long partBytes, int parts, long nowNanos) {
        this.partBytes = partBytes;
        this.since = new long[parts];
        Arrays.fill(since, nowNanos);
    }

    static IdleAges ofBlock(long nowNanos) {
        return new IdleAges(Long.MAX_VALUE, 1, nowNanos);
    }

    static IdleAges ofRange(long byteSize, long pageBytes, long nowNanos) {
        long partBytes = pageBytes;
        while ((byteSize - 1) / partBytes >= MOST_PARTS) {
            partBytes *= 2;
        }
        return new IdleAges(partBytes, (int) ((byteSize - 1) / partBytes) + 1, nowNanos);
    }

    /** Something was freed or added there. */
    void touch(long byteOffset, long byteSize, long nowNanos) {
        int last = part(byteOffset + byteSize - 1);
        for (int part = part(byteOffset); part <= last; part++) {
            since[part] = nowNanos;
        }
        if (byteOffset <= untimedFrom && untimedTo <= byteOffset + byteSize) {
            untimedFrom = Long.MAX_VALUE;
            untimedTo = 0;
        }
    }

    /** Something was freed there at a time nobody took: it counts as freed when somebody looks. */
    void touch(long byteOffset, long byteSize) {
        untimedFrom = Math.min(untimedFrom, byteOffset);
        untimedTo = Math.max(untimedTo, byteOffset + byteSize);
    }

    /** Shows what of an idle stretch is old enough, in pieces as long as possible. */
    void forEachDue(long byteOffset, long byteSize, Due due, PartVisitor visitor) {
        if (!due.equals(Due.ANY)) {
            time(due.nowNanos());
        }
        long end = byteOffset + byteSize;
        long start = byteOffset;
        for (long at = byteOffset; at < end; ) {
            int part = part(at);
            long next = part == since.length - 1 ? end : Math.min(end, (part + 1) * partBytes);
            if (!due.isMet(since[part])) {
                if (start < at) {
                    visitor.visit(start, at - start);
                }
                start = next;
            }
            at = next;
        }
        if (start < end) {
            visitor.visit(start, end - start);
        }
    }

    /** How long an idle stretch, or the oldest part of it, has been so. */
    long longestNanos(long byteOffset, long byteSize, long nowNanos) {
        time(nowNanos);
        long longest = 0;
        int last = part(byteOffset + byteSize - 1);
        for (int part = part(byteOffset); part <= last; part++) {
            longest = Math.max(longest, nowNanos - since[part]);
        }
        return longest;
    }

    private void time(long nowNanos) {
        if (untimedFrom < untimedTo) {
            touch(untimedFrom, untimedTo - untimedFrom, nowNanos);
        }
    }

    private int part(long byteOffset) {
        return (int) (byteOffset / partBytes);
    }
}
