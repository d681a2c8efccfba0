package dev.headroom.memory;

import static dev.headroom.memory.InferenceMemoryEstimate.attentionAndNorms;
import static dev.headroom.memory.InferenceMemoryEstimate.embeddingAndHead;
import static dev.headroom.memory.InferenceMemoryEstimate.exact;
import static dev.headroom.memory.InferenceMemoryEstimate.feedForward;
import static dev.headroom.memory.InferenceMemoryEstimate.requireAtLeast;
import static dev.headroom.memory.InferenceMemoryEstimate.requireDivisor;
import static dev.headroom.memory.InferenceMemoryEstimate.requireWithin;
import static dev.headroom.memory.InferenceMemoryEstimate.sum;
import static java.lang.Math.multiplyExact;

import org.jspecify.annotations.Nullable;

/**
 * The size of a mixture-of-experts transformer: all of it, which must be in memory, and the part that one token uses,
 * which decides how fast it can be.
 *
 * <p>The first {@code firstMoeLayer} layers are dense, as in {@link InferenceMemoryEstimate}. In every later layer a
 * router and experts take the place of the feed-forward block:
 *
 * <table>
 * <caption>Parameters of a mixture-of-experts layer</caption>
 * <tr><th>part</th><th>formula</th><th>in a token's share</th></tr>
 * <tr><td>attention and norms</td><td>as in a dense layer</td><td>all</td></tr>
 * <tr><td>router</td><td>experts x hidden</td><td>all</td></tr>
 * <tr><td>experts</td><td>experts x 3 x moeIntermediate x hidden</td><td>{@code topK} of them</td></tr>
 * <tr><td>shared experts</td><td>sharedExperts x 3 x moeIntermediate x hidden</td><td>all</td></tr>
 * </table>
 *
 * <p>Embedding, output matrix and final norm count in both figures.
 *
 * <p>Threads: immutable. Failure: every figure is computed and checked for overflow when the estimate is made; only
 * {@link #kvCacheBytes} can fail later.
 *
 * <p>Example, Mixtral 8x7B in 16 bits:
 *
 * <pre>{@code
 * MixtureOfExpertsEstimate.of(4096, 14336, 14336, 32, 0, 8, 0, 32000, 32, 8, 2).withTopK(2);
 * }</pre>
 */
public final class MixtureOfExpertsEstimate {
    /** The experts a token uses unless {@link #withTopK} says otherwise; all of them where there are fewer. */
    public static final long DEFAULT_TOP_K = 8;

    private final Terms terms;
    private final long parameters;
    private final long activeParameters;
    private final long modelBytes;
    private final long activeBytes;

    private MixtureOfExpertsEstimate(Terms t) {
        terms = t;
        parameters = exact("parameters", t, () -> countParameters(t, t.experts));
        activeParameters = exact("activeParameters", t, () -> countParameters(t, t.topK));
        modelBytes = exact("modelBytes", t, () -> multiplyExact(parameters, t.bytesPerValue));
        activeBytes = exact("activeBytes", t, () -> multiplyExact(activeParameters, t.bytesPerValue));
    }

    /**
     * Estimates a model from its configuration, with {@link #DEFAULT_TOP_K} experts for a token.
     *
     * @param hidden the width of the model, 1 or more
     * @param intermediate the width of the feed-forward block of a dense layer, 1 or more
     * @param moeIntermediate the width of one expert, 1 or more
     * @param layers the number of layers, dense ones included, 1 or more
     * @param firstMoeLayer the number of dense layers at the start, 0 to {@code layers}
     * @param experts the routed experts of a layer, 1 or more
     * @param sharedExperts the experts of a layer that every token uses beside the routed ones, 0 or more
     * @param vocab the number of tokens in the vocabulary, 1 or more
     * @param heads the number of attention heads, a divisor of {@code hidden}
     * @param kvHeads the number of key and value heads, a divisor of {@code heads}
     * @param bytesPerValue the bytes of one weight and of one KV cache value, such as 4 or 2, 1 or more
     * @return the estimate
     * @throws IllegalArgumentException if a parameter is outside its range, or a figure is larger than
     *     {@link Long#MAX_VALUE}; the message names it, its value and what is allowed
     */
    public static MixtureOfExpertsEstimate of(
            long hidden,
            long intermediate,
            long moeIntermediate,
            long layers,
            long firstMoeLayer,
            long experts,
            long sharedExperts,
            long vocab,
            long heads,
            long kvHeads,
            long bytesPerValue) {
        requireAtLeast("experts", experts, 1); // before topK is derived from it, so that the message names experts
        return new MixtureOfExpertsEstimate(new Terms(
                hidden,
                intermediate,
                moeIntermediate,
                layers,
                firstMoeLayer,
                experts,
                sharedExperts,
                vocab,
                heads,
                kvHeads,
                bytesPerValue,
                Math.min(DEFAULT_TOP_K, experts)));
    }

    /**
     * The same model with another number of routed experts for a token ({@code num_experts_per_tok} in a Hugging Face
     * {@code config.json}).
     *
     * @param topK the number, 1 to the number of experts
     * @return a new estimate
     * @throws IllegalArgumentException if {@code topK} is outside its range
     */
    public MixtureOfExpertsEstimate withTopK(long topK) {
        return new MixtureOfExpertsEstimate(terms.with(topK));
    }

    /**
     * The routed experts a token uses.
     *
     * @return 1 to the number of experts
     */
    public long topK() {
        return terms.topK;
    }

    /**
     * The dense layers.
     *
     * @return their number, 0 or more
     */
    public long denseLayers() {
        return terms.firstMoeLayer;
    }

    /**
     * The mixture-of-experts layers.
     *
     * @return their number, 0 or more
     */
    public long moeLayers() {
        return terms.layers - terms.firstMoeLayer;
    }

    /**
     * The parameters of the model.
     *
     * @return the number of values
     */
    public long parameters() {
        return parameters;
    }

    /**
     * The parameters one token uses.
     *
     * @return the number of values
     */
    public long activeParameters() {
        return activeParameters;
    }

    /**
     * The weights of the model: what must be in memory.
     *
     * @return bytes
     */
    public long modelBytes() {
        return modelBytes;
    }

    /**
     * The weights one token uses.
     *
     * @return bytes
     */
    public long activeBytes() {
        return activeBytes;
    }

    /**
     * The KV cache of one sequence, by the formula of {@link InferenceMemoryEstimate}: experts do not change it.
     *
     * @param maxSeqLen the context length in tokens, 1 or more
     * @return bytes
     * @throws IllegalArgumentException if {@code maxSeqLen} is less than 1 or the figure is too large
     */
    public long kvCacheBytes(long maxSeqLen) {
        requireAtLeast("maxSeqLen", maxSeqLen, 1);
        Terms t = terms;
        return exact(
                "kvCacheBytes for maxSeqLen " + maxSeqLen,
                t,
                () -> InferenceMemoryEstimate.kvCache(
                        t.hidden, t.layers, t.heads, t.kvHeads, maxSeqLen, t.bytesPerValue));
    }

    /** Two estimates are equal if they were made from the same numbers. */
    @Override
    @SuppressWarnings("exports") // @Nullable is for tools; no caller needs the module it comes from
    public boolean equals(@Nullable Object other) {
        return other instanceof MixtureOfExpertsEstimate that && terms.equals(that.terms);
    }

    @Override
    public int hashCode() {
        return terms.hashCode();
    }

    /**
     * The estimate in one line; GB is 1024 based with two decimals, half rounded up, the same in every locale.
     *
     * @return the line
     */
    @Override
    public String toString() {
        return ByteSize.gigabytes(modelBytes) + " GB model, " + ByteSize.gigabytes(activeBytes)
                + " GB active per token (" + parameters + " parameters, " + activeParameters + " active, "
                + denseLayers() + " dense and " + moeLayers() + " MoE layers, " + terms.topK + " of " + terms.experts
                + " experts)";
    }

    private static long countParameters(Terms t, long routedExperts) {
        long attention = attentionAndNorms(t.hidden, t.heads, t.kvHeads);
        long dense = sum(attention, feedForward(t.hidden, t.intermediate));
        long router = multiplyExact(t.experts, t.hidden);
        long experts = multiplyExact(sum(routedExperts, t.sharedExperts), feedForward(t.hidden, t.moeIntermediate));
        long moe = sum(attention, router, experts);
        return sum(
                multiplyExact(t.firstMoeLayer, dense),
                multiplyExact(t.layers - t.firstMoeLayer, moe),
                embeddingAndHead(t.vocab, t.hidden));
    }

    /** What an estimate is made from. */
    private record Terms(
            long hidden,
            long intermediate,
            long moeIntermediate,
            long layers,
            long firstMoeLayer,
            long experts,
            long sharedExperts,
            long vocab,
            long heads,
            long kvHeads,
            long bytesPerValue,
            long topK) {

        Terms {
            requireAtLeast("hidden", hidden, 1);
            requireAtLeast("intermediate", intermediate, 1);
            requireAtLeast("moeIntermediate", moeIntermediate, 1);
            requireAtLeast("layers", layers, 1);
            requireWithin("firstMoeLayer", firstMoeLayer, 0, layers);
            requireAtLeast("experts", experts, 1);
            requireAtLeast("sharedExperts", sharedExperts, 0);
            requireAtLeast("vocab", vocab, 1);
            requireDivisor("heads", heads, "hidden", hidden);
            requireDivisor("kvHeads", kvHeads, "heads", heads);
            requireAtLeast("bytesPerValue", bytesPerValue, 1);
            requireWithin("topK", topK, 1, experts);
        }

        Terms with(long newTopK) {
            return new Terms(
                    hidden,
                    intermediate,
                    moeIntermediate,
                    layers,
                    firstMoeLayer,
                    experts,
                    sharedExperts,
                    vocab,
                    heads,
                    kvHeads,
                    bytesPerValue,
                    newTopK);
        }

        /** The numbers by name, for messages. */
        @Override
        public String toString() {
            return "hidden " + hidden + ", intermediate " + intermediate + ", moeIntermediate " + moeIntermediate
                    + ", layers " + layers + ", firstMoeLayer " + firstMoeLayer + ", experts " + experts
                    + ", sharedExperts " + sharedExperts + ", vocab " + vocab + ", heads " + heads + ", kvHeads "
                    + kvHeads + ", bytesPerValue " + bytesPerValue + ", topK " + topK;
        }
    }
}
