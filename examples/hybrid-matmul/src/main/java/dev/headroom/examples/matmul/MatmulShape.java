package dev.headroom.examples.matmul;

/**
 * The extents of a product C = A x B: A has m rows of k values, B has k rows of n, C has m rows of n. Values are floats, row
 * after row, without gaps.
 *
 * @param m rows of A and C, above 0
 * @param k values in a row of A, rows of B, above 0
 * @param n values in a row of B and C, above 0
 */
public record MatmulShape(int m, int k, int n) {

    /**
     * Checks the extents.
     *
     * @throws IllegalArgumentException if one is not above 0, or a matrix has more values than a Java array
     */
    public MatmulShape {
        if (m <= 0 || k <= 0 || n <= 0) {
            throw new IllegalArgumentException(m + " x " + k + " x " + n + ": all three must be above 0");
        }
        for (long values : new long[] {(long) m * k, (long) k * n, (long) m * n}) {
            if (values > Integer.MAX_VALUE) {
                throw new IllegalArgumentException(
                        m + " x " + k + " x " + n + ": a matrix of " + values + " values does not fit an array");
            }
        }
    }

    /**
     * The work to be done.
     *
     * @return m x k x n, or the largest long if that is more
     */
    public long multiplications() {
        long high = Math.multiplyHigh((long) m * k, n);
        return high == 0 && (long) m * k * n >= 0 ? (long) m * k * n : Long.MAX_VALUE;
    }

    /**
     * The size of A.
     *
     * @return values
     */
    public int sizeOfA() {
        return m * k;
    }

    /**
     * The size of B.
     *
     * @return values
     */
    public int sizeOfB() {
        return k * n;
    }

    /**
     * The size of C.
     *
     * @return values
     */
    public int sizeOfC() {
        return m * n;
    }
}
