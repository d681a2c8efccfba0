package dev.headroom.examples.matmul;

import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelShape;
import java.lang.foreign.MemorySegment;

/**
 * One block of a Llama model: attention over all tokens so far, and a gated feed-forward part. The weights are where {@code
 * ModelLoader} has put them, the cache of keys and values lies in the same pool, and the products go through the scheduler.
 *
 * <p>Activations are columns: a matrix of {@code width} rows has a column for each new token, so that a layer is weights x
 * activations, with the weights as the file has them. For one thread at a time.
 */
public final class TransformerBlock implements AutoCloseable {

    private final HybridScheduler scheduler;
    private final LoadedModel model;
    private final String prefix;
    private final ModelShape shape;
    private final float[] attentionNorm;
    private final float[] feedForwardNorm;
    private final FallbackBuffer keys;
    private final FallbackBuffer values;
    private final int maxTokens;
    private int tokens;

    /**
     * A block that has seen no token.
     *
     * @param scheduler computes the products; on the pool the model is in
     * @param model     the weights, all of them F32
     * @param shape     what the model is like
     * @param layer     which of its layers this is
     * @param pool      where the cache goes
     * @param maxTokens how many tokens the cache holds
     */
    public TransformerBlock(
            HybridScheduler scheduler,
            LoadedModel model,
            ModelShape shape,
            int layer,
            GpuMemoryPool pool,
            int maxTokens) {
        this.scheduler = scheduler;
        this.model = model;
        this.prefix = "blk." + layer + ".";
        this.shape = shape;
        this.maxTokens = maxTokens;
        this.attentionNorm = vector("attn_norm.weight");
        this.feedForwardNorm = vector("ffn_norm.weight");
        long cacheBytes = (long) maxTokens * keyWidth() * Float.BYTES;
        this.keys = pool.allocateWithFallback(cacheBytes);
        this.values = pool.allocateWithFallback(cacheBytes);
    }

    /**
     * Sends new tokens through the block.
     *
     * @param x     the activations, a column for each new token
     * @param count how many tokens
     * @return the activations behind the block, in the same form
     * @throws IllegalArgumentException if the cache is full, or the length is wrong
     */
    public float[] forward(float[] x, int count) {
        if (count < 1 || count > maxTokens - tokens) {
            throw new IllegalArgumentException(
                    count + " new tokens behind " + tokens + ": must be 1 to " + (maxTokens - tokens));
        }
        MatmulTask.requireLength("x", x, width() * count);
        float[] attended = sum(x, attention(normalized(x, attentionNorm, count), count));
        return sum(attended, feedForward(normalized(attended, feedForwardNorm, count), count));
    }

    private float[] attention(float[] x, int count) {
        float[] queries = layer("attn_q.weight", queryWidth(), width(), x, count);
        float[] newKeys = layer("attn_k.weight", keyWidth(), width(), x, count);
        float[] newValues = layer("attn_v.weight", keyWidth(), width(), x, count);
        rotate(queries, shape.heads(), count);
        rotate(newKeys, shape.headsKv(), count);
        append(keys, newKeys, count);
        append(values, newValues, count);
        tokens += count;

        float[] allKeys = cached(keys);
        float[] allValues = cached(values);
        float[] heads = new float[queryWidth() * count];
        int headSize = shape.headLength();
        for (int head = 0; head < shape.heads(); head++) {
            int keyHead = head / (shape.heads() / shape.headsKv());
            float[] query = rows(queries, head * headSize, headSize, count);
            float[] weights = scheduler.matmul(head(allKeys, keyHead), query, tokens, headSize, count);
            softmax(weights, count);
            float[] transposed = transposed(head(allValues, keyHead), tokens, headSize);
            float[] answer = scheduler.matmul(transposed, weights, headSize, tokens, count);
            System.arraycopy(answer, 0, heads, head * headSize * count, answer.length);
        }
        return layer("attn_output.weight", width(), queryWidth(), heads, count);
    }

    private float[] feedForward(float[] x, int count) {
        int inner = shape.feedForwardLength();
        float[] gate = layer("ffn_gate.weight", inner, width(), x, count);
        float[] up = layer("ffn_up.weight", inner, width(), x, count);
        for (int i = 0; i < up.length; i++) {
            up[i] *= (float) (gate[i] / (1 + Math.exp(-gate[i])));
        }
        return layer("ffn_down.weight", width(), inner, up, count);
    }

    /** Weights x activations, where the weights are. */
    private float[] layer(String name, int outputs, int inputs, float[] x, int count) {
        return scheduler.matmulFrom(model.buffer(prefix + name), x, outputs, inputs, count);
    }

    /** Each column brought to a mean square of 1, and its values weighted. */
    private float[] normalized(float[] x, float[] weights, int count) {
        float[] result = new float[x.length];
        for (int token = 0; token < count; token++) {
            double squares = 0;
            for (int i = 0; i < width(); i++) {
                double value = x[i * count + token];
                squares += value * value;
            }
            double scale = 1 / Math.sqrt(squares / width() + shape.rmsEpsilon());
            for (int i = 0; i < width(); i++) {
                result[i * count + token] = (float) (x[i * count + token] * scale * weights[i]);
            }
        }
        return result;
    }

    /** Turns neighbouring values by an angle that grows with the position: how a key tells where it stands. */
    private void rotate(float[] x, int heads, int count) {
        int headSize = shape.headLength();
        for (int pair = 0; pair < heads * headSize / 2; pair++) {
            double frequency = Math.pow(shape.ropeBase(), -2.0 * (pair % (headSize / 2)) / headSize);
            for (int token = 0; token < count; token++) {
                double angle = (tokens + token) * frequency;
                int first = 2 * pair * count + token;
                int second = first + count;
                double before = x[first];
                x[first] = (float) (before * Math.cos(angle) - x[second] * Math.sin(angle));
                x[second] = (float) (before * Math.sin(angle) + x[second] * Math.cos(angle));
            }
        }
    }

    /** From scores to weights, column by column. A token sees itself and those before it. */
    private void softmax(float[] scores, int count) {
        double scale = 1 / Math.sqrt(shape.headLength());
        for (int token = 0; token < count; token++) {
            int visible = tokens - count + token + 1;
            double highest = Double.NEGATIVE_INFINITY;
            for (int i = 0; i < visible; i++) {
                highest = Math.max(highest, scores[i * count + token] * scale);
            }
            double total = 0;
            for (int i = 0; i < visible; i++) {
                total += Math.exp(scores[i * count + token] * scale - highest);
            }
            for (int i = 0; i < tokens; i++) {
                int at = i * count + token;
                scores[at] = i < visible ? (float) (Math.exp(scores[at] * scale - highest) / total) : 0;
            }
        }
    }

    /** The cache has a row for each token. */
    private void append(FallbackBuffer cache, float[] columns, int count) {
        float[] rows = transposed(columns, keyWidth(), count);
        cache.write((long) tokens * keyWidth() * Float.BYTES, MemorySegment.ofArray(rows));
    }

    private float[] cached(FallbackBuffer cache) {
        float[] rows = new float[tokens * keyWidth()];
        cache.read(0, MemorySegment.ofArray(rows));
        return rows;
    }

    /** What one head has of each token. */
    private float[] head(float[] cached, int head) {
        int headSize = shape.headLength();
        float[] result = new float[tokens * headSize];
        for (int token = 0; token < tokens; token++) {
            System.arraycopy(cached, token * keyWidth() + head * headSize, result, token * headSize, headSize);
        }
        return result;
    }

    private static float[] rows(float[] x, int first, int rows, int columns) {
        float[] result = new float[rows * columns];
        System.arraycopy(x, first * columns, result, 0, result.length);
        return result;
    }

    private static float[] transposed(float[] x, int rows, int columns) {
        float[] result = new float[x.length];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                result[column * rows + row] = x[row * columns + column];
            }
        }
        return result;
    }

    private static float[] sum(float[] x, float[] y) {
        float[] result = new float[x.length];
        for (int i = 0; i < x.length; i++) {
            result[i] = x[i] + y[i];
        }
        return result;
    }

    private float[] vector(String name) {
        float[] result = new float[width()];
        model.buffer(prefix + name).read(0, MemorySegment.ofArray(result));
        return result;
    }

    private int width() {
        return shape.embeddingLength();
    }

    private int queryWidth() {
        return shape.heads() * shape.headLength();
    }

    private int keyWidth() {
        return shape.headsKv() * shape.headLength();
    }

    /** Gives the cache back; model and scheduler are the caller's. */
    @Override
    public void close() {
        keys.close();
        values.close();
    }
}
