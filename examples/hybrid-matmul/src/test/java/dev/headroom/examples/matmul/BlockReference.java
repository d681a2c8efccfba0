package dev.headroom.examples.matmul;

import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufTensor;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.SyntheticWeights;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The block again, in float64, without a cache and in the plainest way: a vector for each token. The weights are made from the
 * seed once more, and not read from where the block has them.
 */
final class BlockReference {

    private final ModelShape shape;
    private final GgufFile file;
    private final long seed;

    BlockReference(ModelShape shape, GgufFile file, long seed) {
        this.shape = shape;
        this.file = file;
        this.seed = seed;
    }

    /** All tokens through the block. */
    double[][] forward(double[][] tokens) {
        int headSize = shape.headLength();
        double[][] queries = new double[tokens.length][];
        double[][] keys = new double[tokens.length][];
        double[][] values = new double[tokens.length][];
        for (int t = 0; t < tokens.length; t++) {
            double[] x = norm(tokens[t], "attn_norm.weight");
            queries[t] = rotated(times("attn_q.weight", x), t);
            keys[t] = rotated(times("attn_k.weight", x), t);
            values[t] = times("attn_v.weight", x);
        }
        double[][] result = new double[tokens.length][];
        for (int t = 0; t < tokens.length; t++) {
            double[] heads = new double[shape.heads() * headSize];
            for (int head = 0; head < shape.heads(); head++) {
                int keyHead = head * shape.headsKv() / shape.heads();
                double[] weights = new double[t + 1];
                for (int s = 0; s <= t; s++) {
                    for (int i = 0; i < headSize; i++) {
                        weights[s] += queries[t][head * headSize + i] * keys[s][keyHead * headSize + i];
                    }
                    weights[s] = Math.exp(weights[s] / Math.sqrt(headSize));
                }
                double total = Arrays.stream(weights).sum();
                for (int s = 0; s <= t; s++) {
                    for (int i = 0; i < headSize; i++) {
                        heads[head * headSize + i] += weights[s] / total * values[s][keyHead * headSize + i];
                    }
                }
            }
            double[] x = plus(tokens[t], times("attn_output.weight", heads));
            double[] h = norm(x, "ffn_norm.weight");
            double[] gate = times("ffn_gate.weight", h);
            double[] up = times("ffn_up.weight", h);
            for (int i = 0; i < up.length; i++) {
                up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
            }
            result[t] = plus(x, times("ffn_down.weight", up));
        }
        return result;
    }

    private double[] rotated(double[] x, int position) {
        double[] result = new double[x.length];
        int headSize = shape.headLength();
        for (int i = 0; i < x.length; i += 2) {
            double angle = position * Math.pow(shape.ropeBase(), -(double) (i % headSize) / headSize);
            result[i] = x[i] * Math.cos(angle) - x[i + 1] * Math.sin(angle);
            result[i + 1] = x[i] * Math.sin(angle) + x[i + 1] * Math.cos(angle);
        }
        return result;
    }

    private double[] norm(double[] x, String weight) {
        float[] weights = weights(weight);
        double scale = 1 / Math.sqrt(Arrays.stream(x).map(v -> v * v).average().orElseThrow() + shape.rmsEpsilon());
        double[] result = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            result[i] = x[i] * scale * weights[i];
        }
        return result;
    }

    private double[] times(String weight, double[] x) {
        float[] weights = weights(weight);
        double[] result = new double[weights.length / x.length];
        for (int i = 0; i < weights.length; i++) {
            result[i / x.length] += weights[i] * x[i % x.length];
        }
        return result;
    }

    private static double[] plus(double[] x, double[] y) {
        double[] result = x.clone();
        for (int i = 0; i < x.length; i++) {
            result[i] += y[i];
        }
        return result;
    }

    private float[] weights(String name) {
        GgufTensor tensor = file.tensor("blk.0." + name).orElseThrow();
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
        new SyntheticWeights(seed).fill(tensor, 0, bytes);
        float[] values = new float[bytes.capacity() / Float.BYTES];
        bytes.flip().asFloatBuffer().get(values);
        return values;
    }
}
