package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintTerm.Certainty;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Counts a model's parameters from its configuration alone, for want of anything better.
 *
 * <p>The count is exact where the shape of every tensor is known; elsewhere a decoder with a gated feed-forward part is
 * assumed, and the count is a guess. For one thread.
 */
final class ConfigWeights {

    /** How far a guess may be off, in per cent of itself. */
    private static final int GUESS_LOW = 75;

    private static final int GUESS_HIGH = 135;

    /** How queries and keys are normalised. */
    private enum QueryKeyNorm {
        NONE,
        PER_HEAD,
        WHOLE
    }

    /**
     * The shape of a family's layers.
     *
     * @param norms norms of a layer, each as wide as the model
     * @param queryKeyNorm how queries and keys are normalised
     * @param queryBias whether queries, keys and values have biases where the configuration does not say
     * @param tied whether the embedding is the output matrix where the configuration does not say
     * @param matrices matrices of the feed-forward part: 3 with a gate, 2 without
     * @param biased whether everything has a bias, as in GPT-2 and its kin
     * @param positions whether positions are learned
     */
    private record Family(
            int norms,
            QueryKeyNorm queryKeyNorm,
            boolean queryBias,
            boolean tied,
            int matrices,
            boolean biased,
            boolean positions) {
        static Family gated(int norms, QueryKeyNorm queryKeyNorm, boolean queryBias, boolean tied) {
            return new Family(norms, queryKeyNorm, queryBias, tied, 3, false, false);
        }
    }

    private static final Family LLAMA = Family.gated(2, QueryKeyNorm.NONE, false, false);

    private static final Map<String, Family> FAMILIES = Map.ofEntries(
            Map.entry("llama", LLAMA),
            Map.entry("mistral", LLAMA),
            Map.entry("mixtral", LLAMA),
            Map.entry("phi3", LLAMA),
            Map.entry("granite", LLAMA),
            Map.entry("granitemoe", LLAMA),
            Map.entry("qwen2", Family.gated(2, QueryKeyNorm.NONE, true, false)),
            Map.entry("qwen3", Family.gated(2, QueryKeyNorm.PER_HEAD, false, false)),
            Map.entry("qwen3_moe", Family.gated(2, QueryKeyNorm.PER_HEAD, false, false)),
            Map.entry("olmo2", Family.gated(2, QueryKeyNorm.WHOLE, false, false)),
            Map.entry("olmo3", Family.gated(2, QueryKeyNorm.WHOLE, false, false)),
            Map.entry("gemma", Family.gated(2, QueryKeyNorm.NONE, false, true)),
            Map.entry("gemma2", Family.gated(4, QueryKeyNorm.NONE, false, true)),
            Map.entry("gemma3_text", Family.gated(4, QueryKeyNorm.PER_HEAD, false, true)),
            Map.entry("gpt2", new Family(2, QueryKeyNorm.NONE, true, true, 2, true, true)),
            Map.entry("gpt_neox", new Family(2, QueryKeyNorm.NONE, true, false, 2, true, false)));

    private final ConfigFile config;
    private final ModelFacts facts;
    private final Optional<Family> family;
    private final Family shape;

    private ConfigWeights(ConfigFile config, ModelFacts facts) {
        this.config = config;
        this.facts = facts;
        String type = config.text("model_type").orElse("");
        this.family = Optional.ofNullable(FAMILIES.get(type));
        this.shape = family.orElse(LLAMA);
    }

    /** The weights by the formula, without a look at any other file. */
    static WeightFacts of(ConfigFile config, ModelFacts facts) throws ModelFileException {
        ConfigWeights weights = new ConfigWeights(config, facts);
        return weights.weights();
    }

    /**
     * The weights where their sum is known and only the place of each is not: blocks take what the embedding and the
     * output matrix leave.
     */
    static WeightFacts ofTotal(
            ConfigFile config, ModelFacts facts, long total, OptionalLong parameters, String reason) {
        ConfigWeights weights = new ConfigWeights(config, facts);
        long matrix = Saturated.times(facts.vocabulary(), facts.embedding(), bytesOf(weights.type()));
        boolean tied = weights.tied();
        long embedding = Math.min(matrix, total / 4);
        long output = tied ? 0 : embedding;
        return split(facts, total, embedding, output, tied, 100, 100, Certainty.EXACT, reason, parameters);
    }

    private WeightFacts weights() throws ModelFileException {
        long hidden = facts.embedding();
        long matrix = Saturated.times(facts.vocabulary(), hidden);
        boolean tied = tied();
        long finalNorm = shape.biased() ? 2 * hidden : hidden;
        long positions = shape.positions() ? Saturated.times(facts.contextLength(), hidden) : 0;
        long blocks = falcon() ? falconBlocks() : blocks();
        if (falcon()) {
            finalNorm = 2 * hidden;
        }
        long parameters = Saturated.plus(matrix, tied ? 0 : matrix, positions, blocks, finalNorm);
        boolean causal = config.list("architectures")
                .filter(list -> !list.isEmpty())
                .map(list -> String.valueOf(list.getFirst()))
                .filter(name -> name.endsWith("CausalLM") || name.endsWith("LMHeadModel"))
                .isPresent();
        boolean counted = (family.isPresent() || falcon()) && causal;
        Optional<Quantised> quantised = quantised();
        Optional<DataType> stated = config.text(ConfigKeys.TYPE).flatMap(ConfigWeights::typeNamed);
        long width = bytesOf(type());
        long total = Saturated.times(parameters, width);
        long matrixBytes = Saturated.times(matrix, width);
        String count = parameters + " parameters" + (counted ? "" : " by a generic formula") + ", ";
        if (quantised.isPresent()) {
            int bits = quantised.get().bits();
            long packed =
                    Saturated.plus(Saturated.times(matrix, tied ? 1 : 2, width), Saturated.times(blocks / 8, bits));
            // From nothing but the packed values to eight further bits for scales of every 32.
            return split(
                    facts,
                    packed,
                    matrixBytes,
                    tied ? 0 : matrixBytes,
                    tied,
                    85,
                    130,
                    Certainty.GUESSED,
                    count + "quantised by " + quantised.get().method() + " to about " + bits + " bits",
                    OptionalLong.of(parameters));
        }
        boolean exact = counted && stated.isPresent();
        return split(
                facts,
                total,
                matrixBytes,
                tied ? 0 : matrixBytes,
                tied,
                counted ? 100 : GUESS_LOW,
                counted ? 100 : GUESS_HIGH,
                exact ? Certainty.EXACT : Certainty.GUESSED,
                count + width + " bytes each" + (stated.isPresent() ? "" : ", as the configuration does not say"),
                OptionalLong.of(parameters));
    }

    private static WeightFacts split(
            ModelFacts facts,
            long total,
            long embedding,
            long output,
            boolean tied,
            int low,
            int high,
            Certainty certainty,
            String reason,
            OptionalLong parameters) {
        int count = facts.layers().size();
        long blocks = Math.max(0, total - Saturated.plus(embedding, output));
        long[] layers = new long[count];
        for (int i = 0; i < count; i++) {
            layers[i] = blocks / count + (i < blocks % count ? 1 : 0);
        }
        return new WeightFacts(
                layers,
                new long[count],
                Math.min(embedding, total),
                0,
                Math.max(0, Math.min(output, total - Math.min(embedding, total))),
                tied,
                false,
                low,
                high,
                Math.max(output, layers[0] / 4),
                certainty,
                reason,
                parameters);
    }

    private boolean tied() {
        return config.flag("tie_word_embeddings").orElse(shape.tied());
    }

    /** Falcon has no gate, and one or two norms with biases. */
    private boolean falcon() {
        String type = config.text("model_type").orElse("");
        return type.equals("falcon") || type.equals("RefinedWeb");
    }

    private long falconBlocks() {
        long hidden = facts.embedding();
        long attention = attention(false);
        long perLayer = Saturated.plus(attention, Saturated.times(8, hidden, hidden), Saturated.times(4, hidden));
        return Saturated.times(perLayer, facts.layers().size());
    }

    private long blocks() throws ModelFileException {
        boolean queryBias = config.flag("attention_bias").orElse(shape.queryBias());
        boolean latent = facts.latent().isPresent();
        long attention = latent ? latentAttention() : attention(queryBias);
        long norms = Saturated.times(shape.norms(), shape.biased() ? 2 : 1, facts.embedding());
        int count = facts.layers().size();
        long experts = config.count(ConfigKeys.EXPERTS).orElse(0);
        long dense = experts == 0
                ? count
                : Math.min(count, config.count("first_k_dense_replace").orElse(0));
        long width = config.count(ConfigKeys.FEED_FORWARD).orElse(Saturated.times(4, facts.embedding()));
        return Saturated.plus(
                Saturated.times(count, Saturated.plus(attention, norms)),
                Saturated.times(dense, feedForward(width)),
                Saturated.times(count - dense, experts == 0 ? 0 : experts(experts, width)));
    }

    private long attention(boolean queryBias) {
        LayerFacts layer = facts.layers().stream()
                .filter(LayerFacts::hasCache)
                .findFirst()
                .orElse(facts.layers().getFirst());
        long queries = Saturated.times(layer.heads(), layer.keyLength());
        long keys = Saturated.times(layer.headsKv(), layer.keyLength());
        long matrices = Saturated.times(facts.embedding(), Saturated.plus(queries, queries, keys, keys));
        long bias = queryBias ? Saturated.plus(queries, keys, keys) : 0;
        // Llama and its kin bias the output with the queries; Qwen2 does not.
        boolean outputBias = shape.biased() || config.flag("attention_bias").orElse(false);
        long norm = switch (shape.queryKeyNorm()) {
            case NONE -> 0;
            case PER_HEAD -> Saturated.times(2, layer.keyLength());
            case WHOLE -> Saturated.plus(queries, keys);
        };
        return Saturated.plus(matrices, bias, outputBias ? facts.embedding() : 0, norm);
    }

    private long latentAttention() throws ModelFileException {
        ModelFacts.Latent latent = facts.latent().orElseThrow();
        long hidden = facts.embedding();
        long heads = facts.heads();
        long queryRank = config.count("q_lora_rank").orElse(0);
        long queries = Saturated.times(heads, latent.keyLength());
        long query = queryRank == 0
                ? Saturated.times(hidden, queries)
                : Saturated.plus(Saturated.times(queryRank, Saturated.plus(hidden, queries)), queryRank);
        long expanded = Saturated.plus(latent.keyLength() - latent.ropeLength(), latent.valueLength());
        return Saturated.plus(
                query,
                Saturated.times(hidden, latent.rank() + latent.ropeLength()),
                latent.rank(),
                Saturated.times(latent.rank(), heads, expanded),
                Saturated.times(heads, latent.valueLength(), hidden));
    }

    private long feedForward(long width) {
        long matrices = Saturated.times(shape.matrices(), facts.embedding(), width);
        boolean biased = shape.biased() || config.flag("mlp_bias").orElse(false);
        long bias = biased ? Saturated.plus(Saturated.times(shape.matrices() - 1, width), facts.embedding()) : 0;
        return Saturated.plus(matrices, bias);
    }

    private long experts(long experts, long width) throws ModelFileException {
        long own = config.count("moe_intermediate_size").orElse(width);
        long shared = Saturated.plus(
                Saturated.times(config.count("n_shared_experts").orElse(0), own),
                config.count("shared_expert_intermediate_size").orElse(0));
        long router = Saturated.times(facts.embedding(), experts);
        return Saturated.plus(
                Saturated.times(experts, feedForward(own)), shared == 0 ? 0 : feedForward(shared), router);
    }

    private record Quantised(int bits, String method) {}

    private Optional<Quantised> quantised() throws ModelFileException {
        Optional<String> method = config.text("quantization.quant_method");
        OptionalLong bits = config.count(1, 16, "quantization.bits");
        if (bits.isPresent()) {
            return Optional.of(new Quantised((int) bits.getAsLong(), method.orElse("its trainer")));
        }
        if (config.flag("quantization.load_in_4bit").orElse(false)) {
            return Optional.of(new Quantised(4, method.orElse("its trainer")));
        }
        if (config.flag("quantization.load_in_8bit").orElse(false)) {
            return Optional.of(new Quantised(8, method.orElse("its trainer")));
        }
        return method.map(name -> new Quantised(name.contains("4") ? 4 : 8, name));
    }

    private DataType type() {
        return config.text(ConfigKeys.TYPE).flatMap(ConfigWeights::typeNamed).orElse(DataType.BF16);
    }

    private static Optional<DataType> typeNamed(String name) {
        return switch (name.startsWith("torch.") ? name.substring(6) : name) {
            case "float32", "float" -> Optional.of(DataType.F32);
            case "float16", "half" -> Optional.of(DataType.F16);
            case "bfloat16" -> Optional.of(DataType.BF16);
            case "float8_e4m3fn" -> Optional.of(DataType.F8_E4M3);
            case "float8_e5m2" -> Optional.of(DataType.F8_E5M2);
            default -> Optional.empty();
        };
    }

    private static long bytesOf(DataType type) {
        return type.bytesPerBlock();
    }
}
