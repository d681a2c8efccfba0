package dev.headroom.memory.benchmarks;

import java.util.ArrayDeque;
import java.util.Arrays;

/**
 * Training of a model of 1 B parameters: master weights and two moments in 4 bytes, gradients made in the backward pass and
 * summed over a few micro-batches, activations that are kept at the borders of groups of layers only and made again backwards,
 * sequences of varying length, and now and then an evaluation without gradients.
 */
final class TrainingTrace {

    private static final ModelShape MODEL = ModelShape.ONE_B;
    private static final int GROUP_LAYERS = 2;
    private static final int MICRO_BATCHES = 4;
    private static final int EVALUATION_STEPS = 20;
    private static final int MICRO_BATCH_TOKENS = 8192;

    private final LlmTrace trace = new LlmTrace();
    private final TraceRandom random;

    TrainingTrace(long seed) {
        this.random = new TraceRandom(seed);
    }

    /** Runs so many steps of the optimizer. */
    LlmTrace run(int steps) {
        int[] _ = MODEL.allocateWeights(trace);
        for (int copy = 0; copy < 3; copy++) { // master weights and two moments
            for (long elements : tensors()) {
                int _ = trace.allocate(elements * 4);
            }
        }
        trace.fix();
        for (int step = 0; step < steps; step++) {
            int[] gradients = new int[tensors().length];
            Arrays.fill(gradients, -1);
            for (int batch = 0; batch < MICRO_BATCHES; batch++) {
                microBatch(gradients);
            }
            update(gradients);
            if (step % EVALUATION_STEPS == EVALUATION_STEPS - 1) {
                evaluate();
            }
        }
        return trace;
    }

    /** Elements of each trained tensor, those of a layer together: 4 of attention, 3 of the network, 2 norms. */
    private static long[] tensors() {
        long[] all = new long[MODEL.layers() * 9 + 2];
        int at = 0;
        all[at++] = (long) MODEL.vocab() * MODEL.hidden();
        for (int layer = 0; layer < MODEL.layers(); layer++) {
            all[at++] = (long) MODEL.hidden() * MODEL.hidden();
            all[at++] = (long) MODEL.kv() * MODEL.hidden();
            all[at++] = (long) MODEL.kv() * MODEL.hidden();
            all[at++] = (long) MODEL.hidden() * MODEL.hidden();
            for (int i = 0; i < 3; i++) {
                all[at++] = (long) MODEL.mlp() * MODEL.hidden();
            }
            all[at++] = MODEL.hidden();
            all[at++] = MODEL.hidden();
        }
        all[at] = MODEL.hidden();
        return all;
    }

    private void microBatch(int[] gradients) {
        // Sequences are padded to the longest of the batch, to a multiple of 8; how many there are follows from that.
        int length = (random.length(900, 0.6, 64, 4096) + 7) / 8 * 8;
        int tokens = Math.max(1, MICRO_BATCH_TOKENS / length) * length;
        long wide = (long) tokens * MODEL.hidden() * ModelShape.ELEMENT;
        ArrayDeque<Integer> borders = new ArrayDeque<>();
        borders.push(trace.allocate(wide));
        for (int layer = 0; layer < MODEL.layers(); layer += GROUP_LAYERS) {
            int state = borders.getFirst();
            for (int i = 0; i < GROUP_LAYERS; i++) {
                int[] inside = forward(tokens);
                int next = trace.allocate(wide);
                free(inside);
                if (i > 0) {
                    trace.free(state);
                }
                state = next;
            }
            borders.push(state);
        }
        int gradient = loss(tokens, wide);
        for (int layer = MODEL.layers() - GROUP_LAYERS; layer >= 0; layer -= GROUP_LAYERS) {
            trace.free(borders.pop());
            gradient = backward(layer, tokens, wide, gradient, gradients);
        }
        addGradient(gradients, 0);
        trace.free(gradient);
        trace.free(borders.pop());
    }

    /** What a layer leaves for its backward pass. */
    private int[] forward(int tokens) {
        long wide = (long) tokens * MODEL.hidden() * ModelShape.ELEMENT;
        long mlp = (long) tokens * MODEL.mlp() * ModelShape.ELEMENT;
        int norm = trace.allocate(wide);
        int query = trace.allocate(wide);
        int key = trace.allocate((long) tokens * MODEL.kv() * ModelShape.ELEMENT);
        int value = trace.allocate((long) tokens * MODEL.kv() * ModelShape.ELEMENT);
        int attention = trace.allocate(wide);
        int statistics = trace.allocate((long) tokens * 32 * 4);
        int norm2 = trace.allocate(wide);
        int gate = trace.allocate(mlp);
        int up = trace.allocate(mlp);
        int product = trace.allocate(mlp);
        return new int[] {norm, query, key, value, attention, statistics, norm2, gate, up, product};
    }

    private void free(int[] inside) {
        for (int i = inside.length - 1; i >= 0; i--) {
            trace.free(inside[i]);
        }
    }

    /** Odds over the vocabulary, in pieces of 1024 tokens as one does to save memory. Returns the state's gradient. */
    private int loss(int tokens, long wide) {
        int gradient = trace.allocate(wide);
        for (int done = 0; done < tokens; done += 1024) {
            int logits = trace.allocate((long) Math.min(1024, tokens - done) * MODEL.vocab() * 4);
            int odds = trace.allocate((long) Math.min(1024, tokens - done) * MODEL.vocab() * 4);
            trace.freeAll(logits, odds);
        }
        return gradient;
    }

    /** Makes the activations of a group again, and walks back through them. Returns the gradient before it. */
    private int backward(int firstLayer, int tokens, long wide, int after, int[] gradients) {
        int[][] inside = new int[GROUP_LAYERS][];
        int[] states = new int[GROUP_LAYERS];
        for (int i = 0; i < GROUP_LAYERS; i++) {
            inside[i] = forward(tokens);
            states[i] = trace.allocate(wide);
        }
        int gradient = after;
        for (int i = GROUP_LAYERS - 1; i >= 0; i--) {
            trace.free(states[i]);
            int ofProduct = trace.allocate((long) tokens * MODEL.mlp() * ModelShape.ELEMENT);
            int ofAttention = trace.allocate(wide);
            for (int tensor = 8; tensor >= 0; tensor--) {
                addGradient(gradients, 1 + (firstLayer + i) * 9 + tensor);
            }
            free(inside[i]);
            int before = trace.allocate(wide);
            trace.freeAll(ofProduct, ofAttention, gradient);
            gradient = before;
        }
        return gradient;
    }

    /** The first micro-batch leaves its gradient; those after it are added and freed. */
    private void addGradient(int[] gradients, int tensor) {
        int id = trace.allocate(tensors()[tensor] * ModelShape.ELEMENT);
        if (gradients[tensor] < 0) {
            gradients[tensor] = id;
        } else {
            trace.free(id);
        }
    }

    /** One tensor after the other: gradient and update in 4 bytes, for a moment. */
    private void update(int[] gradients) {
        for (int tensor = 0; tensor < gradients.length; tensor++) {
            if (gradients[tensor] >= 0) {
                int exact = trace.allocate(tensors()[tensor] * 4);
                int update = trace.allocate(tensors()[tensor] * 4);
                trace.freeAll(exact, update, gradients[tensor]);
            }
        }
    }

    private void evaluate() {
        for (int batch = 0; batch < 8; batch++) {
            int length = random.length(700, 0.7, 64, 4096);
            MODEL.step(trace, length, 16);
        }
    }
}
