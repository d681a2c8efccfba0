package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.model.placement.DeviceShare;
import dev.headroom.memory.model.placement.LayerPlace;
import dev.headroom.memory.model.placement.Placement;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementKind;
import dev.headroom.memory.model.placement.PlacementMachine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Experts are found by the names Hugging Face gives them, and go to the host before anything else. */
class SafetensorsExpertsTest {

    private static final long MIB = 1L << 20;
    private static final int LAYERS = 4;
    private static final int HIDDEN = 64;
    private static final int VOCABULARY = 1000;

    @TempDir
    Path folder;

    private final List<String> entries = new ArrayList<>();
    private int bytes;

    @BeforeEach
    void configure() throws IOException {
        Files.writeString(
                folder.resolve("config.json"),
                "{\"model_type\":\"mixtral\",\"architectures\":[\"MixtralForCausalLM\"],\"num_hidden_layers\":" + LAYERS
                        + ",\"hidden_size\":" + HIDDEN + ",\"intermediate_size\":128,\"num_attention_heads\":4,"
                        + "\"num_local_experts\":8,\"vocab_size\":" + VOCABULARY
                        + ",\"max_position_embeddings\":512,\"torch_dtype\":\"bfloat16\"}");
    }

    private void tensor(String name, int values) {
        entries.add(RawSafetensors.entry(name, "BF16", "[" + values + "]", bytes, bytes + 2L * values));
        bytes += 2 * values;
    }

    private ModelFile read() throws IOException {
        Path path = folder.resolve("model.safetensors");
        Path ignored = RawSafetensors.write(path, "{" + String.join(",", entries) + "}", bytes);
        return ModelFile.read(folder);
    }

    /** An attention matrix of 8 KiB, a router, and a shared expert; then 64 KiB of experts as the model names them. */
    private ModelFile model(String... experts) throws IOException {
        tensor("model.embed_tokens.weight", VOCABULARY * HIDDEN);
        for (int i = 0; i < LAYERS; i++) {
            String layer = "model.layers." + i + ".";
            tensor(layer + "self_attn.q_proj.weight", HIDDEN * HIDDEN);
            tensor(layer + "mlp.gate.weight", 512);
            tensor(layer + "mlp.shared_experts.up_proj.weight", 512);
            for (String expert : experts) {
                tensor(layer + expert, 32768 / experts.length);
            }
        }
        tensor("model.norm.weight", HIDDEN);
        tensor("lm_head.weight", VOCABULARY * HIDDEN);
        return read();
    }

    private static final String[] MIXTRAL = {
        "block_sparse_moe.experts.0.w1.weight", "block_sparse_moe.experts.7.w2.weight"
    };

    @ParameterizedTest
    @ValueSource(
            strings = {
                "block_sparse_moe.experts.0.w1.weight,block_sparse_moe.experts.7.w2.weight",
                "mlp.experts.0.gate_proj.weight,mlp.experts.1.down_proj.weight",
                "mlp.experts.gate_up_proj,mlp.experts.down_proj",
                "mlp.experts.gate_up_proj_blocks,mlp.experts.gate_up_proj_scales",
                "feed_forward.experts.gate_up_proj,feed_forward.experts.down_proj",
                "block_sparse_moe.input_linear.weight,block_sparse_moe.output_linear.weight",
                "ffn.experts.mlp.w1,ffn.experts.mlp.w2"
            })
    void expertsOfEveryNaming(String names) throws IOException {
        WeightFacts weights = model(names.split(",", -1)).weights();
        assertThat(weights.experts()).containsOnly(65536).hasSize(LAYERS);
        assertThat(weights.layers()).containsOnly(65536 + 8192 + 2048).hasSize(LAYERS);
        assertThat(weights.embedding()).isEqualTo(2L * VOCABULARY * HIDDEN);
        assertThat(weights.output()).isEqualTo(2L * VOCABULARY * HIDDEN + 2L * HIDDEN);
        assertThat(weights.total()).isEqualTo(bytes);
    }

    @ParameterizedTest
    @CsvSource({
        "model.layers.3.mlp.experts.11.up_proj.weight, EXPERTS, 3",
        "model.language_model.layers.3.mlp.experts.gate_up_proj, EXPERTS, 3",
        "model.layers.3.mlp.shared_experts.up_proj.weight, LAYER, 3",
        "model.layers.3.mlp.shared_expert.up_proj.weight, LAYER, 3",
        "language_model.model.layers.3.feed_forward.shared_expert.up_proj.weight, LAYER, 3",
        "model.layers.3.mlp.shared_expert_gate.weight, LAYER, 3",
        "model.layers.3.block_sparse_moe.gate.weight, LAYER, 3",
        "model.layers.3.shared_mlp.input_linear.weight, LAYER, 3",
        "model.layers.3.mlp.gate.e_score_correction_bias, LAYER, 3",
        "model.layers.3.mlp.router.weight, LAYER, 3",
        "transformer.h.12.attn.c_attn.weight, LAYER, 12",
        "transformer.blocks.0.ffn.experts.mlp.w1, EXPERTS, 0",
        "gpt_neox.layers.1.attention.dense.bias, LAYER, 1",
        "bert.encoder.layer.5.output.dense.weight, LAYER, 5",
        "h.0.ln_1.weight, LAYER, 0",
        "model.embed_tokens.weight, EMBEDDING, -1",
        "transformer.wte.weight, EMBEDDING, -1",
        "model.norm.weight, OUTPUT, -1",
        "lm_head.weight, OUTPUT, -1",
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight, OUTPUT, -1",
        "model.visual.blocks.0.mlp.fc1.weight, OUTPUT, -1",
        "model.layers.123456.x, OUTPUT, -1"
    })
    void rolesGoByTheName(String name, String part, int layer) {
        TensorRole role = SafetensorsWeights.roleOf(name);
        assertThat(role.part()).isEqualTo(TensorRole.Part.valueOf(part));
        assertThat(role.layer().orElse(-1)).isEqualTo(layer);
    }

    /** Names from a stranger cost no more than their length. */
    @Test
    void namesWithoutEndAreNothing() {
        String long1 = "a.".repeat(100_000) + "layers.3.x";
        assertThat(SafetensorsWeights.roleOf(long1).part()).isEqualTo(TensorRole.Part.OUTPUT);
        assertThat(SafetensorsWeights.roleOf("model.layers.1." + "mlp.".repeat(50) + "!")
                        .part())
                .isEqualTo(TensorRole.Part.LAYER);
    }

    @Test
    void theirExpertsGoToTheHostBeforeLayersDo() throws IOException {
        ModelFile file = model(MIXTRAL);
        FootprintOptions options = FootprintOptions.defaults();
        long whole = file.footprint(options).totalBytes();
        Placement tight = FootprintPlacement.plan(
                file,
                options,
                PlacementMachine.of(PlacementDevice.of("cpu:0", 4096 * MIB), PlacementDevice.of("cuda:0", whole - 1)));
        assertThat(tight.kind()).as(tight.explain()).isEqualTo(PlacementKind.EXPERTS_ON_HOST);
        assertThat(tight.layers()).extracting(LayerPlace::deviceId).containsOnly("cuda:0");
        DeviceShare host = tight.shares().getLast();
        assertThat(host.deviceId()).isEqualTo("cpu:0");
        assertThat(host.expertBytes()).isPositive().isEqualTo(65536 * experts(tight));
        assertThat(host.weightBytes()).as("shared experts stay").isZero();
    }

    private static long experts(Placement placement) {
        return placement.layers().stream()
                .filter(place -> place.expertDeviceId().equals("cpu:0"))
                .count();
    }

    /** With names nobody knows the sum is right all the same, and spread evenly. */
    @Test
    void unknownNamesAreSpreadEvenly() throws IOException {
        tensor("a.weight", 100_000);
        tensor("b.weight", 300_000);
        WeightFacts weights = read().weights();
        assertThat(weights.total()).isEqualTo(800_000);
        assertThat(weights.experts()).containsOnly(0);
    }
}
