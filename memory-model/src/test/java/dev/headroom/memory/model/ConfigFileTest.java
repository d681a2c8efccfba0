package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.fail;

import dev.headroom.memory.model.FootprintTerm.Certainty;
import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Configurations: what is read from them, and what is refused. */
@Timeout(20)
class ConfigFileTest {

    private static final String SMALL = "\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],"
            + "\"num_hidden_layers\":4,\"hidden_size\":512,\"num_attention_heads\":8,\"num_key_value_heads\":2,"
            + "\"intermediate_size\":2048,\"vocab_size\":1000,\"torch_dtype\":\"bfloat16\"";

    @TempDir
    Path folder;

    private ModelFile read(String json) throws IOException {
        return ModelFile.read(Files.writeString(folder.resolve("some.json"), json));
    }

    private long kv(String more, long context) throws IOException {
        return read("{" + SMALL + more + "}")
                .footprint(FootprintOptions.builder().contextLength(context).build())
                .bytes(Kind.KV_CACHE);
    }

    private static ModelFootprint plan(ModelFile model) {
        return model.footprint(FootprintOptions.defaults());
    }

    @Test
    void aSmallDecoder() throws IOException {
        ModelFile model = read("{" + SMALL + ",\"rope_theta\":1e400,\"eps\":1e-06}");
        assertThat(model.format()).isEqualTo(ModelFile.Format.CONFIG);
        assertThat(model.architecture()).isEqualTo("llama");
        long block = 2L * 512 * 512 + 2 * 512 * 128 + 3 * 512 * 2048 + 2 * 512;
        long parameters = 4 * block + 2 * 1000 * 512 + 512;
        assertThat(model.parameters()).hasValue(parameters);
        ModelFootprint footprint = plan(model);
        assertThat(footprint.bytes(Kind.WEIGHTS)).isEqualTo(2 * parameters);
        assertThat(footprint.bytes(Kind.HOST_WEIGHTS)).isZero();
        assertThat(footprint.terms().getFirst().certainty()).isEqualTo(Certainty.EXACT);
        assertThat(footprint.bytes(Kind.KV_CACHE)).isEqualTo(4L * 4096 * 2 * 128 * 2);
    }

    @Test
    void theTextPartCounts() throws IOException {
        ModelFile model = read("{\"model_type\":\"gemma3\",\"hidden_size\":7,\"vision_config\":{\"hidden_size\":9},"
                + "\"text_config\":{" + SMALL.replace("llama", "gemma3_text") + "}}");
        assertThat(model.architecture()).isEqualTo("gemma3");
        assertThat(plan(model).bytes(Kind.KV_CACHE)).isEqualTo(4L * 4096 * 2 * 128 * 2);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                // 4 layers of 8192 cells unless something is said.
                "|32768",
                "\"sliding_window\":512|32768",
                "\"sliding_window\":null|32768",
                "\"sliding_window\":512,\"use_sliding_window\":false|32768",
                "\"sliding_window\":512,\"use_sliding_window\":true,\"max_window_layers\":1|11264",
                "\"sliding_window\":512,\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\","
                        + "\"chunked_attention\"]|11264",
                "\"layer_types\":[\"linear_attention\",\"full_attention\",\"mamba\",\"conv\"]|8192",
                "\"num_kv_shared_layers\":3|8192",
                "\"hybrid_override_pattern\":\"M-*M\"|8192",
                "\"attn_layer_indices\":[1,3]|16384",
                "\"attn_layer_period\":2,\"attn_layer_offset\":1|16384"
            })
    void layersAreCountedAsTheConfigurationSays(String more, long cells) throws IOException {
        assertThat(kv(more == null ? "" : "," + more, 8192)).isEqualTo(cells * 2 * 128 * 2);
    }

    @Test
    void windowsByArchitecture() throws IOException {
        String gemma2 = "{" + SMALL.replace("llama", "gemma2") + ",\"sliding_window\":512}";
        assertThat(read(gemma2)
                        .footprint(
                                FootprintOptions.builder().contextLength(8192).build())
                        .bytes(Kind.KV_CACHE))
                .isEqualTo((2L * 1024 + 2 * 8192) * 2 * 128 * 2);
    }

    @Test
    void statesOfHybrids() throws IOException {
        String linear = "{" + SMALL.replace("llama", "qwen3_next")
                + ",\"linear_conv_kernel_dim\":4,\"linear_key_head_dim\":64,\"linear_num_key_heads\":2,"
                + "\"linear_num_value_heads\":4,\"linear_value_head_dim\":32}";
        assertThat(plan(read(linear)).bytes(Kind.STATE)).isEqualTo(3L * (3 * (4 * 32 + 2 * 2 * 64) + 64 * 4 * 32) * 4);
        String mamba = "{\"model_type\":\"mamba\",\"num_hidden_layers\":2,\"hidden_size\":256,\"vocab_size\":10,"
                + "\"state_size\":16,\"conv_kernel\":4,\"expand\":2}";
        assertThat(plan(read(mamba)).bytes(Kind.STATE)).isEqualTo(2L * (3 * 512 + 16 * 512) * 4);
        assertThat(plan(read(mamba)).bytes(Kind.KV_CACHE)).isZero();
        String mamba2 =
                mamba.replace("mamba", "mamba2").replace("}", ",\"n_groups\":2,\"num_heads\":8,\"head_dim\":32}");
        assertThat(plan(read(mamba2)).bytes(Kind.STATE)).isEqualTo(2L * (3 * (256 + 2 * 2 * 16) + 16 * 256) * 4);
    }

    @Test
    void quantisedConfigurationsAreGuesses() throws IOException {
        ModelFootprint footprint =
                plan(read("{" + SMALL + ",\"quantization_config\":{\"bits\":4,\"quant_method\":\"gptq\"}}"));
        FootprintTerm weights = footprint.terms().getFirst();
        assertThat(weights.certainty()).isEqualTo(Certainty.GUESSED);
        assertThat(weights.reason()).endsWith("quantised by gptq to about 4 bits");
    }

    static Stream<Arguments> refused() {
        return Stream.of(
                Arguments.of(
                        "{}",
                        "expected a text under \"model_type\", found none\n"
                                + "this is not the configuration of a model"),
                Arguments.of(
                        "{\"model_type\":\"llama\"}",
                        "expected a number under \"num_hidden_layers\" or its other names, " + "found none"),
                Arguments.of(
                        "{" + SMALL.replace("layers\":4", "layers\":0") + "}",
                        "at byte 79: expected a whole number from " + "1 to 4096 under \"num_hidden_layers\", found 0"),
                Arguments.of(
                        "{" + SMALL.replace("layers\":4", "layers\":4e3") + "}",
                        "expected a number under " + "\"num_hidden_layers\" or its other names, found none"),
                Arguments.of(
                        "{" + SMALL.replace("hidden_size\":512", "hidden_size\":\"x\"") + "}",
                        "expected a whole number from 1 to 2147483648 under \"hidden_size\", found \"x\""),
                Arguments.of(
                        "{" + SMALL.replace("heads\":8", "heads\":0") + "}",
                        "expected a whole number from 1 to 2147483648 under \"num_attention_heads\", found 0"),
                Arguments.of(
                        "{" + SMALL.replace("heads\":8", "heads\":-8") + "}",
                        "expected a whole number from 1 to 2147483648 under \"num_attention_heads\", found -8"),
                Arguments.of(
                        "{" + SMALL.replace("heads\":8", "heads\":" + "9".repeat(30)) + "}",
                        "under \"num_attention_heads\", found \"" + "9".repeat(30) + "\""),
                Arguments.of(
                        "{" + SMALL.replace("heads\":8", "heads\":10") + "}",
                        "expected a divisor of the hidden size 512, as \"head_dim\" is absent, under "
                                + "\"num_attention_heads\", found 10"),
                Arguments.of(
                        "{" + SMALL.replace("key_value_heads\":2", "key_value_heads\":3") + "}",
                        "expected a divisor of the 8 heads under \"num_key_value_heads\", found 3"),
                Arguments.of(
                        "{" + SMALL + ",\"layer_types\":[\"full_attention\"]}",
                        "expected an array of 4 texts, one for each layer, under \"layer_types\", found an array of 1"),
                Arguments.of(
                        "{" + SMALL + ",\"hidden_size\":512}",
                        "expected unique keys, found \"hidden_size\" a second time"),
                Arguments.of("{" + SMALL + "}{}", "expected the end of the JSON text, found an object behind it"),
                Arguments.of(
                        "[]",
                        "at byte 0: expected a GGUF file, a safetensors file or a configuration, found \"[]\"\n"
                                + "this is not a model file"),
                Arguments.of("{" + SMALL + ",\"x\":" + "[".repeat(100_000), null),
                Arguments.of("{" + SMALL + ",\"x\":" + "9".repeat(1 << 20) + "}", null),
                Arguments.of("{" + SMALL + ",\"text_config\":{\"text_config\":{\"text_config\":{", null));
    }

    @ParameterizedTest
    @MethodSource("refused")
    void badConfigurationsAreRefused(String json, String message) {
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> read(json))
                .withMessageEndingWith(message == null ? "" : message);
    }

    @Test
    void everyTruncationIsRefused() throws IOException {
        String json = "{" + SMALL + ",\"text_config\":{\"layer_types\":[\"a\",\"b\"]}}";
        for (int length = 0; length < json.length(); length++) {
            String cut = json.substring(0, length);
            assertThatExceptionOfType(ModelFileException.class)
                    .as(cut)
                    .isThrownBy(() -> read(cut))
                    .satisfies(e -> assertThat(e.position().orElseThrow()).isBetween(0L, (long) cut.length()));
        }
    }

    @Test
    void flippedBytesNeverDoMoreThanRefuse() throws IOException {
        byte[] json = ("{" + SMALL + ",\"sliding_window\":512,\"layer_types\":[\"a\",\"b\",\"c\",\"d\"]}").getBytes();
        SplittableRandom random = new SplittableRandom(20_251_122);
        int refused = 0;
        for (int round = 0; round < 3_000; round++) {
            byte[] flipped = json.clone();
            for (int flips = random.nextInt(1, 4); flips > 0; flips--) {
                flipped[random.nextInt(flipped.length)] = (byte) random.nextInt();
            }
            Path path = Files.write(folder.resolve("flip.json"), flipped);
            try {
                assertThat(plan(ModelFile.read(path)).totalBytes()).isPositive();
            } catch (ModelFileException _) {
                refused++;
            } catch (RuntimeException | Error e) {
                fail("round " + round + ": " + HexFormat.of().formatHex(flipped), e);
            }
        }
        assertThat(refused).isGreaterThan(1_000);
    }

    // Files beside each other.

    @Test
    void aFolderIsReadAsAWhole() throws IOException {
        Files.writeString(folder.resolve("config.json"), "{" + SMALL + "}");
        Path index = folder.resolve("model.safetensors.index.json");
        Files.writeString(index, "{\"metadata\":{\"total_size\":1000003},\"weight_map\":{\"a\":\"x.safetensors\"}}");
        for (Path named : new Path[] {folder, folder.resolve("config.json"), index}) {
            ModelFile model = ModelFile.read(named);
            assertThat(model.format()).isEqualTo(ModelFile.Format.CONFIG);
            assertThat(plan(model).bytes(Kind.WEIGHTS)).isEqualTo(1_000_003);
            assertThat(plan(model).terms().getFirst().reason()).isEqualTo("total_size of model.safetensors.index.json");
        }
        // With the file there, its tensors count, whatever the index says.
        RawSafetensors.write(
                folder.resolve("x.safetensors"), "{" + RawSafetensors.entry("a", "F32", "[2]", 0, 8) + "}", 8);
        for (Path named : new Path[] {folder, folder.resolve("x.safetensors")}) {
            ModelFile model = ModelFile.read(named);
            assertThat(model.format()).isEqualTo(ModelFile.Format.SAFETENSORS);
            assertThat(plan(model).bytes(Kind.WEIGHTS)).isEqualTo(8);
            assertThat(model.parameters()).hasValue(2);
        }
    }

    @Test
    void aFileWithoutItsConfigurationIsRefused() throws IOException {
        Path file = RawSafetensors.write(
                folder.resolve("x.safetensors"), "{" + RawSafetensors.entry("a", "F32", "[2]", 0, 8) + "}", 8);
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> ModelFile.read(file))
                .withMessageEndingWith(
                        "expected a config.json beside it, found none\nsafetensors files do not say what "
                                + "they are a model of; put its config.json into the folder");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> ModelFile.read(folder))
                .withMessageEndingWith("expected a folder with a config.json, found none\n"
                        + "name the model file itself, or a folder of Hugging Face");
    }
}
