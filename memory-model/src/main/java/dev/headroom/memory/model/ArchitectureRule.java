package dev.headroom.memory.model;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What is known of an architecture beyond its header: which layers look through a window, which are recurrent. A header
 * that says so itself is believed before this table. After llama.cpp's loader.
 *
 * @param windowPeriod one layer of so many attends in full and the others through a window; 0 if there are no windows
 * @param fullFirst whether the full layer is the first of its period, not the last
 * @param window tokens of the window where the header has none; 0 if it always says
 * @param recurrent which layers are recurrent
 * @param encoder whether there is no cache between calls
 * @param cachedLayers how many layers from the first have a cache of their own; 0 for all
 */
record ArchitectureRule(
        int windowPeriod, boolean fullFirst, long window, Recurrent recurrent, boolean encoder, int cachedLayers) {

    /** Which layers are recurrent. */
    enum Recurrent {
        /** None. */
        NONE,
        /** All, and none attends. */
        ALL,
        /** All, and all attend too. */
        ALL_BESIDE_ATTENTION,
        /** Those without key and value heads. */
        WITHOUT_KV_HEADS,
        /** Those with neither key and value heads nor a feed-forward part. */
        WITHOUT_KV_HEADS_AND_FEED_FORWARD,
        /** All but every fourth, or whatever {@code full_attention_interval} says. */
        BETWEEN_FULL
    }

    /** The interval of {@link Recurrent#BETWEEN_FULL} where the header has none. */
    static final long FULL_ATTENTION_INTERVAL = 4;

    private static final ArchitectureRule PLAIN = of(0, false, 0, Recurrent.NONE);
    private static final ArchitectureRule ENCODER = new ArchitectureRule(0, false, 0, Recurrent.NONE, true, 0);

    private static final Map<String, ArchitectureRule> RULES = new HashMap<>();

    static {
        // Attention in full in every layer. Phi-3 states a window that engines do not use.
        put(
                PLAIN,
                "llama llama-embed mistral mistral3 mistral4 mixtral deci falcon refinedweb refinedwebmodel grok gpt2 gptj "
                        + "gptneox gpt_neox gpt_bigcode mpt baichuan starcoder starcoder2 refact bloom stablelm qwen qwen2 "
                        + "qwen2moe qwen2_moe qwen2vl qwen3 qwen3moe qwen3_moe qwen3vl qwen3vlmoe phi phi2 phi3 phimoe "
                        + "mixformer-sequential plamo codeshell orion internlm2 minicpm minicpm3 gemma xverse command-r "
                        + "cohere dbrx olmo olmoe openelm arctic deepseek deepseek2 deepseek_v2 deepseek_v3 kimi_k2 chatglm "
                        + "glm4 glm4moe glm4_moe glm bitnet bitnet-25 jais nemotron exaone granite granitemoe chameleon "
                        + "ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense smollm3 dots1 bailingmoe bailingmoe2 arcee "
                        + "apertus seed_oss grovemoe minimax-m2 minicpm-v jais2 cogvlm hunyuan_vl hunyuan-vl pangu-embedded "
                        + "paddleocr maincoder plm");

        // These say layer by layer which look through a window.
        put(PLAIN, "mimo2 step35");

        // Windows.
        put(of(2, false, 4096, Recurrent.NONE), "gemma2");
        put(of(6, false, 0, Recurrent.NONE), "gemma3 gemma3_text");
        put(new ArchitectureRule(5, false, 512, Recurrent.NONE, false, 20), "gemma3n gemma3n_text");
        put(of(6, false, 512, Recurrent.NONE), "gemma4 gemma4_text");
        put(of(2, false, 128, Recurrent.NONE), "gpt-oss gpt_oss openai-moe");
        put(of(4, false, 4096, Recurrent.NONE), "cohere2 command-r2");
        put(of(4, false, 0, Recurrent.NONE), "olmo2 olmo3 exaone4 exaone-moe afmoe");
        put(of(8, false, 0, Recurrent.NONE), "plamo3");
        put(of(4, true, 0, Recurrent.NONE), "laguna");
        put(of(4, false, 8192, Recurrent.NONE), "llama4 llama4_text");
        put(of(4, true, 4096, Recurrent.NONE), "smallthinker");

        // Memory that does not grow.
        put(of(0, false, 0, Recurrent.ALL), "mamba mamba2 falcon_mamba rwkv6 rwkv6qwen2 rwkv7 arwkv7");
        put(of(0, false, 0, Recurrent.WITHOUT_KV_HEADS), "jamba granitehybrid lfm2 lfm2moe plamo2 kimi-linear");
        put(of(0, false, 0, Recurrent.WITHOUT_KV_HEADS_AND_FEED_FORWARD), "nemotron_h nemotron_h_moe");
        put(of(0, false, 0, Recurrent.ALL_BESIDE_ATTENTION), "falcon-h1 falcon_h1");
        put(
                of(0, false, 0, Recurrent.BETWEEN_FULL),
                "qwen3next qwen3_next qwen35 qwen35moe qwen3_5 qwen3_5_text " + "qwen3_5_moe qwen3_5_moe_text");
        put(of(0, false, 0, Recurrent.NONE), "granitemoehybrid bamba");

        // Whole texts at once.
        put(
                ENCODER,
                "bert nomic-bert nomic-bert-moe jina-bert-v2 jina-bert-v3 modern-bert modernbert neo-bert eurobert "
                        + "roberta xlm-roberta distilbert t5encoder gemma-embedding");
    }

    /** The rule of an architecture, by its name in GGUF files or in configurations; empty if there is none. */
    static Optional<ArchitectureRule> tryOf(String architecture) {
        return Optional.ofNullable(RULES.get(architecture.toLowerCase(Locale.ROOT)));
    }

    /** What holds for an architecture nobody knows: every layer attends in full, unless the header says otherwise. */
    static ArchitectureRule generic() {
        return PLAIN;
    }

    /** Whether a layer looks through the window. */
    boolean isWindow(long layer, long period) {
        if (period <= 1) {
            return false;
        }
        return fullFirst ? layer % period != 0 : layer % period < period - 1;
    }

    private static ArchitectureRule of(int windowPeriod, boolean fullFirst, long window, Recurrent recurrent) {
        return new ArchitectureRule(windowPeriod, fullFirst, window, recurrent, false, 0);
    }

    private static void put(ArchitectureRule rule, String names) {
        Stream<String> each = Arrays.stream(names.split(" "));
        each.forEach(name -> RULES.put(name, rule));
    }
}
