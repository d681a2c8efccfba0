package dev.headroom.memory;

import static java.lang.Math.addExact;
import static java.lang.Math.multiplyExact;

import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The bytes that running a dense transformer needs, from the numbers in its configuration.
 *
 * <p>With {@code headDim = hidden / heads}, all in whole numbers:
 *
 * <table>
 * <caption>Formulas</caption>
 * <tr><th>figure</th><th>formula</th></tr>
 * <tr><td>parameters of a layer</td><td>2 hidden² (query, output) + 2 hidden x kvHeads x headDim (key, value)
 *     + 3 hidden x intermediate (gate, up, down) + 2 hidden (norms)</td></tr>
 * <tr><td>parameters</td><td>layers x layer + 2 vocab x hidden (embedding, output) + hidden (final norm)</td></tr>
 * <tr><td>model</td><td>parameters x bytesPerValue</td></tr>
 * <tr><td>KV cache</td><td>2 x layers x maxSeqLen x kvHeads x headDim x bytesPerValue, per sequence</td></tr>
 * <tr><td>activations</td><td>2 x (hidden + 2 intermediate) x bytesPerValue, per sequence</td></tr>
 * <tr><td>overhead</td><td>context + workspace + fragmentation: all 0 unless set</td></tr>
 * </table>
 *
 * <p>The formulas are those of a LLaMA-style decoder: grouped-query attention, a gated feed-forward block, no biases,
 * an output matrix of its own, and one size for weights and KV cache. They count what the model itself needs. What
 * comes on top in practice (the driver's context, scratch space, space lost between buffers, several sequences at once)
 * is 0, 0, 0 and 1 until the {@code with} methods say otherwise.
 *
 * <p>Threads: immutable. Failure: every figure is computed and checked for overflow when the estimate is made, so the
 * accessors never fail.
 *
 * <p>Example, TinyLlama in 16 bits:
 *
 * <pre>{@code
 * InferenceMemoryEstimate.of(2048, 5632, 22, 32000, 32, 4, 2048, 2).totalBytes(); // 2 246 287 360
 * }</pre>
 *
 * @see MixtureOfExpertsEstimate
 */
public final class InferenceMemoryEstimate {
    /** The alignment, in bytes, of the arena that {@link #forwardArenaBytes()} sizes: a cache line. */
    public static final long FORWARD_ARENA_ALIGNMENT = 64;

    private static final double MB = 1L << 20;
    private static final double GB = 1L << 30;
    private static final int FORWARD_ARENA_VALUE_BYTES = 4;

    private final Terms terms;
    private final long parametersPerLayer;
    private final long parameters;
    private final long modelBytes;
    private final long kvCacheBytes;
    private final long activationBytes;
    private final long fragmentationBytes;
    private final long overheadBytes;
    private final long totalBytes;
    private final long forwardArenaBytes;

    private InferenceMemoryEstimate(Terms t) {
        terms = t;
        parametersPerLayer = exact(
                "parametersPerLayer",
                t,
                () -> addExact(attentionAndNorms(t.hidden, t.heads, t.kvHeads), feedForward(t.hidden, t.intermediate)));
        parameters = exact(
                "parameters",
                t,
                () -> addExact(multiplyExact(t.layers, parametersPerLayer), embeddingAndHead(t.vocab, t.hidden)));
        modelBytes = exact("modelBytes", t, () -> multiplyExact(parameters, t.bytesPerValue));
        kvCacheBytes = exact(
                "kvCacheBytes",
                t,
                () -> multiplyExact(
                        t.sequences, kvCache(t.hidden, t.layers, t.heads, t.kvHeads, t.maxSeqLen, t.bytesPerValue)));
        activationBytes = exact(
                "activationBytes",
                t,
                () -> product(2, addExact(t.hidden, multiplyExact(2, t.intermediate)), t.bytesPerValue, t.sequences));
        fragmentationBytes = exact(
                "fragmentationBytes",
                t,
                () -> percentRoundedUp(
                        sum(modelBytes, kvCacheBytes, activationBytes, t.workspaceBytes), t.fragmentationPercent));
        overheadBytes = exact("overheadBytes", t, () -> sum(t.contextBytes, t.workspaceBytes, fragmentationBytes));
        totalBytes = exact("totalBytes", t, () -> sum(modelBytes, kvCacheBytes, activationBytes, overheadBytes));
        forwardArenaBytes = exact("forwardArenaBytes", t, () -> forwardArena(t));
    }

    /**
     * Estimates a model from its configuration. The names in brackets are those of a Hugging Face {@code config.json}.
     *
     * @param hidden the width of the model ({@code hidden_size}), 1 or more
     * @param intermediate the width of the feed-forward block ({@code intermediate_size}), 1 or more
     * @param layers the number of layers ({@code num_hidden_layers}), 1 or more
     * @param vocab the number of tokens in the vocabulary ({@code vocab_size}), 1 or more
     * @param heads the number of attention heads ({@code num_attention_heads}), a divisor of {@code hidden}
     * @param kvHeads the number of key and value heads ({@code num_key_value_heads}), a divisor of {@code heads}
     * @param maxSeqLen the context length to hold a KV cache for, in tokens, 1 or more
     * @param bytesPerValue the bytes of one weight and of one KV cache value, such as 4 or 2, 1 or more
     * @return the estimate
     * @throws IllegalArgumentException if a parameter is outside its range, or a figure is larger than
     *     {@link Long#MAX_VALUE}; the message names it, its value and what is allowed
     */
    public static InferenceMemoryEstimate of(
            long hidden,
            long intermediate,
            long layers,
            long vocab,
            long heads,
            long kvHeads,
            long maxSeqLen,
            long bytesPerValue) {
        return new InferenceMemoryEstimate(
                new Terms(hidden, intermediate, layers, vocab, heads, kvHeads, maxSeqLen, bytesPerValue, 1, 0, 0, 0));
    }

    /**
     * The same model serving several sequences at once: KV cache and activations are needed once for each.
     *
     * @param sequences the number of sequences, 1 or more; 1 unless set
     * @return a new estimate
     * @throws IllegalArgumentException if {@code sequences} is less than 1 or a figure becomes too large
     */
    public InferenceMemoryEstimate withConcurrentSequences(long sequences) {
        return new InferenceMemoryEstimate(
                terms.with(sequences, terms.contextBytes, terms.workspaceBytes, terms.fragmentationPercent));
    }

    /**
     * The same with what the driver takes for itself when a device is opened. It is not subject to fragmentation.
     *
     * @param contextBytes the bytes, 0 or more; 0 unless set
     * @return a new estimate
     * @throws IllegalArgumentException if {@code contextBytes} is negative or a figure becomes too large
     */
    public InferenceMemoryEstimate withContextBytes(long contextBytes) {
        return new InferenceMemoryEstimate(
                terms.with(terms.sequences, contextBytes, terms.workspaceBytes, terms.fragmentationPercent));
    }

    /**
     * The same with scratch space for kernels, once for all sequences.
     *
     * @param workspaceBytes the bytes, 0 or more; 0 unless set
     * @return a new estimate
     * @throws IllegalArgumentException if {@code workspaceBytes} is negative or a figure becomes too large
     */
    public InferenceMemoryEstimate withWorkspaceBytes(long workspaceBytes) {
        return new InferenceMemoryEstimate(
                terms.with(terms.sequences, terms.contextBytes, workspaceBytes, terms.fragmentationPercent));
    }

    /**
     * The same with space lost between buffers, as a share of model, KV cache, activations and workspace, rounded up to
     * a byte.
     *
     * @param percent the share in per cent, 0 to 100; 0 unless set
     * @return a new estimate
     * @throws IllegalArgumentException if {@code percent} is outside its range or a figure becomes too large
     */
    public InferenceMemoryEstimate withFragmentationPercent(int percent) {
        return new InferenceMemoryEstimate(
                terms.with(terms.sequences, terms.contextBytes, terms.workspaceBytes, percent));
    }

    /**
     * The parameters of one layer.
     *
     * @return the number of values
     */
    public long parametersPerLayer() {
        return parametersPerLayer;
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
     * The weights.
     *
     * @return bytes
     */
    public long modelBytes() {
        return modelBytes;
    }

    /**
     * The KV cache of all sequences at full context length.
     *
     * @return bytes
     */
    public long kvCacheBytes() {
        return kvCacheBytes;
    }

    /**
     * The activations of one token of every sequence.
     *
     * @return bytes
     */
    public long activationBytes() {
        return activationBytes;
    }

    /**
     * Context, workspace and fragmentation together.
     *
     * @return bytes, 0 unless one of them was set
     */
    public long overheadBytes() {
        return overheadBytes;
    }

    /**
     * Everything: model, KV cache, activations and overhead.
     *
     * @return bytes
     */
    public long totalBytes() {
        return totalBytes;
    }

    /**
     * The arena for the scratch values of one forward pass of one sequence, if a program keeps them in one block:
     * {@code 1.1 x (2 hidden x 4 + 2 intermediate x 4 + heads x maxSeqLen x 4)}, rounded down. Scratch values have 4
     * bytes whatever the weights have. The block wants {@link #FORWARD_ARENA_ALIGNMENT}. It is not part of
     * {@link #totalBytes()}; a program that uses one passes it to {@link #withWorkspaceBytes}.
     *
     * @return bytes
     */
    public long forwardArenaBytes() {
        return forwardArenaBytes;
    }

    /**
     * {@link #modelBytes()} in MB.
     *
     * @return units of 1024 * 1024 bytes
     */
    public double modelMb() {
        return modelBytes / MB;
    }

    /**
     * {@link #kvCacheBytes()} in MB.
     *
     * @return units of 1024 * 1024 bytes
     */
    public double kvCacheMb() {
        return kvCacheBytes / MB;
    }

    /**
     * {@link #activationBytes()} in MB.
     *
     * @return units of 1024 * 1024 bytes
     */
    public double activationMb() {
        return activationBytes / MB;
    }

    /**
     * {@link #totalBytes()} in MB.
     *
     * @return units of 1024 * 1024 bytes
     */
    public double totalMb() {
        return totalBytes / MB;
    }

    /**
     * {@link #totalBytes()} in GB.
     *
     * @return units of 1024 * 1024 * 1024 bytes
     */
    public double totalGb() {
        return totalBytes / GB;
    }

    /** Two estimates are equal if they were made from the same numbers. */
    @Override
    @SuppressWarnings("exports") // @Nullable is for tools; no caller needs the module it comes from
    public boolean equals(@Nullable Object other) {
        return other instanceof InferenceMemoryEstimate that && terms.equals(that.terms);
    }

    @Override
    public int hashCode() {
        return terms.hashCode();
    }

    /**
     * The estimate in one line, such as {@code 27.98 GB total (26.98 GB model, 1.00 GB KV cache, 0.25 MB activations)}.
     * GB and MB are 1024 based, have two decimals with half rounded up (0.125 is 0.13), and are the same in every
     * locale. Overhead, where set, follows the activations as {@code , 512.00 MB overhead}.
     *
     * @return the line
     */
    @Override
    public String toString() {
        String overhead = overheadBytes == 0 ? "" : ", " + ByteSize.megabytes(overheadBytes) + " MB overhead";
        return ByteSize.gigabytes(totalBytes) + " GB total (" + ByteSize.gigabytes(modelBytes) + " GB model, "
                + ByteSize.gigabytes(kvCacheBytes) + " GB KV cache, " + ByteSize.megabytes(activationBytes)
                + " MB activations" + overhead + ")";
    }

    /** Query, key, value and output matrices and the two norms of a layer. */
    static long attentionAndNorms(long hidden, long heads, long kvHeads) {
        long queryAndOutput = product(2, hidden, hidden);
        long keyAndValue = product(2, hidden, keyValueWidth(hidden, heads, kvHeads));
        return sum(queryAndOutput, keyAndValue, multiplyExact(2, hidden));
    }

    /** Gate, up and down matrices of one feed-forward block, or of one expert. */
    static long feedForward(long hidden, long intermediate) {
        return product(3, hidden, intermediate);
    }

    /** Embedding and output matrix, and the final norm. */
    static long embeddingAndHead(long vocab, long hidden) {
        return addExact(product(2, vocab, hidden), hidden);
    }

    /** Bytes of the KV cache of one sequence. */
    static long kvCache(long hidden, long layers, long heads, long kvHeads, long maxSeqLen, long bytesPerValue) {
        return product(2, layers, maxSeqLen, keyValueWidth(hidden, heads, kvHeads), bytesPerValue);
    }

    private static long keyValueWidth(long hidden, long heads, long kvHeads) {
        return multiplyExact(kvHeads, hidden / heads);
    }

    private static long forwardArena(Terms t) {
        long values =
                sum(multiplyExact(2, t.hidden), multiplyExact(2, t.intermediate), multiplyExact(t.heads, t.maxSeqLen));
        long bytes = multiplyExact(FORWARD_ARENA_VALUE_BYTES, values);
        return addExact(bytes, bytes / 10);
    }

    private static long percentRoundedUp(long bytes, int percent) {
        return addExact(multiplyExact(bytes / 100, percent), Math.ceilDiv(multiplyExact(bytes % 100, percent), 100));
    }

    static long product(long... factors) {
        long product = 1;
        for (long factor : factors) {
            product = multiplyExact(product, factor);
        }
        return product;
    }

    static long sum(long... parts) {
        long sum = 0;
        for (long part : parts) {
            sum = addExact(sum, part);
        }
        return sum;
    }

    /** Computes a figure; one that does not fit in a long is an unusable argument, not a fault of arithmetic. */
    static long exact(String figure, Record inputs, LongSupplier formula) {
        try {
            return formula.getAsLong();
        } catch (ArithmeticException overflow) {
            throw new IllegalArgumentException(
                    figure + " is too large: allowed are up to " + Long.MAX_VALUE + ", with " + inputs, overflow);
        }
    }

    static void requireWithin(String name, long value, long least, long most) {
        if (value < least || value > most) {
            String allowed = most == Long.MAX_VALUE ? least + " or more" : least + " to " + most;
            throw new IllegalArgumentException(name + " is " + value + ": allowed are " + allowed);
        }
    }

    static void requireAtLeast(String name, long value, long least) {
        requireWithin(name, value, least, Long.MAX_VALUE);
    }

    static void requireDivisor(String name, long value, String ofName, long ofValue) {
        requireAtLeast(name, value, 1);
        if (ofValue % value != 0) {
            throw new IllegalArgumentException(
                    name + " is " + value + ": allowed are divisors of " + ofName + ", which is " + ofValue);
        }
    }

    /** What an estimate is made from. */
    private record Terms(
            long hidden,
            long intermediate,
            long layers,
            long vocab,
            long heads,
            long kvHeads,
            long maxSeqLen,
            long bytesPerValue,
            long sequences,
            long contextBytes,
            long workspaceBytes,
            int fragmentationPercent) {

        Terms {
            requireAtLeast("hidden", hidden, 1);
            requireAtLeast("intermediate", intermediate, 1);
            requireAtLeast("layers", layers, 1);
            requireAtLeast("vocab", vocab, 1);
            requireDivisor("heads", heads, "hidden", hidden);
            requireDivisor("kvHeads", kvHeads, "heads", heads);
            requireAtLeast("maxSeqLen", maxSeqLen, 1);
            requireAtLeast("bytesPerValue", bytesPerValue, 1);
            requireAtLeast("sequences", sequences, 1);
            requireAtLeast("contextBytes", contextBytes, 0);
            requireAtLeast("workspaceBytes", workspaceBytes, 0);
            requireWithin("percent", fragmentationPercent, 0, 100);
        }

        Terms with(long newSequences, long newContextBytes, long newWorkspaceBytes, int newFragmentationPercent) {
            return new Terms(
                    hidden,
                    intermediate,
                    layers,
                    vocab,
                    heads,
                    kvHeads,
                    maxSeqLen,
                    bytesPerValue,
                    newSequences,
                    newContextBytes,
                    newWorkspaceBytes,
                    newFragmentationPercent);
        }

        /** The numbers by name, for messages. */
        @Override
        public String toString() {
            return "hidden " + hidden + ", intermediate " + intermediate + ", layers " + layers + ", vocab " + vocab
                    + ", heads " + heads + ", kvHeads " + kvHeads + ", maxSeqLen " + maxSeqLen + ", bytesPerValue "
                    + bytesPerValue + ", sequences " + sequences + ", contextBytes " + contextBytes
                    + ", workspaceBytes " + workspaceBytes + ", fragmentationPercent " + fragmentationPercent;
        }
    }
}
