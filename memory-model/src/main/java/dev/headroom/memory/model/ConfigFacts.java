package dev.headroom.memory.model;

import dev.headroom.memory.model.ArchitectureRule.Recurrent;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** Finds in a {@code config.json} what a model's memory depends on. For one thread. */
final class ConfigFacts {

    private final ConfigFile config;
    private final String architecture;
    private final ArchitectureRule rule;
    private final int layerCount;
    private final long hidden;

    private ConfigFacts(ConfigFile config) throws ModelFileException {
        this.config = config;
        this.architecture = architecture(config);
        this.rule = ruleOf(config).orElse(ArchitectureRule.generic());
        this.layerCount = (int) config.required(ModelFacts.MAX_LAYERS, ConfigKeys.LAYERS);
        this.hidden = config.required(ModelFacts.MAX_COUNT, ConfigKeys.HIDDEN);
    }

    static ModelFacts of(ConfigFile config) throws ModelFileException {
        return new ConfigFacts(config).facts();
    }

    /** What the configuration calls the model. */
    static String architecture(ConfigFile config) throws ModelFileException {
        Optional<String> name = config.topText("model_type").or(() -> config.text("model_type"));
        if (name.isPresent() && !name.get().isBlank()) {
            return name.get();
        }
        return config.list("architectures")
                .filter(list -> !list.isEmpty())
                .map(list -> String.valueOf(list.getFirst()))
                .orElseThrow(() -> new ModelFileException(
                        config.path(),
                        "a text under \"model_type\"",
                        "none",
                        "this is not the configuration of a model"));
    }

    private static Optional<ArchitectureRule> ruleOf(ConfigFile config) throws ModelFileException {
        Optional<ArchitectureRule> inner = config.text("model_type").flatMap(ArchitectureRule::tryOf);
        return inner.isPresent() ? inner : ArchitectureRule.tryOf(architecture(config));
    }

    private ModelFacts facts() throws ModelFileException {
        long window = window();
        Optional<ModelFacts.Latent> latent = latent();
        return new ModelFacts(
                architecture,
                ruleOf(config).isPresent(),
                rule.encoder(),
                config.count(0, Long.MAX_VALUE, ConfigKeys.CONTEXT).orElse(0),
                config.count("vocab_size").orElse(0),
                hidden,
                feedForward(),
                window,
                layers(window, latent),
                latent);
    }

    /** The tokens of the window, 0 where there is none or it is switched off. */
    private long window() throws ModelFileException {
        if (config.flag("use_sliding_window").isPresent()
                && !config.flag("use_sliding_window").get()) {
            return 0;
        }
        boolean used = rule.windowPeriod() > 0 || config.has("layer_types") || config.has("use_sliding_window");
        return used
                ? config.count(0, ModelFacts.MAX_COUNT, "sliding_window", "attention_chunk_size")
                        .orElse(rule.window())
                : 0;
    }

    private List<LayerFacts> layers(long window, Optional<ModelFacts.Latent> latent) throws ModelFileException {
        boolean[] attends = new boolean[layerCount];
        boolean[] windowed = new boolean[layerCount];
        boolean[] recurrent = new boolean[layerCount];
        kinds(window, attends, windowed, recurrent);
        boolean any = false;
        for (boolean one : attends) {
            any |= one;
        }
        long heads = any ? config.required(ModelFacts.MAX_COUNT, ConfigKeys.HEADS) : 0;
        long headsKv = any ? headsKv(heads) : 0;
        long length = any ? headLength(heads) : 0;
        long state = stateValues();
        long cached =
                layerCount - config.count(0, layerCount, "num_kv_shared_layers").orElse(0);
        List<LayerFacts> layers = new ArrayList<>();
        LayerFacts[] lasts = new LayerFacts[4];
        for (int i = 0; i < layerCount; i++) {
            LayerFacts.Cache cache = LayerFacts.Cache.NONE;
            if (attends[i] && i < cached) {
                cache = latent.isPresent()
                        ? LayerFacts.Cache.LATENT
                        : windowed[i] ? LayerFacts.Cache.WINDOW : LayerFacts.Cache.FULL;
            }
            int kind = (windowed[i] ? 1 : 0) + (attends[i] ? 2 : 0);
            LayerFacts last = lasts[kind];
            long stateOfLayer = recurrent[i] ? state : 0;
            if (last == null || !last.is(cache, attends[i] ? heads : 0, attends[i] ? headsKv : 0, stateOfLayer)) {
                last = new LayerFacts(
                        cache,
                        attends[i] ? heads : 0,
                        attends[i] ? headsKv : 0,
                        attends[i] ? length : 0,
                        attends[i] ? length : 0,
                        stateOfLayer);
                lasts[kind] = last;
            }
            layers.add(last);
        }
        return layers;
    }

    /** What each layer is: as the configuration lists it, else by the architecture's rule. */
    private void kinds(long window, boolean[] attends, boolean[] windowed, boolean[] recurrent)
            throws ModelFileException {
        Optional<List<?>> types = config.list("layer_types");
        if (types.isPresent() && types.get().size() != layerCount) {
            throw config.refuse("layer_types", "an array of " + layerCount + " texts, one for each layer,");
        }
        String pattern = config.text("hybrid_override_pattern").orElse("");
        if (!pattern.isEmpty() && pattern.length() != layerCount) {
            throw config.refuse("hybrid_override_pattern", "a letter for each of the " + layerCount + " layers");
        }
        List<?> indices = config.list("attn_layer_indices").orElse(List.of());
        long period =
                config.count(1, ModelFacts.MAX_LAYERS, "attn_layer_period").orElse(0);
        long offset = config.count("attn_layer_offset").orElse(0);
        long interval = config.count("full_attention_interval").orElse(ArchitectureRule.FULL_ATTENTION_INTERVAL);
        long windowPeriod = config.count("sliding_window_pattern").orElse(rule.windowPeriod());
        boolean bySwitch = config.flag("use_sliding_window").orElse(false);
        long firstWindow = config.count("max_window_layers").orElse(0);
        for (int i = 0; i < layerCount; i++) {
            if (types.isPresent()) {
                String type = String.valueOf(types.get().get(i));
                windowed[i] = window > 0 && (type.startsWith("sliding") || type.startsWith("chunked"));
                attends[i] = type.contains("attention") && !type.startsWith("linear");
                recurrent[i] = !attends[i] && !type.equals("mlp");
            } else if (!pattern.isEmpty()) {
                attends[i] = pattern.charAt(i) == '*';
                recurrent[i] = pattern.charAt(i) == 'M';
            } else if (!indices.isEmpty()) {
                attends[i] = indices.contains((long) i);
                recurrent[i] = !attends[i];
            } else if (period > 0) {
                attends[i] = i % period == offset;
                recurrent[i] = !attends[i];
            } else {
                attends[i] = rule.recurrent() != Recurrent.ALL
                        && !(rule.recurrent() == Recurrent.BETWEEN_FULL && (interval == 0 || (i + 1) % interval != 0));
                recurrent[i] = !attends[i] || rule.recurrent() == Recurrent.ALL_BESIDE_ATTENTION;
                windowed[i] = window > 0 && (bySwitch ? i >= firstWindow : rule.isWindow(i, windowPeriod));
            }
        }
    }

    private long headsKv(long heads) throws ModelFileException {
        OptionalLong stated = config.count(1, ModelFacts.MAX_COUNT, ConfigKeys.HEADS_KV);
        // Falcon before its second architecture has one head, whatever else is said.
        boolean one = config.flag("multi_query").orElse(false)
                && !config.flag("new_decoder_architecture").orElse(false);
        long headsKv = one ? 1 : stated.orElse(heads);
        if (heads % headsKv != 0) {
            for (String key : ConfigKeys.HEADS_KV) {
                if (config.has(key)) {
                    throw config.refuse(key, "a divisor of the " + heads + " heads");
                }
            }
        }
        return headsKv;
    }

    private long headLength(long heads) throws ModelFileException {
        OptionalLong stated = config.count(1, ModelFacts.MAX_COUNT, ConfigKeys.HEAD_LENGTH);
        if (stated.isPresent()) {
            return stated.getAsLong();
        }
        if (hidden % heads != 0) {
            for (String key : ConfigKeys.HEADS) {
                if (config.has(key)) {
                    throw config.refuse(key, "a divisor of the hidden size " + hidden + ", as \"head_dim\" is absent,");
                }
            }
        }
        return hidden / heads;
    }

    private Optional<ModelFacts.Latent> latent() throws ModelFileException {
        OptionalLong rank = config.count("kv_lora_rank");
        if (rank.isEmpty() || rank.getAsLong() == 0) {
            return Optional.empty();
        }
        long rope = config.required(ModelFacts.MAX_COUNT, "qk_rope_head_dim");
        return Optional.of(new ModelFacts.Latent(
                rank.getAsLong(),
                rope,
                config.required(ModelFacts.MAX_COUNT, "qk_nope_head_dim") + rope,
                config.required(ModelFacts.MAX_COUNT, "v_head_dim"),
                false));
    }

    private long stateValues() throws ModelFileException {
        OptionalLong shortConvolution = config.count("conv_L_cache");
        if (shortConvolution.isPresent()) {
            return Saturated.times(Math.max(0, shortConvolution.getAsLong() - 1), hidden);
        }
        OptionalLong valueHeads = config.count("linear_num_value_heads");
        if (valueHeads.isPresent()) {
            long keyLength = config.required(ModelFacts.MAX_COUNT, "linear_key_head_dim");
            return GgufFacts.convolutionState(
                    config.count("linear_conv_kernel_dim").orElse(0),
                    Saturated.times(
                            valueHeads.getAsLong(), config.required(ModelFacts.MAX_COUNT, "linear_value_head_dim")),
                    keyLength,
                    config.required(ModelFacts.MAX_COUNT, "linear_num_key_heads"));
        }
        return GgufFacts.convolutionState(
                config.count(ConfigKeys.CONV_KERNEL).orElse(0),
                innerSize(),
                config.count(ConfigKeys.STATE_LENGTH).orElse(0),
                config.count(ConfigKeys.GROUPS).orElse(0));
    }

    private long innerSize() throws ModelFileException {
        OptionalLong stated = config.count("mamba_d_ssm");
        if (stated.isPresent()) {
            return stated.getAsLong();
        }
        // Mamba-2 calls its heads as an attention layer would.
        boolean plain = rule.recurrent() == Recurrent.ALL;
        OptionalLong heads = plain ? config.count("num_heads") : config.count(ConfigKeys.STATE_HEADS);
        OptionalLong length = plain ? config.count("head_dim") : config.count(ConfigKeys.STATE_HEAD_LENGTH);
        if (heads.isPresent() && length.isPresent()) {
            return Saturated.times(heads.getAsLong(), length.getAsLong());
        }
        return Saturated.times(config.count(ConfigKeys.EXPAND).orElse(2), hidden);
    }

    private long feedForward() throws ModelFileException {
        long dense = config.count(ConfigKeys.FEED_FORWARD).orElse(Saturated.times(4, hidden));
        long used = config.count(ConfigKeys.EXPERTS_USED).orElse(0);
        long expert = config.count("moe_intermediate_size").orElse(dense);
        return used == 0 ? dense : Saturated.times(used, expert);
    }
}
