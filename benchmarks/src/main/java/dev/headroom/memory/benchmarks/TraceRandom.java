package dev.headroom.memory.benchmarks;

/** Random numbers for traces: the same on every machine and in every version of Java. Not thread-safe. */
final class TraceRandom {

    private long state;

    TraceRandom(long seed) {
        this.state = seed;
    }

    /** SplitMix64. */
    long next() {
        state += 0x9E3779B97F4A7C15L;
        long z = state;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /** From 0 to below 1. */
    double uniform() {
        return (next() >>> 11) * 0x1.0p-53;
    }

    /** From 0 to below a bound. */
    int below(int bound) {
        return (int) (uniform() * bound);
    }

    /** A length: log-normal around a median, within bounds. StrictMath, so that no machine rounds differently. */
    int length(double median, double spread, int least, int most) {
        double gauss =
                StrictMath.sqrt(-2 * StrictMath.log(1 - uniform())) * StrictMath.cos(2 * StrictMath.PI * uniform());
        return (int) Math.max(least, Math.min(most, StrictMath.exp(StrictMath.log(median) + spread * gauss)));
    }
}
