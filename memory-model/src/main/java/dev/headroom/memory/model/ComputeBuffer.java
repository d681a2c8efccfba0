package dev.headroom.memory.model;

import dev.headroom.memory.model.FootprintOptions.LatentCache;

/**
 * The bytes an engine reserves for intermediate results: the uncertain part.
 *
 * <p>An allocator reuses memory from one operation to the next, so what counts is the widest moment of the graph, with n
 * tokens computed at once, in single precision:
 *
 * <ul>
 *   <li>logits: {@code (vocabulary + embedding) x n}, never undercut by the device that holds the output;
 *   <li>attention: {@code (4 x embedding) x n}, and without flash attention the scores, {@code heads x cells x n}; over a
 *       latent cache queries and results of every head are as wide as its vectors, {@code heads x (2 x rank + rope) x n};
 *   <li>feed-forward: {@code (2 x width + 2 x embedding) x n}, gate and up side by side, every expert used counted;
 *   <li>and beside any of them the mask, {@code cells x n}; flash attention has a copy of it in half precision.
 * </ul>
 *
 * <p>The likely figure is the widest of the three and the mask. The most is what logits and scores take together, with mask
 * and four rows of embeddings, and a hundredth for alignment. Where not all weights are on the device, the largest that is
 * not is copied there. Fitted on allocator prints of llama.cpp and its forks; {@code docs/estimation-accuracy.md} has the
 * comparison.
 */
record ComputeBuffer(long bytes, long lowBytes, long highBytes, long hostBytes) {

    private static final long F32_BYTES = 4;

    static ComputeBuffer of(
            ModelFacts facts, FootprintOptions options, KvCache cache, long ubatch, boolean outputHere, long copied) {
        long embedding = values(facts.embedding(), ubatch);
        long cells = facts.encoder() ? ubatch : cache.widest();
        long maskValues = values(cells, ubatch);
        boolean flash = options.flashAttention();
        long mask = flash ? Saturated.plus(maskValues, maskValues / 2) : maskValues;
        long scores = flash ? 0 : Saturated.times(values(facts.heads(), ubatch), cells);
        long width = values(Saturated.plus(facts.feedForward(), facts.embedding()), ubatch);
        if (facts.encoder()) {
            // No logits; and attention and feed-forward, which has no gate, were seen side by side.
            long all = Saturated.plus(scores, width, mask);
            return new ComputeBuffer(all, width, withAlignment(all), Saturated.plus(embedding, maskValues));
        }
        long logits = values(Saturated.plus(facts.vocabulary(), facts.embedding()), ubatch);
        long rows = Saturated.times(4, embedding);
        long latent = facts.latent().isEmpty() || cache.latentLayout() == LatentCache.EXPANDED
                ? 0
                : values(Saturated.times(facts.heads(), facts.latent().get().absorbedWidth()), ubatch);
        long attention = flash && latent == 0 ? 0 : Saturated.plus(scores, latent, rows);
        long feedForward = Saturated.times(2, width);
        long widest = Saturated.plus(Math.max(Math.max(logits, attention), feedForward), mask);
        long least = outputHere ? Math.max(logits, scores) : Math.max(scores, embedding);
        long most = Saturated.plus(Math.max(Saturated.plus(logits, scores, latent), feedForward), mask, rows);
        return new ComputeBuffer(
                Saturated.plus(widest, copied),
                least,
                withAlignment(Saturated.plus(most, copied)),
                Saturated.plus(values(cache.allCells(), ubatch), embedding));
    }

    private static long withAlignment(long bytes) {
        return Saturated.plus(bytes, bytes / 100);
    }

    private static long values(long perToken, long tokens) {
        return Saturated.times(perToken, tokens, F32_BYTES);
    }
}
