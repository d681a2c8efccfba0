package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/**
 * Writes the inputs the fuzz tests start from: {@code FuzzCorpus <folder of test resources>}. They are small valid files,
 * and the hostile ones of the other tests.
 */
final class FuzzCorpus {

    private static final int MOST_BYTES = 4096;

    private FuzzCorpus() {}

    public static void main(String[] args) throws IOException {
        Path folder = Path.of(args[0], "dev", "headroom", "memory", "model");
        hostile(folder.resolve("GgufFuzzTestInputs/isReadOrRefused"), HostileGgufTest.hostile());
        hostile(folder.resolve("SafetensorsFuzzTestInputs/isReadOrRefused"), HostileSafetensorsTest.hostile());
        for (String architecture : List.of("llama", "gemma3", "mamba2", "deepseek2", "bert", "falcon-h1")) {
            RawGguf raw = HeaderOnlyGguf.small(architecture)
                    .with("attention.sliding_window", 512)
                    .with("attention.sliding_window_pattern", List.of(1, 0, 1, 0))
                    .with("attention.kv_lora_rank", architecture.equals("deepseek2") ? 512 : 0)
                    .with("attention.key_length", 64)
                    .with("attention.value_length", 64)
                    .with("rope.dimension_count", 64)
                    .with("ssm.conv_kernel", 4)
                    .with("ssm.inner_size", 128)
                    .with("ssm.state_size", 16)
                    .with("expert_used_count", 2)
                    .raw();
            write(folder.resolve("GgufFuzzTestInputs/isReadOrRefused"), "valid-" + architecture, raw.bytes());
        }
        write(folder.resolve("GgufFuzzTestInputs/isReadOrRefused"), "valid-tensors", HostileGgufTest.validFile());
        String entry = RawSafetensors.entry("a", "F32", "[2,3]", 0, 24);
        write(
                folder.resolve("SafetensorsFuzzTestInputs/isReadOrRefused"),
                "valid",
                RawSafetensors.bytes("{\"__metadata__\":{\"format\":\"pt\"}," + entry + "}", 24));
        texts(
                folder.resolve("IndexFuzzTestInputs/isReadOrRefused"),
                "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"x-1.safetensors\",\"b\":\"x-2.safetensors\"}}",
                "{\"metadata\":{},\"weight_map\":{\"a\":\"x.bin\"}}",
                "{\"weight_map\":{\"a\":\"../x.safetensors\"}}",
                "{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"x.safetensors\"}}",
                "{\"metadata\":{\"total_size\":1e400},\"weight_map\":{}}",
                "{\"weight_map\":{}}{\"weight_map\":{}}");
        String decoder = "{\"model_type\":\"%s\",\"architectures\":[\"LlamaForCausalLM\"],\"num_hidden_layers\":4,"
                + "\"hidden_size\":512,\"num_attention_heads\":8,\"num_key_value_heads\":2,\"intermediate_size\":2048,"
                + "\"vocab_size\":1000,\"torch_dtype\":\"bfloat16\",\"max_position_embeddings\":8192%s}";
        texts(
                folder.resolve("ConfigFuzzTestInputs/isReadOrRefused"),
                decoder.formatted("llama", ""),
                decoder.formatted("qwen3", ",\"head_dim\":128,\"tie_word_embeddings\":true"),
                decoder.formatted("gemma2", ",\"sliding_window\":512"),
                decoder.formatted("mixtral", ",\"num_local_experts\":8,\"num_experts_per_tok\":2"),
                decoder.formatted(
                        "qwen3_next",
                        ",\"linear_conv_kernel_dim\":4,\"linear_key_head_dim\":64,\"linear_num_key_heads\":2,"
                                + "\"linear_num_value_heads\":4,\"linear_value_head_dim\":32"),
                decoder.formatted(
                        "deepseek_v3",
                        ",\"kv_lora_rank\":512,\"qk_rope_head_dim\":64,\"qk_nope_head_dim\":128,\"v_head_dim\":128"),
                decoder.formatted(
                        "x",
                        ",\"layer_types\":[\"full_attention\",\"sliding_attention\",\"mamba\",\"conv\"],"
                                + "\"quantization_config\":{\"bits\":4,\"quant_method\":\"gptq\"}"),
                "{\"text_config\":" + decoder.formatted("gemma3_text", "") + ",\"model_type\":\"gemma3\"}",
                "{\"model_type\":\"mamba\",\"num_hidden_layers\":2,\"hidden_size\":256,\"state_size\":16,\"conv_kernel\":0}");
    }

    private static void hostile(Path folder, Stream<Arguments> cases) throws IOException {
        for (Arguments arguments : cases.toList()) {
            Object content = arguments.get()[1];
            byte[] bytes = content instanceof RawGguf raw ? raw.bytes() : (byte[]) content;
            if (bytes.length <= MOST_BYTES) {
                write(folder, "hostile-" + arguments.get()[0], bytes);
            }
        }
    }

    private static void texts(Path folder, String... texts) throws IOException {
        for (int i = 0; i < texts.length; i++) {
            write(folder, "text-" + i, texts[i].getBytes(StandardCharsets.UTF_8));
        }
    }

    private static void write(Path folder, String name, byte[] bytes) throws IOException {
        Files.createDirectories(folder);
        Files.write(folder.resolve(name.replaceAll("[^A-Za-z0-9]+", "-")), bytes);
    }
}
