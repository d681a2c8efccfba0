package dev.headroom.memory.benchmarks;

import java.util.ArrayList;
import java.util.List;

/**
 * The extents of a decoder's tensors, of 2 bytes an element.
 *
 * @param layers    its layers
 * @param hidden    elements of the hidden state
 * @param mlp       elements inside the feed-forward network
 * @param kv        elements of a key, and of a value, over all heads
 * @param vocab     tokens there are
 * @param quantized whether its matrices have 4 bits an element, and a scale of 2 bytes for 32 of them in a tensor of their own
 */
record ModelShape(int layers, int hidden, int mlp, int kv, int vocab, boolean quantized) {

    static final int ELEMENT = 2;
    static final ModelShape SEVEN_B = new ModelShape(32, 4096, 14336, 1024, 32000, false);
    static final ModelShape THIRTEEN_B_4_BIT = new ModelShape(40, 5120, 13824, 5120, 32000, true);
    static final ModelShape THREE_B = new ModelShape(28, 3072, 8192, 1024, 128256, false);
    static final ModelShape HALF_B = new ModelShape(24, 896, 4864, 128, 32000, false);
    static final ModelShape ONE_B = new ModelShape(16, 2048, 8192, 512, 128256, false);

    /** Allocates all weights. */
    int[] allocateWeights(LlmTrace trace) {
        List<Integer> ids = new ArrayList<>();
        matrix(trace, ids, vocab, hidden);
        for (int layer = 0; layer < layers; layer++) {
            matrix(trace, ids, hidden, hidden);
            matrix(trace, ids, kv, hidden);
            matrix(trace, ids, kv, hidden);
            matrix(trace, ids, hidden, hidden);
            for (int i = 0; i < 3; i++) {
                matrix(trace, ids, mlp, hidden);
            }
            ids.add(trace.allocate((long) hidden * ELEMENT));
            ids.add(trace.allocate((long) hidden * ELEMENT));
        }
        ids.add(trace.allocate((long) hidden * ELEMENT));
        matrix(trace, ids, vocab, hidden);
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    private void matrix(LlmTrace trace, List<Integer> ids, long rows, long columns) {
        if (quantized) {
            ids.add(trace.allocate(rows * columns / 2));
            ids.add(trace.allocate(rows * columns / 32 * 2));
        } else {
            ids.add(trace.allocate(rows * columns * ELEMENT));
        }
    }

    /** Allocates and frees what one step over so many tokens needs, the last first inside each layer. */
    void step(LlmTrace trace, int tokens, int batch) {
        long wide = (long) tokens * hidden * ELEMENT;
        int state = trace.allocate(wide);
        for (int layer = 0; layer < layers; layer++) {
            int norm = trace.allocate(wide);
            int query = trace.allocate(wide);
            int keyValue = trace.allocate((long) tokens * kv * 2 * ELEMENT);
            int attention = trace.allocate(wide);
            int output = trace.allocate(wide);
            trace.freeAll(output, attention, keyValue, query, norm);
            int norm2 = trace.allocate(wide);
            int gate = trace.allocate((long) tokens * mlp * ELEMENT);
            int up = trace.allocate((long) tokens * mlp * ELEMENT);
            trace.freeAll(up, gate, norm2);
        }
        int logits = trace.allocate((long) batch * vocab * 4);
        int odds = trace.allocate((long) batch * vocab * 4);
        int sample = trace.allocate((long) batch * 8);
        trace.freeAll(sample, odds, logits, state);
    }
}
