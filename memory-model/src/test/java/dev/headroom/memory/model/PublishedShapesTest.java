package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintOptions.LatentCache;
import dev.headroom.memory.model.FootprintTerm.Certainty;
import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Caches, states and weights of published models, derived by hand from their shapes. None of these rows was there when the
 * formulas were written.
 */
class PublishedShapesTest {

    private static final double MIB = 1 << 20;

    @TempDir
    Path folder;

    private static HeaderOnlyGguf model(String architecture, int layers, int heads, int headsKv, int length) {
        return HeaderOnlyGguf.small(architecture)
                .with("block_count", layers)
                .with("attention.head_count", heads)
                .with("attention.head_count_kv", headsKv)
                .with("attention.key_length", length)
                .with("attention.value_length", length);
    }

    private static FootprintOptions.Builder context(long tokens) {
        return FootprintOptions.builder().contextLength(tokens);
    }

    private static FootprintOptions.Builder flash(long tokens, DataType keys, DataType values) {
        return context(tokens).flashAttention(true).kvTypes(keys, values);
    }

    /** Every so many of a number of layers gets one value, all others another. */
    private static List<Integer> every(int period, int offset, int layers, int value, int otherwise) {
        List<Integer> list = new ArrayList<>(Collections.nCopies(layers, otherwise));
        for (int i = offset; i < layers; i += period) {
            list.set(i, value);
        }
        return list;
    }

    static List<Arguments> caches() {
        HeaderOnlyGguf gptOss = model("gpt-oss", 24, 64, 8, 64).with("attention.sliding_window", 128);
        HeaderOnlyGguf gemma3 = model("gemma3", 62, 32, 16, 128).with("attention.sliding_window", 1024);
        HeaderOnlyGguf r1 = model("deepseek2", 61, 128, 1, 576)
                .with("attention.value_length", 512)
                .with("attention.kv_lora_rank", 512)
                .with("rope.dimension_count", 64)
                .with("attention.key_length_mla", 192)
                .with("attention.value_length_mla", 128);
        return List.of(
                // 80 layers x 32768 cells x 2 x (1024 values of 34 / 32 bytes).
                Arguments.of(
                        "Llama 3.1 70B in q8_0",
                        model("llama", 80, 64, 8, 128),
                        flash(32_768, DataType.Q8_0, DataType.Q8_0),
                        80L * 32_768 * 2 * 1088),
                // 40 heads of 128 on a width of 5120; 10000 tokens are 10240 cells.
                Arguments.of(
                        "Mistral Small 24B",
                        model("llama", 40, 32, 8, 128).with("embedding_length", 5120),
                        context(10_000),
                        40L * 10_240 * 4096),
                // 512 values: 288 bytes in q4_0, 384 in q5_1; 20000 tokens are 20224 cells.
                Arguments.of(
                        "Qwen2.5 7B in q4_0 and q5_1",
                        model("qwen2", 28, 28, 4, 128),
                        flash(20_000, DataType.Q4_0, DataType.Q5_1),
                        28L * 20_224 * (288 + 384)),
                // 10000 tokens are 10240 cells, a third of them 3413, and that is 3584 for each.
                Arguments.of(
                        "Llama 3.2 3B for three",
                        model("llama", 28, 24, 8, 128),
                        context(10_000).sequences(3),
                        28L * 3 * 3584 * 4096),
                // 1281 tokens are 1536 cells, a fifth of them 307, and that is 512: a share of 256 would hold 1280
                // tokens.
                Arguments.of(
                        "Llama 3.2 3B for five",
                        model("llama", 28, 24, 8, 128),
                        context(1281).sequences(5),
                        28L * 5 * 512 * 4096),
                Arguments.of(
                        "Llama 3.2 3B for five in one cache",
                        model("llama", 28, 24, 8, 128),
                        context(1281).sequences(5).unifiedCache(true),
                        28L * 1536 * 4096),
                // 12 of 24 layers in full; a window of 128 and 512 tokens at once are 768 cells.
                Arguments.of("gpt-oss 20B", gptOss, context(131_072), 12L * (131_072 + 768) * 2048),
                // Four streams of 32768, each with a window.
                Arguments.of(
                        "gpt-oss 20B for four", gptOss, context(131_072).sequences(4), 12L * 4 * (32_768 + 768) * 2048),
                // One stream, four windows in it: 4 x 128 + 512 = 1024 cells.
                Arguments.of(
                        "gpt-oss 20B for four in one cache",
                        gptOss,
                        context(131_072).sequences(4).unifiedCache(true),
                        12L * (131_072 + 1024) * 2048),
                // 10 of 62 layers in full, the others 1024 + 512 cells: 2560 and 624 MiB.
                Arguments.of("Gemma 3 27B", gemma3, context(32_768), (2560L + 624) << 20),
                Arguments.of(
                        "Gemma 3 27B, 64 at once",
                        gemma3,
                        context(32_768).ubatch(64),
                        (10L * 32_768 + 52 * 1280) * 8192),
                Arguments.of("Gemma 3 27B in full", gemma3, context(32_768).fullWindows(true), 62L * 32_768 * 8192),
                // Every other layer looks back 4096.
                Arguments.of("Gemma 2 9B", model("gemma2", 42, 16, 8, 256), context(8192), 21L * (8192 + 4608) * 8192),
                // Every fourth in full.
                Arguments.of(
                        "Command R7B",
                        model("cohere2", 32, 32, 8, 128).with("attention.sliding_window", 4096),
                        context(16_384),
                        (8L * 16_384 + 24 * 4608) * 4096),
                // Chunks of 8192, which the header does not state.
                Arguments.of(
                        "Llama 4 Scout",
                        model("llama4", 48, 40, 8, 128),
                        context(32_768),
                        (12L * 32_768 + 36 * 8704) * 4096),
                // Seven of eight layers look back 2048.
                Arguments.of(
                        "PLaMo 3 of 24 layers",
                        model("plamo3", 24, 32, 4, 128).with("attention.sliding_window", 2048),
                        context(8192),
                        (3L * 8192 + 21 * 2560) * 2048),
                // The first of four in full.
                Arguments.of(
                        "SmallThinker 21B",
                        model("smallthinker", 52, 28, 4, 128).with("attention.sliding_window", 4096),
                        context(16_384),
                        (13L * 16_384 + 39 * 4608) * 2048),
                Arguments.of(
                        "DeepSeek V2 Lite, expanded",
                        model("deepseek2", 27, 16, 16, 192)
                                .with("attention.value_length", 128)
                                .with("attention.kv_lora_rank", 512)
                                .with("rope.dimension_count", 64),
                        context(4096),
                        1080L << 20),
                // 576 values of 34 / 32 bytes, once.
                Arguments.of(
                        "DeepSeek R1, keys only in q8_0",
                        r1,
                        flash(8192, DataType.Q8_0, DataType.Q8_0).latentCache(LatentCache.LATENT_KEY_ONLY),
                        61L * 8192 * 612),
                Arguments.of(
                        "DeepSeek R1 with a draft head",
                        r1.with("block_count", 62).with("nextn_predict_layers", 1),
                        context(4096),
                        61L * 4096 * (576 + 512) * 2));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("caches")
    void cache(String name, HeaderOnlyGguf model, FootprintOptions.Builder options, long bytes) throws IOException {
        FootprintTerm cache = model.read(folder).footprint(options.build()).terms().stream()
                .filter(term -> term.kind() == Kind.KV_CACHE)
                .findFirst()
                .orElseThrow();
        assertThat(cache.bytes()).as("%s MiB", bytes / MIB).isEqualTo(bytes);
        assertThat(cache.certainty())
                .isEqualTo(name.startsWith("DeepSeek R1 with") ? Certainty.BOUNDED : Certainty.EXACT);
    }

    static List<Arguments> states() {
        HeaderOnlyGguf mamba = HeaderOnlyGguf.small("mamba")
                .without("attention.head_count")
                .without("attention.head_count_kv")
                .with("block_count", 64)
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 5120)
                .with("ssm.state_size", 16);
        HeaderOnlyGguf next = model("qwen3next", 48, 16, 2, 256)
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 4096)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 16);
        HeaderOnlyGguf granite = model("granitehybrid", 40, 12, 4, 128)
                .with("attention.head_count_kv", every(10, 5, 40, 4, 0))
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 3072)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 1);
        // 4 layers attend, 25 are feed-forward only, 27 recurrent.
        List<Integer> attention = new ArrayList<>(Collections.nCopies(56, 0));
        List<Integer> feedForward = new ArrayList<>(Collections.nCopies(56, 0));
        for (int i = 0; i < 29; i++) {
            (i < 4 ? attention : feedForward).set(2 * i % 55, i < 4 ? 8 : 15_680);
        }
        HeaderOnlyGguf nemotron = model("nemotron_h", 56, 40, 8, 128)
                .with("attention.head_count_kv", attention)
                .with("feed_forward_length", feedForward)
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 10_240)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 8);
        HeaderOnlyGguf draft = model("qwen35", 65, 24, 4, 256)
                .with("nextn_predict_layers", 1)
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 6144)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 16);
        HeaderOnlyGguf stated = model("qwen35", 4, 24, 4, 256)
                .with("attention.recurrent_layers", List.of(1, 0, 0, 1))
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 6144)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 16);
        return List.of(
                // 3.75 MiB of tails and 20 MiB of states.
                Arguments.of("Mamba 2.8B", mamba, context(4096), 0L, 64L * (3 * 5120 + 16 * 5120) * 4),
                Arguments.of("Mamba 2.8B for four", mamba, context(4096).sequences(4), 0L, 4 * 64L * (19 * 5120) * 4),
                // 12 layers attend: 96 MiB; 36 do not: 75.375 MiB, whatever the context.
                Arguments.of("Qwen3-Next 80B", next, context(4096), 96L << 20, 36L * (3 * 8192 + 128 * 4096) * 4),
                Arguments.of(
                        "Qwen3-Next 80B for two",
                        next,
                        context(4096).sequences(2),
                        96L << 20,
                        2 * 36L * (3 * 8192 + 128 * 4096) * 4),
                Arguments.of(
                        "Granite 4.0 H Tiny",
                        granite,
                        context(8192),
                        4L * 8192 * 4 * 128 * 4,
                        36L * (3 * (3072 + 256) + 128 * 3072) * 4),
                Arguments.of(
                        "Nemotron Nano 9B v2",
                        nemotron,
                        context(4096),
                        4L * 4096 * 8 * 128 * 4,
                        27L * (3 * (10_240 + 2 * 8 * 128) + 128 * 10_240) * 4),
                // The draft head behind 64 layers is neither recurrent nor in this cache.
                Arguments.of(
                        "Qwen3.5 27B with a draft head",
                        draft,
                        context(4096),
                        16L * 4096 * 4 * 512 * 2,
                        48L * (3 * (6144 + 2 * 16 * 128) + 128 * 6144) * 4),
                Arguments.of(
                        "Qwen3.5 by a list",
                        stated,
                        context(4096),
                        2L * 4096 * 4 * 512 * 2,
                        2L * (3 * (6144 + 2 * 16 * 128) + 128 * 6144) * 4));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("states")
    void state(String name, HeaderOnlyGguf model, FootprintOptions.Builder options, long cache, long state)
            throws IOException {
        ModelFootprint footprint = model.read(folder).footprint(options.build());
        assertThat(footprint.bytes(Kind.KV_CACHE)).as(name).isEqualTo(cache);
        assertThat(footprint.bytes(Kind.STATE)).as(name).isEqualTo(state);
    }

    /**
     * Prints of allocators found after the formula was written, and after all of its factors but the one for latent caches:
     * the row of DeepSeek R1 gave that. In MiB; the first three are met to the kilobyte.
     */
    static List<Arguments> prints() {
        HeaderOnlyGguf llama2 = model("llama", 32, 32, 32, 128)
                .with("embedding_length", 4096)
                .with("feed_forward_length", 11_008)
                .with("vocab_size", 32_000);
        HeaderOnlyGguf mistral = model("llama", 32, 32, 8, 128)
                .with("embedding_length", 4096)
                .with("feed_forward_length", 14_336)
                .with("vocab_size", 32_000);
        HeaderOnlyGguf granite = model("granite", 40, 32, 8, 64)
                .with("embedding_length", 2048)
                .with("feed_forward_length", 8192)
                .with("vocab_size", 49_155);
        HeaderOnlyGguf qwen3b = model("qwen2vl", 36, 16, 2, 128)
                .with("embedding_length", 2048)
                .with("feed_forward_length", 11_008)
                .with("vocab_size", 151_936);
        HeaderOnlyGguf qwen32b = model("qwen2", 64, 40, 8, 128)
                .with("embedding_length", 5120)
                .with("feed_forward_length", 27_648)
                .with("vocab_size", 152_064);
        HeaderOnlyGguf coder = model("qwen3moe", 62, 96, 8, 128)
                .with("embedding_length", 6144)
                .with("feed_forward_length", 8192)
                .with("expert_count", 160)
                .with("expert_used_count", 8)
                .with("expert_feed_forward_length", 2560)
                .with("vocab_size", 151_936);
        HeaderOnlyGguf r1 = model("deepseek2", 61, 128, 1, 576)
                .with("attention.value_length", 512)
                .with("attention.kv_lora_rank", 512)
                .with("rope.dimension_count", 64)
                .with("attention.key_length_mla", 192)
                .with("attention.value_length_mla", 128)
                .with("embedding_length", 7168)
                .with("feed_forward_length", 18_432)
                .with("expert_count", 256)
                .with("expert_used_count", 8)
                .with("expert_feed_forward_length", 2048)
                .with("vocab_size", 129_280);
        return List.of(
                Arguments.of("Llama 2 7B on an Arc A770", llama2, context(4096), 296.00, 0.01),
                Arguments.of(
                        "Mistral 7B, fedora-copr/logdetective#106",
                        mistral,
                        context(2048).batch(512),
                        164.00,
                        0.01),
                Arguments.of(
                        "Mistral 7B, fedora-copr/logdetective#106",
                        mistral,
                        context(32_768).batch(512),
                        2144.00,
                        0.01),
                Arguments.of("Granite 3 2B with SYCL", granite, context(4096), 296.00, 0.1),
                Arguments.of(
                        "Qwen2.5 VL 3B, 4096 at once",
                        qwen3b,
                        context(4096).batch(4096).ubatch(4096).flashAttention(true),
                        2470.16,
                        0.1),
                Arguments.of(
                        "Qwen2.5 32B, ik_llama.cpp",
                        qwen32b,
                        context(8192).batch(4096).ubatch(1024).flashAttention(true),
                        633.50,
                        0.1),
                Arguments.of(
                        "Qwen3 Coder 480B on a CPU, ik_llama.cpp",
                        coder,
                        context(196_608).batch(4096).ubatch(4096).flashAttention(true),
                        5184.05,
                        0.4),
                Arguments.of(
                        "DeepSeek R1, a card that copies no experts",
                        r1,
                        context(16_384).ubatch(1024).flashAttention(true),
                        788.00,
                        0.1));
    }

    @ParameterizedTest(name = "{0}, {3} MiB")
    @MethodSource("prints")
    void compute(String name, HeaderOnlyGguf model, FootprintOptions.Builder options, double printed, double share)
            throws IOException {
        double ours = model.read(folder).footprint(options.build()).bytes(Kind.COMPUTE) / MIB;
        System.out.printf(Locale.ROOT, "%s: %.2f printed, %.2f ours%n", name, printed, ours);
        assertThat(ours).as(name).isBetween(printed * (1 - share), printed * (1 + share));
        if (share < 0.05) {
            assertThat(ours).as(name).isEqualTo(printed);
        }
    }

    /** Without flash attention, newer engines make the values of every layer as wide as the widest. */
    @Test
    void unequalValuesAreRemarkedOn() throws IOException {
        HeaderOnlyGguf uneven = model("openelm", 4, 12, 3, 64).with("attention.head_count_kv", List.of(3, 3, 4, 6));
        ModelFootprint off = uneven.read(folder).footprint(context(4096).build());
        assertThat(off.bytes(Kind.KV_CACHE)).isEqualTo(4096L * 16 * 128 * 2);
        // 3 + 3 + 2 heads of 64 values of 2 bytes are missing: 4 MiB.
        assertThat(off.remarks()).singleElement().asString().endsWith("as the widest: up to 4 MiB more");
        assertThat(uneven.read(folder)
                        .footprint(context(4096).flashAttention(true).build())
                        .remarks())
                .isEmpty();
    }

    /** Numbers of parameters as they were published, two bytes each. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            value = {
                "Mistral 7B v0.1     | mistral | 32, 4096, 14336, 32, 8, 32000   |                                   | 7241732096",
                "TinyLlama 1.1B      | llama   | 22, 2048, 5632, 32, 4, 32000    |                                   | 1100048384",
                "Llama 3.1 8B        | llama   | 32, 4096, 14336, 32, 8, 128256  |                                   | 8030261248",
                "Llama 3.2 1B        | llama   | 16, 2048, 8192, 32, 8, 128256   | , \"tie_word_embeddings\": true     | 1235814400",
                "Llama 2 13B         | llama   | 40, 5120, 13824, 40, 40, 32000  |                                   | 13015864320",
                "Qwen2.5 0.5B        | qwen2   | 24, 896, 4864, 14, 2, 151936    | , \"tie_word_embeddings\": true     | 494032768",
                "Qwen2.5 7B          | qwen2   | 28, 3584, 18944, 28, 4, 152064  |                                   | 7615616512",
                "Qwen3 0.6B          | qwen3   | 28, 1024, 3072, 16, 8, 151936   | , \"tie_word_embeddings\": true, \"head_dim\": 128 | 596049920",
                "Qwen3 8B            | qwen3   | 36, 4096, 12288, 32, 8, 151936  | , \"head_dim\": 128                 | 8190735360",
                "Mixtral 8x7B        | mixtral | 32, 4096, 14336, 32, 8, 32000   | , \"num_local_experts\": 8, \"num_experts_per_tok\": 2 | 46702792704",
                "Mixtral 8x22B       | mixtral | 56, 6144, 16384, 48, 8, 32768   | , \"num_local_experts\": 8, \"num_experts_per_tok\": 2 | 140630071296",
                "Phi-3 mini          | phi3    | 32, 3072, 8192, 32, 32, 32064   |                                   | 3821079552",
                "Gemma 2B            | gemma   | 18, 2048, 16384, 8, 1, 256000   | , \"head_dim\": 256                 | 2506172416"
            })
    void weights(String name, String type, String shape, String more, long parameters) throws IOException {
        String[] numbers = shape.split(", ");
        Path config = Files.writeString(folder.resolve("config.json"), """
                {"model_type": "%s", "num_hidden_layers": %s, "hidden_size": %s, "intermediate_size": %s,
                 "num_attention_heads": %s, "num_key_value_heads": %s, "vocab_size": %s, "torch_dtype": "bfloat16"%s}
                """.formatted(
                        type,
                        numbers[0],
                        numbers[1],
                        numbers[2],
                        numbers[3],
                        numbers[4],
                        numbers[5],
                        more == null ? "" : more));
        ModelFile file = ModelFile.read(config);
        assertThat(file.parameters()).as(name).hasValue(parameters);
        ModelFootprint footprint =
                file.footprint(FootprintOptions.builder().onHost(true).build());
        assertThat(footprint.bytes(Kind.WEIGHTS)).isEqualTo(2 * parameters);
    }
}
