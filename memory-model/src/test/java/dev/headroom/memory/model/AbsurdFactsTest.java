package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.DataType;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Facts that are well-formed and absurd, every key with every value: there is a complaint that names a key, or a plan whose
 * figures are not negative, for little more heap than the header has bytes.
 */
class AbsurdFactsTest {

    /** What reading a file takes at least: buffers, and a rule for each of up to 4096 layers. */
    private static final long BUFFERS = 256 << 10;

    private static final List<Long> NUMBERS =
            List.of(0L, 1L, 3L, 7L, 4096L, (1L << 31) - 1, 1L << 31, (1L << 31) + 1, 1L << 60, Long.MAX_VALUE, -1L);

    private static final List<String> KEYS = List.of(
            "block_count",
            "context_length",
            "embedding_length",
            "feed_forward_length",
            "vocab_size",
            "expert_count",
            "expert_used_count",
            "expert_feed_forward_length",
            "nextn_predict_layers",
            "full_attention_interval",
            "attention.head_count",
            "attention.head_count_kv",
            "attention.key_length",
            "attention.value_length",
            "attention.key_length_swa",
            "attention.value_length_swa",
            "attention.key_length_mla",
            "attention.value_length_mla",
            "attention.kv_lora_rank",
            "attention.sliding_window",
            "attention.sliding_window_pattern",
            "attention.shared_kv_layers",
            "attention.recurrent_layers",
            "rope.dimension_count",
            "ssm.conv_kernel",
            "ssm.inner_size",
            "ssm.state_size",
            "ssm.group_count",
            "shortconv.l_cache",
            "kda.head_dim",
            "wkv.head_size",
            "token_shift_count");

    /** The usual, and the most that may be asked for. */
    private static final List<FootprintOptions> OPTIONS = List.of(
            FootprintOptions.defaults(),
            FootprintOptions.builder()
                    .contextLength(1L << 60)
                    .batch(Long.MAX_VALUE)
                    .ubatch(Long.MAX_VALUE)
                    .sequences(65_536)
                    .stateCopies(1024)
                    .marginBytes(Long.MAX_VALUE)
                    .build(),
            FootprintOptions.builder()
                    .contextLength(Long.MAX_VALUE)
                    .sequences(65_536)
                    .unifiedCache(true)
                    .gpuLayers(1)
                    .kvTypes(DataType.F32, DataType.F32)
                    .build());

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TempDir
    Path folder;

    private void withinBudget(long taken, long headerBytes, String what) {
        if (taken > 8 * headerBytes + BUFFERS) {
            throw new AssertionError(what + " took " + taken + " bytes of heap for a header of " + headerBytes);
        }
    }

    private static HeaderOnlyGguf model(String architecture) {
        return HeaderOnlyGguf.small(architecture)
                .with("attention.sliding_window", 512)
                .with("attention.kv_lora_rank", architecture.equals("deepseek2") ? 512 : 0)
                .with("attention.key_length", 64)
                .with("attention.value_length", 64)
                .with("rope.dimension_count", 64)
                .with("ssm.conv_kernel", 4)
                .with("ssm.inner_size", 128)
                .with("ssm.state_size", 16)
                .with("expert_used_count", 2);
    }

    /** Reads and plans, and says how much heap that took. */
    private long check(Path path, String what, String named) throws IOException {
        long before = threads.getCurrentThreadAllocatedBytes();
        try {
            ModelFile file = ModelFile.read(path);
            long taken = threads.getCurrentThreadAllocatedBytes() - before;
            for (FootprintOptions options : OPTIONS) {
                before = threads.getCurrentThreadAllocatedBytes();
                ModelFootprint footprint = file.footprint(options);
                taken = Math.max(taken, threads.getCurrentThreadAllocatedBytes() - before);
                boolean sane = footprint.totalBytes() >= 0 && footprint.hostTotalBytes() >= 0;
                for (FootprintTerm term : footprint.terms()) {
                    sane &= term.lowBytes() >= 0 && term.lowBytes() <= term.bytes() && term.bytes() <= term.highBytes();
                }
                if (!sane) { // an assertion for each of many thousands would take most of the time
                    throw new AssertionError(what + ": " + footprint.terms());
                }
            }
            return taken;
        } catch (ModelFileException e) {
            long taken = threads.getCurrentThreadAllocatedBytes() - before;
            if (!e.getMessage().contains(named)) {
                throw new AssertionError(what + ": " + e.getMessage());
            }
            return taken;
        }
    }

    @ParameterizedTest
    @ValueSource(strings = "llama")
    void everyKeyOfAHeader(String architecture) throws IOException {
        everyKey(architecture);
    }

    @ParameterizedTest
    @Tag("long")
    @ValueSource(
            strings = {
                "gemma3",
                "gemma3n",
                "deepseek2",
                "falcon-h1",
                "bert",
                "mamba",
                "lfm2",
                "kimi-linear",
                "qwen35",
                "rwkv7",
                "neverheardof"
            })
    void everyKeyOfOtherHeaders(String architecture) throws IOException {
        everyKey(architecture);
    }

    private void everyKey(String architecture) throws IOException {
        check(model(architecture).raw().write(folder, "warm.gguf"), "a first time", "");
        long most = 0;
        for (String key : KEYS) {
            for (long number : NUMBERS) {
                RawGguf raw = model(architecture).with(key, number).raw();
                String what = architecture + "." + key + " " + number;
                long taken = check(raw.write(folder, "x.gguf"), what, '"' + architecture + '.');
                withinBudget(taken, raw.size(), what);
                most = Math.max(most, taken);
            }
            for (List<Integer> list : List.of(
                    List.<Integer>of(),
                    List.of(0),
                    List.of(1, 2, 3),
                    List.of(0, 0, 0, 0),
                    List.of(8, -1, 0, 1 << 30))) {
                check(
                        model(architecture).with(key, list).raw().write(folder, "x.gguf"),
                        architecture + "." + key + " " + list,
                        '"' + architecture + '.');
            }
        }
        System.out.println(architecture + ": at most " + most + " bytes of heap");
    }

    @ParameterizedTest
    @Tag("long")
    @ValueSource(
            strings = {"llama", "gemma3_text", "deepseek_v3", "falcon_h1", "qwen3_next", "mixtral", "mamba", "bert", "x"
            })
    void everyKeyOfAConfiguration(String type) throws IOException {
        String rest = "\"model_type\":\"" + type + "\",\"num_hidden_layers\":4,\"hidden_size\":512,"
                + "\"num_attention_heads\":8,\"num_key_value_heads\":2,\"intermediate_size\":2048,\"vocab_size\":1000,"
                + "\"torch_dtype\":\"bfloat16\",\"sliding_window\":512,\"kv_lora_rank\":512,\"qk_rope_head_dim\":64,"
                + "\"qk_nope_head_dim\":128,\"v_head_dim\":128,\"linear_conv_kernel_dim\":4,\"linear_key_head_dim\":64,"
                + "\"linear_num_key_heads\":2,\"linear_num_value_heads\":4,\"linear_value_head_dim\":32,"
                + "\"num_local_experts\":8,\"num_experts_per_tok\":2";
        check(Files.writeString(folder.resolve("warm.json"), "{" + rest + "}"), "a first time", "");
        List<String> values = List.of(
                "0",
                "1",
                "3",
                "4096",
                "2147483647",
                "2147483648",
                "2147483649",
                "1152921504606846976",
                "9223372036854775807",
                "9223372036854775808",
                "-1",
                "1" + "0".repeat(40),
                "1e400",
                "0.5",
                "\"many\"",
                "\"\"",
                "true",
                "null",
                "[]",
                "[1,2,3]",
                "[\"full_attention\",\"sliding_attention\",\"mamba\",\"\"]",
                "{}");
        for (String key : ConfigKeys.ALL) {
            String name = key.substring(key.indexOf('.') + 1);
            String part = key.contains(".")
                    ? key.substring(0, key.indexOf('.')).replace("quantization", "quantization_config")
                    : "";
            for (String value : values) {
                String own = '"' + name + "\":" + value;
                String changed = rest.replaceAll("\"" + name + "\":(\"[^\"]*\"|[0-9]+),?", "");
                String json = "{" + (part.isEmpty() ? own : '"' + part + "\":{" + own + "}") + "," + changed;
                json = json.endsWith(",") ? json.substring(0, json.length() - 1) : json;
                String what = key + " " + value + " of " + type;
                Path path = Files.writeString(folder.resolve("x.json"), json + "}");
                long taken = check(path, what, "under \"");
                withinBudget(taken, Files.size(path), what);
            }
        }
    }

    /** A context of 2^60 is a number like another, as far as it fits into one. */
    @Test
    void aContextOfTwoToThe60() throws IOException {
        ModelFile model = HeaderOnlyGguf.small("llama")
                .with("attention.head_count", 1)
                .with("attention.head_count_kv", 1)
                .with("embedding_length", 1)
                .with("block_count", 1)
                .read(folder);
        long context = 1L << 60;
        assertThat(model.footprint(FootprintOptions.builder()
                                .contextLength(context)
                                .build())
                        .bytes(FootprintTerm.Kind.KV_CACHE))
                .as("a key and a value of one number each")
                .isEqualTo(4 * context);
        assertThat(model.footprint(FootprintOptions.builder()
                                .contextLength(2 * context)
                                .build())
                        .bytes(FootprintTerm.Kind.KV_CACHE))
                .isEqualTo(Long.MAX_VALUE);
    }
}
