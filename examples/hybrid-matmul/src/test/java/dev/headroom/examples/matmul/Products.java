package dev.headroom.examples.matmul;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Random products, and the float64 reference that judges answers. */
final class Products {

    private Products() {}

    /** Values in [-1, 1), the same for a seed each time. */
    static float[] random(int size, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextDouble(-1, 1);
        }
        return values;
    }

    /** A product of random matrices. */
    static MatmulTask random(int m, int k, int n) {
        return MatmulTask.of(random(m * k, 7L * m + k), random(k * n, 7L * k + n + 1), m, k, n);
    }

    /** max|C - ref| <= 1e-5 x the largest norm of a row of A x the largest norm of a column of B. */
    static void requireCorrect(MatmulTask task, float[] c) {
        MatmulShape shape = task.shape();
        assertThat(c).hasSize(shape.sizeOfC());
        double bound = 1e-5 * largestRowNorm(task.a(), shape.m(), shape.k()) * largestColumnNorm(task.b(), shape);
        double[] row = new double[shape.n()];
        double worst = 0;
        for (int i = 0; i < shape.m(); i++) {
            Arrays.fill(row, 0);
            for (int p = 0; p < shape.k(); p++) {
                double factor = task.a()[i * shape.k() + p];
                for (int j = 0; j < shape.n(); j++) {
                    row[j] += factor * task.b()[p * shape.n() + j];
                }
            }
            for (int j = 0; j < shape.n(); j++) {
                double error = Math.abs(c[i * shape.n() + j] - row[j]);
                worst = error <= worst ? worst : error; // also if it is not a number
            }
        }
        assertThat(worst).as("largest error of %s", shape).isLessThanOrEqualTo(bound);
    }

    private static double largestRowNorm(float[] a, int rows, int columns) {
        double largest = 0;
        for (int i = 0; i < rows; i++) {
            double sum = 0;
            for (int j = 0; j < columns; j++) {
                sum += (double) a[i * columns + j] * a[i * columns + j];
            }
            largest = Math.max(largest, sum);
        }
        return Math.sqrt(largest);
    }

    private static double largestColumnNorm(float[] b, MatmulShape shape) {
        double[] sums = new double[shape.n()];
        for (int i = 0; i < b.length; i++) {
            sums[i % shape.n()] += (double) b[i] * b[i];
        }
        return Math.sqrt(Arrays.stream(sums).max().orElseThrow());
    }
}
