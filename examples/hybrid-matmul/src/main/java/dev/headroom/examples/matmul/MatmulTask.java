package dev.headroom.examples.matmul;

import java.util.Objects;

/** One product to be computed. The arrays are borrowed: nobody may change them before the answer is there. */
public final class MatmulTask {

    private final float[] a;
    private final float[] b;
    private final MatmulShape shape;

    private MatmulTask(float[] a, float[] b, MatmulShape shape) {
        this.a = a;
        this.b = b;
        this.shape = shape;
    }

    /**
     * A product A x B.
     *
     * @param a m rows of k values
     * @param b k rows of n values
     * @param m rows of A
     * @param k values in a row of A
     * @param n values in a row of B
     * @return the task
     * @throws IllegalArgumentException if the lengths do not agree with the extents
     */
    public static MatmulTask of(float[] a, float[] b, int m, int k, int n) {
        MatmulShape shape = new MatmulShape(m, k, n);
        requireLength("a", a, shape.sizeOfA());
        requireLength("b", b, shape.sizeOfB());
        return new MatmulTask(a, b, shape);
    }

    static void requireLength(String name, float[] values, int wanted) {
        if (Objects.requireNonNull(values, name).length != wanted) {
            throw new IllegalArgumentException(name + " has " + values.length + " values: must be " + wanted);
        }
    }

    float[] a() {
        return a;
    }

    float[] b() {
        return b;
    }

    MatmulShape shape() {
        return shape;
    }
}
