package dev.headroom.memory.model;

/**
 * Sums and products of numbers that are never negative, cut off at {@link Long#MAX_VALUE}. What absurd facts multiply to
 * fits nowhere, and need not be told more exactly. Two numbers need no array, which counts where thousands of layers do.
 */
final class Saturated {

    private Saturated() {}

    static long times(long one, long other) {
        long product = one * other;
        return Math.multiplyHigh(one, other) != 0 || product < 0 ? Long.MAX_VALUE : product;
    }

    static long times(long one, long other, long third) {
        return third == 0 ? 0 : times(times(one, other), third);
    }

    static long times(long... factors) {
        long product = 1;
        boolean over = false;
        for (long factor : factors) {
            if (factor == 0) {
                return 0;
            }
            over |= Math.multiplyHigh(product, factor) != 0 || product * factor < 0;
            product = over ? Long.MAX_VALUE : product * factor;
        }
        return product;
    }

    static long plus(long one, long other) {
        return one > Long.MAX_VALUE - other ? Long.MAX_VALUE : one + other;
    }

    static long plus(long... parts) {
        long sum = 0;
        for (long part : parts) {
            sum = sum > Long.MAX_VALUE - part ? Long.MAX_VALUE : sum + part;
        }
        return sum;
    }

    /** The next multiple of a power of two, or the largest there is. */
    static long roundUp(long value, long multiple) {
        return value > Long.MAX_VALUE - (multiple - 1)
                ? Long.MAX_VALUE & -multiple
                : (value + multiple - 1) & -multiple;
    }
}
