package dev.headroom.memory.model;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The shape of a decoder model: everything that fixes the names and dimensions of its tensors.
 *
 * <p>{@link #known} has shapes of published models with the hyper-parameters and tensor names their GGUF files have; at
 * full depth they have the published number of parameters and of tensors (Qwen3 with tied embeddings as the model's
 * configuration says; some published files repeat the embedding as {@code output.weight} and have one tensor more).
 *
 * <p>Immutable; may be used by any thread.
 *
 * @param name what users call it, for example {@code tinyllama-1.1b}
 * @param architecture the value of {@code general.architecture}, which is also the prefix of the model's keys
 * @param layers number of blocks, 1 to 65536
 * @param contextLength tokens the model was trained for
 * @param embeddingLength width of the residual stream
 * @param feedForwardLength width of the feed-forward part; of each expert if there are experts
 * @param heads query heads
 * @param headsKv key and value heads, a divisor of {@code heads}
 * @param headLength width of one head; not always {@code embeddingLength / heads}
 * @param vocabularySize rows of the token embedding
 * @param ropeBase base frequency of the rotary embedding
 * @param rmsEpsilon epsilon of the norms
 * @param experts the experts of each layer, {@link Experts#NONE} in a dense model
 * @param traits what else it has
 */
public record ModelShape(
        String name,
        String architecture,
        int layers,
        int contextLength,
        int embeddingLength,
        int feedForwardLength,
        int heads,
        int headsKv,
        int headLength,
        int vocabularySize,
        double ropeBase,
        double rmsEpsilon,
        Experts experts,
        Set<Trait> traits) {

    /** What some models have and others do not. */
    public enum Trait {
        /** The token embedding is also the output matrix, so there is no {@code output.weight}. */
        TIED_EMBEDDINGS,
        /** Queries and keys are normalised per head. */
        QUERY_KEY_NORM,
        /** The projections to queries, keys and values have biases. */
        ATTENTION_BIAS,
        /** The file carries scaled rotary frequencies, {@code rope_freqs.weight}. */
        ROPE_FACTORS,
        /** The file states the head length even where it is {@code embeddingLength / heads}. */
        HEAD_LENGTH_STATED
    }

    /**
     * The experts of a layer.
     *
     * @param count how many there are; 0 in a dense model
     * @param used how many a token passes through
     */
    public record Experts(int count, int used) {
        /** A dense model. */
        public static final Experts NONE = new Experts(0, 0);

        /** Checks the numbers. */
        public Experts {
            if (count < 0 || used < 0 || used > count || (count > 0 && used == 0)) {
                throw new IllegalArgumentException("no such experts: " + used + " of " + count);
            }
        }
    }

    /**
     * One tensor of a model, before its type is chosen.
     *
     * @param name its GGUF name
     * @param dims its extents, fastest-moving first
     */
    public record Tensor(String name, List<Long> dims) {
        /** Copies the extents. */
        public Tensor {
            dims = List.copyOf(dims);
        }

        private static Tensor of(String name, long... dims) {
            List<Long> list = new ArrayList<>();
            for (long dim : dims) {
                list.add(dim);
            }
            return new Tensor(name, list);
        }

        /**
         * Whether quantisers leave it in F32: vectors, and the matrix that routes tokens to experts.
         *
         * @return true if its type is always F32
         */
        public boolean staysF32() {
            return dims.size() == 1 || name.endsWith("ffn_gate_inp.weight");
        }
    }

    private static final int MAX_LAYERS = 65_536;
    private static final String ROPE_FREQS = "rope_freqs.weight";

    private static final List<ModelShape> KNOWN = List.of(
            llama("tinyllama-1.1b", 22, 2_048, 2_048, 5_632, 32, 4, 32_000, 10_000),
            llama("llama-2-7b", 32, 4_096, 4_096, 11_008, 32, 32, 32_000, 10_000),
            llama("llama-3.1-8b", 32, 131_072, 4_096, 14_336, 32, 8, 128_256, 500_000)
                    .withTraits(Trait.ROPE_FACTORS),
            llama("llama-3.2-1b", 16, 131_072, 2_048, 8_192, 32, 8, 128_256, 500_000)
                    .withTraits(Trait.ROPE_FACTORS, Trait.TIED_EMBEDDINGS),
            llama("llama-3.2-3b", 28, 131_072, 3_072, 8_192, 24, 8, 128_256, 500_000)
                    .withTraits(Trait.ROPE_FACTORS, Trait.TIED_EMBEDDINGS),
            llama("mistral-7b", 32, 32_768, 4_096, 14_336, 32, 8, 32_000, 10_000),
            llama("mixtral-8x7b", 32, 32_768, 4_096, 14_336, 32, 8, 32_000, 1_000_000)
                    .withExperts(new Experts(8, 2)),
            qwen3("qwen3-0.6b", 28, 1_024, 3_072, 16, Trait.TIED_EMBEDDINGS),
            qwen3("qwen3-1.7b", 28, 2_048, 6_144, 16, Trait.TIED_EMBEDDINGS),
            qwen3("qwen3-4b", 36, 2_560, 9_728, 32, Trait.TIED_EMBEDDINGS),
            qwen3("qwen3-8b", 36, 4_096, 12_288, 32),
            new ModelShape(
                    "qwen3-30b-a3b",
                    "qwen3moe",
                    48,
                    40_960,
                    2_048,
                    768,
                    32,
                    4,
                    128,
                    151_936,
                    1_000_000,
                    1e-6,
                    new Experts(128, 8),
                    Set.of(Trait.QUERY_KEY_NORM, Trait.HEAD_LENGTH_STATED)),
            new ModelShape(
                    "qwen2.5-0.5b",
                    "qwen2",
                    24,
                    32_768,
                    896,
                    4_864,
                    14,
                    2,
                    64,
                    151_936,
                    1_000_000,
                    1e-6,
                    Experts.NONE,
                    Set.of(Trait.ATTENTION_BIAS, Trait.TIED_EMBEDDINGS)),
            new ModelShape(
                    "gemma-2b",
                    "gemma",
                    18,
                    8_192,
                    2_048,
                    16_384,
                    8,
                    1,
                    256,
                    256_000,
                    10_000,
                    1e-6,
                    Experts.NONE,
                    Set.of(Trait.TIED_EMBEDDINGS, Trait.HEAD_LENGTH_STATED)));

    /** Checks that the numbers can describe a model. */
    public ModelShape {
        traits = Set.copyOf(traits);
        if (layers < 1 || layers > MAX_LAYERS) {
            throw new IllegalArgumentException("layers must be 1 to " + MAX_LAYERS + ", but is " + layers);
        }
        requirePositive("contextLength", contextLength);
        requirePositive("embeddingLength", embeddingLength);
        requirePositive("feedForwardLength", feedForwardLength);
        requirePositive("heads", heads);
        requirePositive("headsKv", headsKv);
        requirePositive("headLength", headLength);
        requirePositive("vocabularySize", vocabularySize);
        if (heads % headsKv != 0) {
            throw new IllegalArgumentException(
                    "heads must be a multiple of headsKv, but are " + heads + " and " + headsKv);
        }
        if (!(ropeBase > 0) || !(rmsEpsilon > 0)) {
            throw new IllegalArgumentException(
                    "ropeBase and rmsEpsilon must be positive, but are " + ropeBase + " and " + rmsEpsilon);
        }
    }

    /**
     * The shapes of published models that are known here.
     *
     * @return an unmodifiable list
     */
    public static List<ModelShape> known() {
        return KNOWN;
    }

    /**
     * Finds the shape of a published model.
     *
     * @param name for example {@code mistral-7b}
     * @return the shape, or empty if none of that name is known
     */
    public static Optional<ModelShape> tryNamed(String name) {
        return KNOWN.stream().filter(shape -> shape.name.equals(name)).findFirst();
    }

    /**
     * The shape of a published model.
     *
     * @param name for example {@code mistral-7b}
     * @return the shape
     * @throws IllegalArgumentException if none of that name is known; the message lists those that are
     */
    public static ModelShape named(String name) {
        return tryNamed(name)
                .orElseThrow(() -> new IllegalArgumentException("no model shape \"" + name + "\"; known are "
                        + KNOWN.stream().map(ModelShape::name).collect(Collectors.joining(", "))));
    }

    /**
     * The same model with another number of layers, to make a file of the size that is wanted.
     *
     * @param newLayers 1 to 65536
     * @return the shape
     */
    public ModelShape withLayers(int newLayers) {
        return with(newLayers, experts, traits);
    }

    /**
     * Whether the model has something.
     *
     * @param trait what
     * @return true if it has
     */
    public boolean has(Trait trait) {
        return traits.contains(trait);
    }

    /**
     * All tensors of the model, in the order of a file.
     *
     * @return an unmodifiable list
     */
    public List<Tensor> tensors() {
        List<Tensor> tensors = new ArrayList<>();
        if (has(Trait.ROPE_FACTORS)) {
            tensors.add(Tensor.of(ROPE_FREQS, headLength / 2));
        }
        tensors.add(Tensor.of("token_embd.weight", embeddingLength, vocabularySize));
        for (int layer = 0; layer < layers; layer++) {
            addLayer(tensors, "blk." + layer + ".");
        }
        tensors.add(Tensor.of("output_norm.weight", embeddingLength));
        if (!has(Trait.TIED_EMBEDDINGS)) {
            tensors.add(Tensor.of("output.weight", embeddingLength, vocabularySize));
        }
        return List.copyOf(tensors);
    }

    /**
     * The number of parameters.
     *
     * @return the values of all tensors but the rotary frequencies, which are computed and not trained
     */
    public long parameters() {
        long parameters = 0;
        for (Tensor tensor : tensors()) {
            if (!tensor.name().equals(ROPE_FREQS)) {
                parameters += tensor.dims().stream().reduce(1L, Math::multiplyExact);
            }
        }
        return parameters;
    }

    private void addLayer(List<Tensor> tensors, String prefix) {
        long queries = (long) heads * headLength;
        long keys = (long) headsKv * headLength;
        tensors.add(Tensor.of(prefix + "attn_norm.weight", embeddingLength));
        tensors.add(Tensor.of(prefix + "attn_q.weight", embeddingLength, queries));
        tensors.add(Tensor.of(prefix + "attn_k.weight", embeddingLength, keys));
        tensors.add(Tensor.of(prefix + "attn_v.weight", embeddingLength, keys));
        if (has(Trait.ATTENTION_BIAS)) {
            tensors.add(Tensor.of(prefix + "attn_q.bias", queries));
            tensors.add(Tensor.of(prefix + "attn_k.bias", keys));
            tensors.add(Tensor.of(prefix + "attn_v.bias", keys));
        }
        if (has(Trait.QUERY_KEY_NORM)) {
            tensors.add(Tensor.of(prefix + "attn_q_norm.weight", headLength));
            tensors.add(Tensor.of(prefix + "attn_k_norm.weight", headLength));
        }
        tensors.add(Tensor.of(prefix + "attn_output.weight", queries, embeddingLength));
        tensors.add(Tensor.of(prefix + "ffn_norm.weight", embeddingLength));
        if (experts.count() == 0) {
            tensors.add(Tensor.of(prefix + "ffn_gate.weight", embeddingLength, feedForwardLength));
            tensors.add(Tensor.of(prefix + "ffn_up.weight", embeddingLength, feedForwardLength));
            tensors.add(Tensor.of(prefix + "ffn_down.weight", feedForwardLength, embeddingLength));
        } else {
            int count = experts.count();
            tensors.add(Tensor.of(prefix + "ffn_gate_inp.weight", embeddingLength, count));
            tensors.add(Tensor.of(prefix + "ffn_gate_exps.weight", embeddingLength, feedForwardLength, count));
            tensors.add(Tensor.of(prefix + "ffn_up_exps.weight", embeddingLength, feedForwardLength, count));
            tensors.add(Tensor.of(prefix + "ffn_down_exps.weight", feedForwardLength, embeddingLength, count));
        }
    }

    private static void requirePositive(String what, int value) {
        if (value < 1) {
            throw new IllegalArgumentException(what + " must be at least 1, but is " + value);
        }
    }

    private static ModelShape llama(
            String name,
            int layers,
            int context,
            int embedding,
            int feedForward,
            int heads,
            int headsKv,
            int vocabulary,
            double ropeBase) {
        return new ModelShape(
                name,
                "llama",
                layers,
                context,
                embedding,
                feedForward,
                heads,
                headsKv,
                embedding / heads,
                vocabulary,
                ropeBase,
                1e-5,
                Experts.NONE,
                Set.of());
    }

    private static ModelShape qwen3(String name, int layers, int embedding, int feedForward, int heads, Trait... more) {
        return new ModelShape(
                        name,
                        "qwen3",
                        layers,
                        40_960,
                        embedding,
                        feedForward,
                        heads,
                        8,
                        128,
                        151_936,
                        1_000_000,
                        1e-6,
                        Experts.NONE,
                        Set.of(Trait.QUERY_KEY_NORM, Trait.HEAD_LENGTH_STATED))
                .withTraits(more);
    }

    private ModelShape withTraits(Trait... more) {
        Set<Trait> all = EnumSet.noneOf(Trait.class);
        all.addAll(traits);
        all.addAll(List.of(more));
        return with(layers, experts, all);
    }

    private ModelShape withExperts(Experts newExperts) {
        return with(layers, newExperts, traits);
    }

    private ModelShape with(int newLayers, Experts newExperts, Set<Trait> newTraits) {
        return new ModelShape(
                name,
                architecture,
                newLayers,
                contextLength,
                embeddingLength,
                feedForwardLength,
                heads,
                headsKv,
                headLength,
                vocabularySize,
                ropeBase,
                rmsEpsilon,
                newExperts,
                newTraits);
    }
}
