package dev.headroom.memory.benchmarks;

/** A pool of powers of two that never splits and never joins: what was freed waits for its own size. Not thread-safe. */
final class Pow2Policy implements RangePolicy {

    private static final int LEAST_BITS = 8;

    private final long[] waiting = new long[Long.SIZE];
    private long reserved;

    @Override
    public long allocate(long bytes) {
        int bits = Math.max(LEAST_BITS, Long.SIZE - Long.numberOfLeadingZeros(bytes - 1));
        if (waiting[bits] > 0) {
            waiting[bits]--;
        } else {
            reserved += 1L << bits;
        }
        return bits;
    }

    @Override
    public void free(long number) {
        waiting[(int) number]++;
    }

    @Override
    public long reservedBytes() {
        return reserved;
    }
}
