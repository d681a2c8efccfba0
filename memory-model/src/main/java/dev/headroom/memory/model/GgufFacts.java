package dev.headroom.memory.model;

import dev.headroom.memory.model.ArchitectureRule.Recurrent;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** Finds in a GGUF header what a model's memory depends on. For one thread. */
final class GgufFacts {

    private final GgufFile file;
    private final GgufMetadata metadata;
    private final String architecture;
    private final ArchitectureRule rule;
    private final int layerCount;

    private GgufFacts(GgufFile file, String architecture, int layerCount) {
        this.file = file;
        this.metadata = file.metadata();
        this.architecture = architecture;
        this.rule = ArchitectureRule.tryOf(architecture).orElse(ArchitectureRule.generic());
        this.layerCount = layerCount;
    }

    static ModelFacts of(GgufFile file) throws ModelFileException {
        String architecture = file.architecture()
                .orElseThrow(() -> new ModelFileException(
                        file.shards().getFirst().path(), "a text under \"general.architecture\"", "none"));
        String key = architecture + ".block_count";
        OptionalLong layers = file.metadata().integer(key);
        if (layers.isEmpty()) {
            throw new ModelFileException(
                    file.shards().getFirst().path(),
                    "a number of layers under " + ModelFileException.quote(key),
                    "none");
        }
        if (layers.getAsLong() < 1 || layers.getAsLong() > ModelFacts.MAX_LAYERS) {
            throw file.metadata()
                    .refuse(key, "a number from 1 to " + ModelFacts.MAX_LAYERS, Long.toString(layers.getAsLong()));
        }
        return new GgufFacts(file, architecture, (int) layers.getAsLong()).facts();
    }

    private ModelFacts facts() throws ModelFileException {
        long embedding = required("embedding_length");
        long window = optional("attention.sliding_window").orElse(rule.window());
        Optional<ModelFacts.Latent> latent = latent();
        return new ModelFacts(
                architecture,
                ArchitectureRule.tryOf(architecture).isPresent(),
                rule.encoder(),
                contextLength(),
                vocabulary(),
                embedding,
                feedForward(),
                window,
                layers(embedding, window, latent),
                latent);
    }

    /** Any number: only the smaller of it and a default is ever used. */
    private long contextLength() throws ModelFileException {
        return Math.max(0, metadata.integer(architecture + ".context_length").orElse(0));
    }

    private List<LayerFacts> layers(long embedding, long window, Optional<ModelFacts.Latent> latent)
            throws ModelFileException {
        String headKey = architecture + ".attention.head_count";
        List<Long> heads = perLayer("attention.head_count").orElse(null);
        if (heads == null && rule.recurrent() != Recurrent.ALL) {
            throw new ModelFileException(
                    file.shards().getFirst().path(),
                    "a number of heads under " + ModelFileException.quote(headKey),
                    "none");
        }
        List<Long> headsKv = perLayer("attention.head_count_kv").orElse(heads);
        boolean[] windowed = windowed(window);
        long cached = cachedLayers();
        long state = stateValues(embedding);
        long interval = optional("full_attention_interval").orElse(ArchitectureRule.FULL_ATTENTION_INTERVAL);
        List<Long> statedRecurrent = perLayer("attention.recurrent_layers").orElse(null);
        long drafts = bounded("nextn_predict_layers", 0, layerCount).orElse(0);
        List<Long> feedForward = perLayer("feed_forward_length").orElse(null);
        boolean anyHeads = false;
        boolean attends = false;
        List<LayerFacts> layers = new ArrayList<>();
        LayerFacts[] lasts = new LayerFacts[4];
        for (int i = 0; i < layerCount; i++) {
            long own = heads == null ? 0 : heads.get(i);
            long kv = headsKv == null ? 0 : headsKv.get(i);
            boolean recurrent = switch (rule.recurrent()) {
                case ALL, ALL_BESIDE_ATTENTION -> true;
                // Draft heads behind the model attend in full, and in a cache of their own.
                case BETWEEN_FULL ->
                    statedRecurrent != null
                            ? statedRecurrent.get(i) != 0
                            : interval > 0 && i < layerCount - drafts && (i + 1) % interval != 0;
                case WITHOUT_KV_HEADS -> kv == 0;
                case WITHOUT_KV_HEADS_AND_FEED_FORWARD -> kv == 0 && (feedForward == null || feedForward.get(i) == 0);
                // An unknown hybrid: it has the numbers of a state, and layers that do not attend.
                case NONE -> kv == 0 && state > 0;
            };
            boolean beside = rule.recurrent() == Recurrent.ALL_BESIDE_ATTENTION;
            boolean attention = own > 0 && kv > 0 && (!recurrent || beside);
            anyHeads |= own > 0;
            attends |= attention;
            if (attention && own % kv != 0) {
                throw refuse(
                        "attention.head_count_kv",
                        "a divisor of the " + own + " heads of layer " + i,
                        Long.toString(kv));
            }
            LayerFacts.Cache cache = LayerFacts.Cache.NONE;
            if (attention && !rule.encoder() && i < cached) {
                cache = latent.isPresent()
                        ? LayerFacts.Cache.LATENT
                        : windowed[i] ? LayerFacts.Cache.WINDOW : LayerFacts.Cache.FULL;
            } else if (attention && rule.encoder()) {
                // Counted only where someone asks for the cache that older engines kept.
                cache = LayerFacts.Cache.FULL;
            }
            // Layers that are alike share their facts, so that thousands cost no more than one of each kind.
            int kind = (windowed[i] ? 1 : 0) + (attention ? 2 : 0);
            LayerFacts last = lasts[kind];
            long stateValues = recurrent ? state : 0;
            if (last == null || !last.is(cache, own, kv, stateValues)) {
                last = new LayerFacts(
                        cache,
                        own,
                        kv,
                        attention ? headLength("key_length", windowed[i], embedding, own) : 0,
                        attention ? headLength("value_length", windowed[i], embedding, own) : 0,
                        stateValues);
                lasts[kind] = last;
            }
            layers.add(last);
        }
        if (!attends && rule.recurrent() != Recurrent.ALL) {
            throw refuse(anyHeads ? "attention.head_count_kv" : "attention.head_count", "at least one head", "0");
        }
        return layers;
    }

    private long headLength(String key, boolean windowed, long embedding, long heads) throws ModelFileException {
        OptionalLong own = windowed ? optional("attention." + key + "_swa") : OptionalLong.empty();
        OptionalLong stated = own.isPresent() ? own : optional("attention." + key);
        if (stated.isPresent()) {
            return stated.getAsLong();
        }
        if (embedding % heads != 0) {
            throw refuse(
                    "attention.head_count",
                    "a divisor of the embedding length " + embedding + ", as \"attention." + key + "\" is absent,",
                    Long.toString(heads));
        }
        return embedding / heads;
    }

    /** Which layers look through a window: the header's list or period, else the architecture's. */
    private boolean[] windowed(long window) throws ModelFileException {
        boolean[] windowed = new boolean[layerCount];
        if (window == 0) {
            return windowed;
        }
        String key = architecture + ".attention.sliding_window_pattern";
        Optional<GgufValue> pattern = metadata.value(key);
        long period = rule.windowPeriod();
        if (pattern.isPresent() && pattern.get() instanceof GgufValue.WholeList) {
            List<Long> flags = metadata.perLayer(key, layerCount).orElseThrow();
            for (int i = 0; i < layerCount; i++) {
                windowed[i] = flags.get(i) != 0;
            }
            return windowed;
        } else if (pattern.isPresent()) {
            period = required("attention.sliding_window_pattern");
        }
        for (int i = 0; i < layerCount; i++) {
            windowed[i] = rule.isWindow(i, period);
        }
        return windowed;
    }

    /** How many layers from the first have a cache of their own. */
    private long cachedLayers() throws ModelFileException {
        long shared = bounded("attention.shared_kv_layers", 0, layerCount)
                .orElse(rule.cachedLayers() == 0 ? 0 : Math.max(0, layerCount - rule.cachedLayers()));
        long drafts = bounded("nextn_predict_layers", 0, layerCount).orElse(0);
        return layerCount - Math.max(shared, drafts);
    }

    private Optional<ModelFacts.Latent> latent() throws ModelFileException {
        OptionalLong rank = optional("attention.kv_lora_rank");
        if (rank.isEmpty() || rank.getAsLong() == 0) {
            return Optional.empty();
        }
        OptionalLong key = optional("attention.key_length_mla");
        OptionalLong value = optional("attention.value_length_mla");
        boolean latentFile = key.isPresent() && value.isPresent();
        return Optional.of(new ModelFacts.Latent(
                rank.getAsLong(),
                required("rope.dimension_count"),
                latentFile ? key.getAsLong() : required("attention.key_length"),
                latentFile ? value.getAsLong() : required("attention.value_length"),
                !latentFile));
    }

    /** Values of the state of one recurrent layer: the tail of the convolution, and what it has summed up. */
    private long stateValues(long embedding) throws ModelFileException {
        OptionalLong shortConvolution = optional("shortconv.l_cache");
        if (shortConvolution.isPresent()) {
            return Saturated.times(Math.max(0, shortConvolution.getAsLong() - 1), embedding);
        }
        OptionalLong delta = optional("kda.head_dim");
        long kernel = optional("ssm.conv_kernel").orElse(0);
        if (delta.isPresent()) {
            long heads = perLayer("attention.head_count").map(List::getFirst).orElse(0L);
            long width = Saturated.times(heads, delta.getAsLong());
            return Saturated.plus(
                    Saturated.times(3, Math.max(0, kernel - 1), width), Saturated.times(width, delta.getAsLong()));
        }
        OptionalLong wkv = optional("wkv.head_size");
        if (wkv.isPresent()) {
            long shifts = optional("token_shift_count").orElse(2);
            return Saturated.times(embedding, Saturated.plus(shifts, wkv.getAsLong()));
        }
        return convolutionState(
                kernel,
                optional("ssm.inner_size").orElse(0),
                optional("ssm.state_size").orElse(0),
                optional("ssm.group_count").orElse(0));
    }

    /** {@code (kernel - 1) x (inner + 2 x groups x state) + state x inner}. A kernel of 0 has no tail. */
    static long convolutionState(long kernel, long inner, long state, long groups) {
        long channels = Saturated.plus(inner, Saturated.times(2, groups, state));
        return Saturated.plus(Saturated.times(Math.max(0, kernel - 1), channels), Saturated.times(state, inner));
    }

    private long feedForward() throws ModelFileException {
        long dense = perLayer("feed_forward_length")
                .map(list -> list.stream().mapToLong(Long::longValue).max().orElse(0))
                .orElse(0L);
        long used = optional("expert_used_count").orElse(0);
        long expert = optional("expert_feed_forward_length").orElse(dense);
        return used > 0 ? Math.max(Saturated.times(used, expert), dense) : dense;
    }

    /** The rows of the output matrix; padding makes it larger than the vocabulary. */
    private long vocabulary() throws ModelFileException {
        long rows = optional("vocab_size").orElse(0);
        // An array under this key is usual; some files have one long text.
        if (metadata.value("tokenizer.ggml.tokens").orElse(null) instanceof GgufValue.Omitted omitted
                && omitted.type() == GgufValueType.ARRAY) {
            rows = Math.max(rows, omitted.count());
        }
        for (String name : List.of("token_embd.weight", "output.weight")) {
            Optional<GgufTensor> tensor = file.tensor(name);
            if (tensor.isPresent() && tensor.get().dims().size() > 1) {
                rows = Math.max(rows, tensor.get().dims().get(1));
            }
        }
        return rows;
    }

    private OptionalLong optional(String key) throws ModelFileException {
        return bounded(key, 0, ModelFacts.MAX_COUNT);
    }

    private long required(String key) throws ModelFileException {
        OptionalLong value = bounded(key, 1, ModelFacts.MAX_COUNT);
        if (value.isEmpty()) {
            throw new ModelFileException(
                    file.shards().getFirst().path(),
                    "a number under " + ModelFileException.quote(architecture + "." + key),
                    "none");
        }
        return value.getAsLong();
    }

    private OptionalLong bounded(String key, long least, long most) throws ModelFileException {
        String full = architecture + "." + key;
        OptionalLong value = metadata.integer(full);
        if (value.isPresent() && (value.getAsLong() < least || value.getAsLong() > most)) {
            throw metadata.refuse(full, "a number from " + least + " to " + most, Long.toString(value.getAsLong()));
        }
        return value;
    }

    private Optional<List<Long>> perLayer(String key) throws ModelFileException {
        String full = architecture + "." + key;
        Optional<List<Long>> values = metadata.perLayer(full, layerCount);
        if (values.isPresent()) {
            for (long value : values.get()) {
                if (value < 0 || value > ModelFacts.MAX_COUNT) {
                    throw metadata.refuse(full, "numbers from 0 to " + ModelFacts.MAX_COUNT, Long.toString(value));
                }
            }
        }
        return values;
    }

    private ModelFileException refuse(String key, String expected, String found) {
        return metadata.refuse(architecture + "." + key, expected, found);
    }
}
