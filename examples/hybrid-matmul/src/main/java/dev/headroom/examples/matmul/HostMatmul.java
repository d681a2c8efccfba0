package dev.headroom.examples.matmul;

/** Products on the processor: for what is too small for a device, and for when there is none. */
final class HostMatmul {

    /** Rows of B in a tile. Two rows of C stay at hand while they are added, one after the other. */
    private static final int TILE_K = 64;

    /** Values of those rows: a tile of 64 x 256 floats is 64 KiB, which a second-level cache holds. */
    private static final int TILE_N = 256;

    private HostMatmul() {}

    /** Computes a product on the calling thread. */
    static float[] multiply(MatmulTask task) {
        MatmulShape shape = task.shape();
        float[] c = new float[shape.sizeOfC()];
        for (int k = 0; k < shape.k(); k += TILE_K) {
            int kEnd = Math.min(k + TILE_K, shape.k());
            for (int n = 0; n < shape.n(); n += TILE_N) {
                int nEnd = Math.min(n + TILE_N, shape.n());
                addTile(task, c, k, kEnd, n, nEnd);
            }
        }
        return c;
    }

    /** Adds to C what one tile of B contributes: it is read from memory once, and used for all rows of A. */
    private static void addTile(MatmulTask task, float[] c, int kBegin, int kEnd, int nBegin, int nEnd) {
        MatmulShape shape = task.shape();
        for (int row = 0; row < shape.m(); row++) {
            for (int k = kBegin; k < kEnd; k++) {
                float factor = task.a()[row * shape.k() + k];
                addRow(factor, task.b(), k * shape.n() + nBegin, c, row * shape.n() + nBegin, nEnd - nBegin);
            }
        }
    }

    /** A loop over neighbours, which the JIT compiler turns into vector instructions without any flag. */
    private static void addRow(float factor, float[] b, int bFrom, float[] c, int cFrom, int count) {
        for (int i = 0; i < count; i++) {
            c[cFrom + i] += factor * b[bFrom + i];
        }
    }
}
