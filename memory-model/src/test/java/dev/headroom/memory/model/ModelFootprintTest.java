package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintOptions.LatentCache;
import dev.headroom.memory.model.FootprintOptions.Overhead;
import dev.headroom.memory.model.FootprintTerm.Certainty;
import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Figures derived by hand from the formulas; each is written out as arithmetic. */
class ModelFootprintTest {

    private static final FootprintOptions DEFAULTS = FootprintOptions.defaults();

    @TempDir
    Path folder;

    private ModelFootprint plan(HeaderOnlyGguf header, FootprintOptions options) throws IOException {
        return header.read(folder).footprint(options);
    }

    private long kv(HeaderOnlyGguf header, FootprintOptions.Builder options) throws IOException {
        return plan(header, options.build()).bytes(Kind.KV_CACHE);
    }

    private static FootprintTerm term(ModelFootprint footprint, Kind kind) {
        return footprint.terms().stream()
                .filter(term -> term.kind() == kind)
                .findFirst()
                .orElseThrow();
    }

    private static FootprintOptions.Builder context(long tokens) {
        return FootprintOptions.builder().contextLength(tokens);
    }

    // Context and sequences.

    @Test
    void contextIsTheSmallerOfTrainedAnd4096UnlessSet() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("llama");
        assertThat(plan(model, DEFAULTS).contextLength()).isEqualTo(4096);
        assertThat(plan(model.with("context_length", 1000), DEFAULTS).contextLength())
                .isEqualTo(1000);
        assertThat(plan(model.with("context_length", 1L << 60), DEFAULTS).contextLength())
                .isEqualTo(4096);
        assertThat(plan(model.without("context_length"), DEFAULTS).contextLength())
                .isEqualTo(4096);
        ModelFootprint longer =
                plan(model.with("context_length", 1000), context(2000).build());
        assertThat(longer.contextLength()).isEqualTo(2000);
        assertThat(longer.remarks())
                .containsExactly("a context of 2000 is more than the 1000 the model was trained for");
    }

    @Test
    void groupedQueries() throws IOException {
        // 4 layers x 1024 cells x 2 heads x (64 + 64) values x 2 bytes.
        assertThat(kv(HeaderOnlyGguf.small("llama"), context(1024))).isEqualTo(4L * 1024 * 2 * 128 * 2);
        // Many heads, all with keys of their own; one head for all.
        assertThat(kv(HeaderOnlyGguf.small("llama").without("attention.head_count_kv"), context(1024)))
                .isEqualTo(4L * 1024 * 8 * 128 * 2);
        assertThat(kv(HeaderOnlyGguf.small("llama").with("attention.head_count_kv", 1), context(1024)))
                .isEqualTo(4L * 1024 * 1 * 128 * 2);
    }

    @Test
    void statedHeadLengthsAreBelievedBeforeTheQuotient() throws IOException {
        HeaderOnlyGguf model =
                HeaderOnlyGguf.small("llama").with("attention.key_length", 192).with("attention.value_length", 128);
        assertThat(kv(model, context(1024))).isEqualTo(4L * 1024 * 2 * (192 + 128) * 2);
    }

    @Test
    void cellsAreRoundedUpTo256() throws IOException {
        assertThat(kv(HeaderOnlyGguf.small("llama"), context(1))).isEqualTo(4L * 256 * 2 * 128 * 2);
        assertThat(kv(HeaderOnlyGguf.small("llama"), context(1025))).isEqualTo(4L * 1280 * 2 * 128 * 2);
    }

    /** Gemma 3 270m with a context of 1024: 1536 cells with 3 slots, 1024 with 4 (unslothai/unsloth#7530). */
    @ParameterizedTest
    @CsvSource({"1,1024", "2,1024", "3,1536", "4,1024", "5,1280", "2000,512000"})
    void everySequenceIsRoundedOnItsOwn(int sequences, long cells) throws IOException {
        assertThat(kv(HeaderOnlyGguf.small("llama"), context(1024).sequences(sequences)))
                .isEqualTo(4L * cells * 2 * 128 * 2);
    }

    @ParameterizedTest
    @CsvSource({
        "F32,4096",
        "F16,2048",
        "BF16,2048",
        "Q8_0,1088",
        "Q5_1,768",
        "Q5_0,704",
        "Q4_1,640",
        "Q4_0,576",
        "IQ4_NL,576"
    })
    void cacheTypesHaveTheSizeOfTheirBlocks(DataType type, long bytesOf1024Values) throws IOException {
        // A row of 2 heads x 64 is 128 values, an eighth of 1024.
        assertThat(kv(
                        HeaderOnlyGguf.small("llama"),
                        context(256).kvTypes(type, type).flashAttention(true)))
                .isEqualTo(4L * 256 * 2 * bytesOf1024Values / 8);
    }

    @Test
    void keysAndValuesMayDiffer() throws IOException {
        assertThat(kv(HeaderOnlyGguf.small("llama"), context(256).kvTypes(DataType.Q8_0, DataType.F16)))
                .isEqualTo(4L * 256 * (2 * 64 / 32 * 34 + 2 * 64 * 2));
    }

    @Test
    void badOptionsAreRefusedByName() throws IOException {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> context(0).build())
                .withMessage("contextLength must be 1 or more, but is 0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> FootprintOptions.builder().sequences(65_537).build())
                .withMessage("sequences must be 1 to 65536, but is 65537");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> FootprintOptions.builder()
                        .kvTypes(DataType.Q4_K, DataType.F16)
                        .build())
                .withMessage(
                        "keyType must be one of [F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, BF16], but is Q4_K");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> FootprintOptions.builder()
                        .kvTypes(DataType.F16, DataType.Q8_0)
                        .build())
                .withMessage(
                        "values of type Q8_0 need flash attention: turn it on, or keep values in F16, BF16 or F32");
        HeaderOnlyGguf odd =
                HeaderOnlyGguf.small("llama").with("attention.head_count_kv", 1).with("attention.key_length", 80);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> kv(odd, FootprintOptions.builder().kvTypes(DataType.Q8_0, DataType.F16)))
                .withMessage("keys cannot be kept as Q8_0: a row of 1 x 80 values is no multiple of 32, its block; "
                        + "use F16");
    }

    // Which layers hold what.

    @Test
    void perLayerHeadsWithZeros() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("deci")
                .with("attention.head_count", List.of(8, 8, 0, 8))
                .with("attention.head_count_kv", List.of(2, 0, 0, 8))
                .with("attention.key_length", 64)
                .with("attention.value_length", 64);
        assertThat(kv(model, context(256))).isEqualTo(256L * (2 + 8) * 128 * 2);
    }

    /** gemma3: five of six layers look back 512 tokens; of 4 layers none is the sixth. */
    @Test
    void windowsByThePeriodOfTheArchitecture() throws IOException {
        HeaderOnlyGguf model =
                HeaderOnlyGguf.small("gemma3").with("block_count", 7).with("attention.sliding_window", 512);
        // Six window layers of min(8192, 512 + 512) cells and one full layer, the sixth.
        assertThat(kv(model, context(8192))).isEqualTo((6L * 1024 + 8192) * 2 * 128 * 2);
        // A window of 500 and a batch of 100 make 600, rounded up to 768.
        model.with("attention.sliding_window", 500);
        assertThat(kv(model, context(8192).ubatch(100))).isEqualTo((6L * 768 + 8192) * 2 * 128 * 2);
        // A context shorter than the window is not made longer.
        assertThat(kv(model, context(512))).isEqualTo(7L * 512 * 2 * 128 * 2);
        assertThat(kv(model, context(8192).fullWindows(true))).isEqualTo(7L * 8192 * 2 * 128 * 2);
        // With 4 sequences of 2048 each, every stream has a window of its own.
        assertThat(kv(model, context(8192).ubatch(100).sequences(4))).isEqualTo(4L * (6 * 768 + 2048) * 2 * 128 * 2);
    }

    @ParameterizedTest
    @CsvSource({"gemma2,4", "gpt-oss,4", "cohere2,6", "olmo2,6", "smallthinker,6", "llama4,6", "phi3,0", "qwen2,0"})
    void periodsAreData(String architecture, long windowLayersOf8) throws IOException {
        HeaderOnlyGguf model =
                HeaderOnlyGguf.small(architecture).with("block_count", 8).with("attention.sliding_window", 256);
        long windows = windowLayersOf8 * 512 + (8 - windowLayersOf8) * 8192;
        assertThat(kv(model, context(8192).ubatch(256))).isEqualTo(windows * 2 * 128 * 2);
    }

    @Test
    void theHeadersPatternGoesBeforeTheTable() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("gemma3").with("attention.sliding_window", 256);
        model.with("attention.sliding_window_pattern", List.of(0, 1, 0, 0));
        assertThat(kv(model, context(8192).ubatch(256))).isEqualTo((512L + 3 * 8192) * 2 * 128 * 2);
        model.with("attention.sliding_window_pattern", 2);
        assertThat(kv(model, context(8192).ubatch(256))).isEqualTo(2L * (512 + 8192) * 2 * 128 * 2);
    }

    @Test
    void windowLayersMayHaveOtherHeads() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("gemma4")
                .with("attention.sliding_window", 256)
                .with("attention.sliding_window_pattern", List.of(1, 1, 1, 0))
                .with("attention.key_length", 512)
                .with("attention.value_length", 512)
                .with("attention.key_length_swa", 256)
                .with("attention.value_length_swa", 256);
        assertThat(kv(model, context(4096).ubatch(256))).isEqualTo((3L * 512 * 512 + 4096L * 1024) * 2 * 2);
    }

    @Test
    void sharedAndDraftLayersHoldNone() throws IOException {
        assertThat(kv(HeaderOnlyGguf.small("llama").with("attention.shared_kv_layers", 3), context(256)))
                .isEqualTo(1L * 256 * 2 * 128 * 2);
        assertThat(kv(HeaderOnlyGguf.small("deepseek2").with("nextn_predict_layers", 1), context(256)))
                .isEqualTo(3L * 256 * 2 * 128 * 2);
        // gemma3n: the first 20 layers, whatever the header forgets.
        assertThat(kv(
                        HeaderOnlyGguf.small("gemma3n").with("block_count", 30).with("attention.sliding_window", 0),
                        context(256)))
                .isEqualTo(20L * 256 * 2 * 128 * 2);
    }

    /** DeepSeek V3: 61 layers, rank 512, 64 values with positions, 128 heads of 192 and 128. */
    @Test
    void latentAttention() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("deepseek2")
                .with("block_count", 61)
                .with("attention.head_count", 128)
                .with("attention.head_count_kv", 1)
                .with("attention.kv_lora_rank", 512)
                .with("rope.dimension_count", 64)
                .with("attention.key_length", 576)
                .with("attention.value_length", 512)
                .with("attention.key_length_mla", 192)
                .with("attention.value_length_mla", 128);
        FootprintTerm latent = term(plan(model, context(4096).build()), Kind.KV_CACHE);
        assertThat(latent.bytes()).isEqualTo(61L * 4096 * (576 + 512) * 2);
        assertThat(latent.lowBytes()).isEqualTo(61L * 4096 * 576 * 2);
        assertThat(latent.certainty()).isEqualTo(Certainty.BOUNDED);
        assertThat(kv(model, context(4096).latentCache(LatentCache.LATENT_KEY_ONLY)))
                .isEqualTo(61L * 4096 * 576 * 2);
        assertThat(kv(model, context(4096).latentCache(LatentCache.EXPANDED)))
                .isEqualTo(61L * 4096 * 128 * (192 + 128) * 2);
        // A file from before the latent cache has the heads' own lengths.
        model.without("attention.key_length_mla")
                .without("attention.value_length_mla")
                .with("attention.head_count_kv", 128)
                .with("attention.key_length", 192)
                .with("attention.value_length", 128);
        assertThat(kv(model, context(4096))).isEqualTo(61L * 4096 * 128 * (192 + 128) * 2);
    }

    // State.

    @Test
    void mambaHoldsAStateAndNoCache() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("mamba")
                .without("attention.head_count")
                .without("attention.head_count_kv")
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 1024)
                .with("ssm.state_size", 16);
        ModelFootprint one = plan(model, DEFAULTS);
        assertThat(one.bytes(Kind.KV_CACHE)).isZero();
        assertThat(one.bytes(Kind.STATE)).isEqualTo(4L * (3 * 1024 + 16 * 1024) * 4);
        assertThat(term(one, Kind.STATE).certainty()).isEqualTo(Certainty.EXACT);
        // Independent of the context, once for each sequence and each copy to go back to.
        assertThat(plan(model, context(100_000).sequences(3).stateCopies(1).build())
                        .bytes(Kind.STATE))
                .isEqualTo(6 * one.bytes(Kind.STATE));
        // A kernel of 0 has no tail to keep.
        assertThat(plan(model.with("ssm.conv_kernel", 0), DEFAULTS).bytes(Kind.STATE))
                .isEqualTo(4L * 16 * 1024 * 4);
    }

    @Test
    void mamba2CountsItsGroups() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("mamba2")
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 1024)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 8);
        assertThat(plan(model, DEFAULTS).bytes(Kind.STATE)).isEqualTo(4L * (3 * (1024 + 2 * 8 * 128) + 128 * 1024) * 4);
    }

    /** Qwen3.5-27B: 64 layers, every fourth attends with 4 heads of 256; 48 value heads of 128, 16 key heads of 128. */
    @Test
    void linearAttentionBetweenFull() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("qwen35")
                .with("block_count", 64)
                .with("attention.head_count", 24)
                .with("attention.head_count_kv", 4)
                .with("attention.key_length", 256)
                .with("attention.value_length", 256)
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 48 * 128)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 16);
        ModelFootprint footprint = plan(model, context(4096).build());
        assertThat(footprint.bytes(Kind.KV_CACHE)).isEqualTo(16L * 4096 * 4 * 512 * 2);
        assertThat(footprint.bytes(Kind.STATE)).isEqualTo(48L * (3 * (48 * 128 + 2 * 16 * 128) + 128 * 48 * 128) * 4);
        assertThat(plan(model.with("full_attention_interval", 8), context(4096).build())
                        .bytes(Kind.KV_CACHE))
                .isEqualTo(8L * 4096 * 4 * 512 * 2);
    }

    @Test
    void hybridsWithoutKvHeads() throws IOException {
        HeaderOnlyGguf granite = HeaderOnlyGguf.small("granitehybrid")
                .with("attention.head_count_kv", List.of(0, 0, 2, 0))
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 1024)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 1);
        ModelFootprint footprint = plan(granite, context(256).build());
        assertThat(footprint.bytes(Kind.KV_CACHE)).isEqualTo(1L * 256 * 2 * 128 * 2);
        assertThat(footprint.bytes(Kind.STATE)).isEqualTo(3L * (3 * (1024 + 2 * 128) + 128 * 1024) * 4);

        // nemotron_h: a layer that is only feed-forward remembers nothing.
        HeaderOnlyGguf nemotron = HeaderOnlyGguf.small("nemotron_h")
                .with("attention.head_count_kv", List.of(0, 0, 2, 0))
                .with("feed_forward_length", List.of(0, 4096, 0, 0))
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 1024)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 1);
        assertThat(plan(nemotron, DEFAULTS).bytes(Kind.STATE)).isEqualTo(2L * (3 * (1024 + 2 * 128) + 128 * 1024) * 4);

        // falcon-h1: every layer does both.
        HeaderOnlyGguf falcon = HeaderOnlyGguf.small("falcon-h1")
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 1024)
                .with("ssm.state_size", 128)
                .with("ssm.group_count", 1);
        ModelFootprint both = plan(falcon, context(256).build());
        assertThat(both.bytes(Kind.KV_CACHE)).isEqualTo(4L * 256 * 2 * 128 * 2);
        assertThat(both.bytes(Kind.STATE)).isEqualTo(4L * (3 * (1024 + 2 * 128) + 128 * 1024) * 4);
    }

    @Test
    void otherStates() throws IOException {
        HeaderOnlyGguf lfm = HeaderOnlyGguf.small("lfm2")
                .with("attention.head_count_kv", List.of(0, 0, 2, 0))
                .with("shortconv.l_cache", 3);
        assertThat(plan(lfm, DEFAULTS).bytes(Kind.STATE)).isEqualTo(3L * 2 * 512 * 4);
        HeaderOnlyGguf rwkv = HeaderOnlyGguf.small("rwkv7")
                .without("attention.head_count")
                .without("attention.head_count_kv")
                .with("wkv.head_size", 64);
        assertThat(plan(rwkv, DEFAULTS).bytes(Kind.STATE)).isEqualTo(4L * (2 * 512 + 512 * 64) * 4);
        HeaderOnlyGguf kimi = HeaderOnlyGguf.small("kimi-linear")
                .with("attention.head_count_kv", List.of(0, 0, 0, 8))
                .with("ssm.conv_kernel", 4)
                .with("kda.head_dim", 128);
        assertThat(plan(kimi, DEFAULTS).bytes(Kind.STATE)).isEqualTo(3L * (3 * 3 * 8 * 128 + 128 * 128 * 8) * 4);
    }

    @Test
    void encodersKeepNothing() throws IOException {
        ModelFootprint footprint = plan(HeaderOnlyGguf.small("bert"), DEFAULTS);
        assertThat(footprint.bytes(Kind.KV_CACHE)).isZero();
        assertThat(term(footprint, Kind.KV_CACHE).reason()).isEqualTo("an encoder keeps none");
        assertThat(kv(HeaderOnlyGguf.small("bert"), context(512).encoderCache(true)))
                .isEqualTo(4L * 512 * 2 * 128 * 2);
    }

    @Test
    void anUnknownArchitectureSaysSo() throws IOException {
        ModelFootprint footprint =
                plan(HeaderOnlyGguf.small("brandnew"), context(1024).build());
        assertThat(footprint.remarks()).containsExactly("unknown architecture \"brandnew\": generic rules applied");
        FootprintTerm cache = term(footprint, Kind.KV_CACHE);
        assertThat(cache.bytes()).isEqualTo(4L * 1024 * 2 * 128 * 2);
        assertThat(cache.certainty()).isEqualTo(Certainty.GUESSED);
    }

    // Compute and the rest.

    @Test
    void computeIsTheWidestMomentAndTheMask() throws IOException {
        HeaderOnlyGguf model = HeaderOnlyGguf.small("llama");
        long mask = 4096L * 512 * 4;
        long logits = (1000L + 512) * 512 * 4;
        long scores = 8L * 4096 * 512 * 4;
        FootprintTerm off = term(plan(model, DEFAULTS), Kind.COMPUTE);
        long rows = 4 * 512L * 512 * 4;
        assertThat(off.bytes()).isEqualTo(scores + mask + rows);
        assertThat(off.lowBytes()).isEqualTo(scores);
        long most = logits + scores + mask + rows;
        assertThat(off.highBytes()).isEqualTo(most + most / 100);
        assertThat(off.reason()).isEqualTo("without flash attention, 512 tokens at once");
        // With flash attention the feed-forward part of 2048 is wider than a vocabulary of 1000.
        FootprintTerm on =
                term(plan(model, FootprintOptions.builder().flashAttention(true).build()), Kind.COMPUTE);
        long feedForward = 2L * (2048 + 512) * 512 * 4;
        assertThat(on.bytes()).isEqualTo(feedForward + mask + mask / 2);
        assertThat(on.lowBytes()).isEqualTo(logits);
        // No more tokens at once than there are in a batch.
        assertThat(term(plan(model, FootprintOptions.builder().batch(100).build()), Kind.COMPUTE)
                        .bytes())
                .isEqualTo((scores + mask + rows) / 512 * 100);
    }

    @Test
    void theTotalIsTheSumOfTheHighEndsOnTheDevice() throws IOException {
        ModelFootprint footprint = plan(
                HeaderOnlyGguf.small("llama"),
                FootprintOptions.builder().marginBytes(1 << 20).build());
        long sum = footprint.terms().stream()
                .filter(term -> !term.kind().onHost())
                .mapToLong(FootprintTerm::highBytes)
                .sum();
        assertThat(footprint.totalBytes()).isEqualTo(sum);
        assertThat(footprint.bytes(Kind.MARGIN)).isEqualTo(1 << 20);
        assertThat(footprint.bytes(Kind.OUTPUT)).isEqualTo(1000 * 4);
        FootprintTerm overhead = term(footprint, Kind.OVERHEAD);
        assertThat(overhead.lowBytes()).isEqualTo(150L << 20);
        assertThat(overhead.highBytes()).isEqualTo(500L << 20);
        assertThat(overhead.certainty()).isEqualTo(Certainty.GUESSED);
        assertThat(plan(
                                HeaderOnlyGguf.small("llama"),
                                FootprintOptions.builder()
                                        .overhead(Overhead.NONE)
                                        .build())
                        .bytes(Kind.OVERHEAD))
                .isZero();
    }

    // Weights.

    private ModelFile synthesised(String shape, int layers) throws IOException {
        Path path = folder.resolve(shape + ".gguf");
        GgufSynthesizer.of(ModelShape.named(shape).withLayers(layers), DataType.F16, 1)
                .writeSparse(path);
        return ModelFile.read(path);
    }

    /** TinyLlama: width 2048, feed-forward 5632, 32 heads of 64 on 4, vocabulary 32000. */
    @Test
    void weightsAreTheTensorsAndTheEmbeddingStaysOnTheHost() throws IOException {
        ModelFile model = synthesised("tinyllama-1.1b", 3);
        long embedding = 2048L * 32_000 * 2;
        long block = (2 * 2048L * 2048 + 2 * 2048L * 256 + 3 * 2048L * 5632) * 2 + 2 * 2048 * 4;
        long output = embedding + 2048 * 4;
        ModelFootprint whole = model.footprint(DEFAULTS);
        assertThat(whole.bytes(Kind.WEIGHTS)).isEqualTo(3 * block + output);
        assertThat(whole.bytes(Kind.HOST_WEIGHTS)).isEqualTo(embedding);
        assertThat(term(whole, Kind.WEIGHTS).certainty()).isEqualTo(Certainty.EXACT);
        assertThat(whole.gpuLayers()).isEqualTo(4);
        assertThat(model.parameters())
                .hasValue(ModelShape.named("tinyllama-1.1b").withLayers(3).parameters());

        ModelFootprint two =
                model.footprint(FootprintOptions.builder().gpuLayers(2).build());
        assertThat(two.bytes(Kind.WEIGHTS)).isEqualTo(2 * block);
        assertThat(two.bytes(Kind.HOST_WEIGHTS)).isEqualTo(block + output + embedding);
        assertThat(two.bytes(Kind.KV_CACHE)).isEqualTo(2 * two.bytes(Kind.HOST_KV_CACHE));
        // The output matrix is copied to the device for each batch.
        assertThat(two.bytes(Kind.COMPUTE) - whole.bytes(Kind.COMPUTE)).isEqualTo(embedding);

        ModelFootprint none =
                model.footprint(FootprintOptions.builder().gpuLayers(0).build());
        assertThat(none.bytes(Kind.WEIGHTS)).isZero();
        assertThat(none.bytes(Kind.KV_CACHE)).isZero();

        ModelFootprint host =
                model.footprint(FootprintOptions.builder().onHost(true).build());
        assertThat(host.bytes(Kind.WEIGHTS)).isEqualTo(3 * block + output + embedding);
        assertThat(host.hostTotalBytes()).isZero();
        assertThat(host.bytes(Kind.OVERHEAD)).isZero();
        assertThat(host.layers())
                .hasSize(3)
                .allSatisfy(layer -> assertThat(layer.weightBytes()).isEqualTo(block));
    }

    /** Tied models have the embedding twice: as a table on the host and as the output matrix on the device. */
    @Test
    void aTiedEmbeddingIsInBothPlaces() throws IOException {
        ModelFile model = synthesised("qwen3-0.6b", 1);
        ModelFootprint footprint = model.footprint(DEFAULTS);
        long embedding = 1024L * 151_936 * 2;
        assertThat(footprint.bytes(Kind.HOST_WEIGHTS)).isEqualTo(embedding);
        assertThat(footprint.bytes(Kind.WEIGHTS)).isEqualTo(model.weights().total());
    }

    /** llama-2-13b with all weights on the host, in Q8_0: the row P005 of the published footprints, 248.54 MiB. */
    @Test
    void nothingOnTheDeviceButCopies() throws IOException {
        ModelShape shape = new ModelShape(
                "llama-2-13b",
                "llama",
                1,
                4096,
                5120,
                13_824,
                40,
                40,
                128,
                32_000,
                1e4,
                1e-5,
                ModelShape.Experts.NONE,
                Set.of());
        Path path = folder.resolve("13b.gguf");
        GgufSynthesizer.of(shape, DataType.Q8_0, 1).writeSparse(path);
        FootprintTerm compute =
                term(ModelFile.read(path).footprint(context(512).gpuLayers(0).build()), Kind.COMPUTE);
        long copied = 5120L * 32_000 / 32 * 34;
        assertThat(compute.bytes()).isEqualTo(copied + (40L * 512 + 4 * 5120 + 512) * 512 * 4);
        assertThat(compute.bytes() / (248.54 * (1 << 20))).isBetween(0.9, 2.0);
    }

    // Absurd facts.

    @Test
    void numbersOfAnyWidthAreReadByValue() throws IOException {
        assertThat(kv(HeaderOnlyGguf.small("llama").with("attention.head_count_kv", 2L), context(256)))
                .isEqualTo(4L * 256 * 2 * 128 * 2);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "block_count|0|a number from 1 to 4096 under \"llama.block_count\", found 0",
                "block_count|4097|a number from 1 to 4096 under \"llama.block_count\", found 4097",
                "block_count|1152921504606846976|a number from 1 to 4096 under \"llama.block_count\", found 1152921504606846976",
                "attention.head_count|0|at least one head under \"llama.attention.head_count\", found 0",
                "attention.head_count_kv|0|at least one head under \"llama.attention.head_count_kv\", found 0",
                "attention.head_count_kv|3|a divisor of the 8 heads of layer 0 under \"llama.attention.head_count_kv\", found 3",
                "attention.head_count|10|a divisor of the embedding length 512, as \"attention.key_length\" is absent, under "
                        + "\"llama.attention.head_count\", found 10",
                "embedding_length|0|a number from 1 to 2147483648 under \"llama.embedding_length\", found 0",
                "attention.head_count|1152921504606846976|numbers from 0 to 2147483648 under \"llama.attention.head_count\", "
                        + "found 1152921504606846976",
                "attention.head_count|many|a whole number or an array of 4 of them under \"llama.attention.head_count\", "
                        + "found the text \"many\""
            })
    void absurdFactsAreRefusedByKey(String key, String value, String message) {
        Object content = value.equals("many") ? value : (Object) Long.valueOf(value);
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(
                        () -> HeaderOnlyGguf.small("llama").with(key, content).read(folder))
                .satisfies(e -> assertThat(e.position()).isPresent())
                .withMessageEndingWith("expected " + message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"block_count", "embedding_length", "attention.head_count"})
    void missingFactsAreRefusedByKey(String key) {
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> HeaderOnlyGguf.small("llama").without(key).read(folder))
                .withMessageContaining("under \"llama." + key + "\", found none");
    }

    /** The largest facts that are well-formed: every figure is cut off, none wraps. */
    @Test
    void hugeFactsNeverWrap() throws IOException {
        long huge = ModelFacts.MAX_COUNT;
        HeaderOnlyGguf model = HeaderOnlyGguf.small("falcon-h1")
                .with("block_count", 4096)
                .with("context_length", Long.MAX_VALUE)
                .with("embedding_length", huge)
                .with("feed_forward_length", huge)
                .with("expert_used_count", huge)
                .with("attention.head_count", huge)
                .with("attention.head_count_kv", huge)
                .with("attention.key_length", huge)
                .with("attention.value_length", huge)
                .with("vocab_size", huge)
                .with("ssm.conv_kernel", huge)
                .with("ssm.inner_size", huge)
                .with("ssm.state_size", huge)
                .with("ssm.group_count", huge);
        for (FootprintOptions options : List.of(
                DEFAULTS,
                context(Long.MAX_VALUE)
                        .batch(Long.MAX_VALUE)
                        .ubatch(Long.MAX_VALUE)
                        .sequences(65_536)
                        .marginBytes(Long.MAX_VALUE)
                        .build())) {
            ModelFootprint footprint = plan(model, options);
            assertThat(footprint.totalBytes()).isEqualTo(Long.MAX_VALUE);
            assertThat(footprint.terms())
                    .allSatisfy(term -> assertThat(term.lowBytes()).isNotNegative())
                    .filteredOn(term -> term.bytes() == Long.MAX_VALUE)
                    .as("what was cut off is not called exact")
                    .isNotEmpty()
                    .noneMatch(term -> term.certainty() == FootprintTerm.Certainty.EXACT);
        }
    }

    @Test
    void saturatedArithmetic() {
        assertThat(Saturated.times(1L << 31, 1L << 31)).isEqualTo(1L << 62);
        assertThat(Saturated.times(1L << 32, 1L << 31)).isEqualTo(Long.MAX_VALUE);
        assertThat(Saturated.times(1L << 32, 1L << 32, 3)).isEqualTo(Long.MAX_VALUE);
        assertThat(Saturated.times(Long.MAX_VALUE, Long.MAX_VALUE, 0)).isZero();
        assertThat(Saturated.times(Long.MAX_VALUE, 1)).isEqualTo(Long.MAX_VALUE);
        assertThat(Saturated.plus(Long.MAX_VALUE, 1, Long.MAX_VALUE)).isEqualTo(Long.MAX_VALUE);
        assertThat(Saturated.plus(1, 2, 3)).isEqualTo(6);
        assertThat(Saturated.roundUp(1, 256)).isEqualTo(256);
        assertThat(Saturated.roundUp(Long.MAX_VALUE, 256)).isEqualTo(Long.MAX_VALUE - 255);
    }

    @Test
    void manyLayersThatAreAlikeShareTheirFacts() throws IOException {
        ModelFile model =
                HeaderOnlyGguf.small("llama").with("block_count", 4096).read(folder);
        assertThat(model.facts().layers().getFirst())
                .isSameAs(model.facts().layers().getLast());
    }
}
