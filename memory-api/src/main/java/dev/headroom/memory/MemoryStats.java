package dev.headroom.memory;

import java.util.Locale;

/**
 * The figures of a pool at one moment, cheap to take.
 *
 * <p>In figures a pool returns, {@code totalAllocatedBytes} is {@code inUseBytes} plus {@code pooledBytes}. This type
 * does not enforce that, so that figures of other systems can be carried and merged.
 *
 * <p>Threads: immutable.
 *
 * @param totalAllocatedBytes bytes obtained from the driver and not given back, 0 or more
 * @param inUseBytes bytes of these that buffers hold, 0 or more
 * @param pooledBytes bytes of these that wait for a buffer, 0 or more
 * @param peakBytes the most bytes in buffers at one time since the pool was opened, 0 or more
 * @param poolHits allocations served without a driver call, 0 or more
 * @param poolMisses allocations that needed the driver, 0 or more
 * @param cpuFallbacks allocations that fell back to host memory, 0 or more
 * @param activeBuffers buffers that are out, 0 or more; 0 where they are not counted
 */
public record MemoryStats(
        long totalAllocatedBytes,
        long inUseBytes,
        long pooledBytes,
        long peakBytes,
        long poolHits,
        long poolMisses,
        long cpuFallbacks,
        long activeBuffers) {

    /** The figures of a pool that has done nothing; merging with it changes nothing. */
    public static final MemoryStats EMPTY = new MemoryStats(0, 0, 0, 0, 0, 0, 0, 0);

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a figure is negative
     */
    public MemoryStats {
        requireNotNegative("totalAllocatedBytes", totalAllocatedBytes);
        requireNotNegative("inUseBytes", inUseBytes);
        requireNotNegative("pooledBytes", pooledBytes);
        requireNotNegative("peakBytes", peakBytes);
        requireNotNegative("poolHits", poolHits);
        requireNotNegative("poolMisses", poolMisses);
        requireNotNegative("cpuFallbacks", cpuFallbacks);
        requireNotNegative("activeBuffers", activeBuffers);
    }

    /**
     * The share of allocations that needed no driver call: hits / (hits + misses).
     *
     * @return 0.0 to 1.0; 0.0 if there were no allocations
     */
    public double hitRate() {
        double requests = (double) poolHits + (double) poolMisses;
        return requests == 0 ? 0.0 : poolHits / requests;
    }

    /**
     * The share of the allocated bytes that buffers hold: in use / allocated, and 0.0 if nothing is allocated: nothing
     * is used. Right for a load gauge.
     *
     * @return 0.0 or more
     */
    public double utilization() {
        return totalAllocatedBytes == 0 ? 0.0 : (double) inUseBytes / (double) totalAllocatedBytes;
    }

    /**
     * The same ratio as {@link #utilization()}, but 1.0 if nothing is allocated: nothing is wasted. Right for a waste
     * gauge.
     *
     * @return 0.0 or more
     */
    public double efficiency() {
        return totalAllocatedBytes == 0 ? 1.0 : utilization();
    }

    /**
     * The figures of two pools as one: every figure added, except the peak, which is the larger one, because the two
     * peaks need not have happened together. A sum beyond {@link Long#MAX_VALUE} stays there.
     *
     * @param other the figures to add
     * @return the combined figures
     */
    public MemoryStats merge(MemoryStats other) {
        return new MemoryStats(
                sum(totalAllocatedBytes, other.totalAllocatedBytes),
                sum(inUseBytes, other.inUseBytes),
                sum(pooledBytes, other.pooledBytes),
                Math.max(peakBytes, other.peakBytes),
                sum(poolHits, other.poolHits),
                sum(poolMisses, other.poolMisses),
                sum(cpuFallbacks, other.cpuFallbacks),
                sum(activeBuffers, other.activeBuffers));
    }

    /**
     * What happened since an earlier look at the same pool: hits, misses and fallbacks are those in between, never
     * negative. The other five are levels, not counters, and stay as they are here.
     *
     * @param earlier the figures taken before
     * @return the figures of the time in between
     */
    public MemoryStats minus(MemoryStats earlier) {
        return new MemoryStats(
                totalAllocatedBytes,
                inUseBytes,
                pooledBytes,
                peakBytes,
                Math.max(0, poolHits - earlier.poolHits),
                Math.max(0, poolMisses - earlier.poolMisses),
                Math.max(0, cpuFallbacks - earlier.cpuFallbacks),
                activeBuffers);
    }

    /**
     * One line with all figures, the same in every locale: bytes in MB of 1024 * 1024 bytes with two decimals, the hit
     * rate in per cent with one decimal; half is rounded up.
     *
     * @return the line
     */
    @Override
    public String toString() {
        return "allocated " + ByteSize.megabytes(totalAllocatedBytes) + " MB, in use " + ByteSize.megabytes(inUseBytes)
                + " MB, pooled " + ByteSize.megabytes(pooledBytes) + " MB, peak " + ByteSize.megabytes(peakBytes)
                + " MB, hit rate " + String.format(Locale.ROOT, "%.1f", 100 * hitRate()) + " % ("
                + counted(poolHits, "hit", "s") + ", " + counted(poolMisses, "miss", "es") + "), "
                + counted(cpuFallbacks, "CPU fallback", "s") + ", " + counted(activeBuffers, "active buffer", "s");
    }

    private static String counted(long count, String one, String ending) {
        return count + " " + one + (count == 1 ? "" : ending);
    }

    /** Both are not negative, so an overflow shows as a negative sum. */
    private static long sum(long a, long b) {
        long sum = a + b;
        return sum < 0 ? Long.MAX_VALUE : sum;
    }

    private static void requireNotNegative(String name, long value) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " is " + value + ": allowed are 0 or more");
        }
    }
}
