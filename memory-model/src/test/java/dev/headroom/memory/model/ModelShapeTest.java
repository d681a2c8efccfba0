package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelShapeTest {

    /** Tensors as llama.cpp prints them when it loads the published files, parameters as their model cards say. */
    @ParameterizedTest
    @CsvSource({
        "tinyllama-1.1b,201,1100048384",
        "llama-2-7b,291,6738415616",
        "llama-3.1-8b,292,8030261248",
        "llama-3.2-1b,147,1235814400",
        "llama-3.2-3b,255,3212749824",
        "mistral-7b,291,7241732096",
        "mixtral-8x7b,323,46702792704",
        "qwen3-0.6b,310,596049920",
        "qwen3-1.7b,310,1720574976",
        "qwen3-4b,398,4022468096",
        "qwen3-8b,399,8190735360",
        "qwen3-30b-a3b,579,30532122624",
        "qwen2.5-0.5b,290,494032768",
        "gemma-2b,164,2506172416"
    })
    void hasTheTensorsAndParametersOfThePublishedModel(String name, int tensors, long parameters) {
        ModelShape shape = ModelShape.named(name);
        assertThat(shape.tensors()).hasSize(tensors);
        assertThat(shape.parameters()).isEqualTo(parameters);
        assertThat(shape.tensors()).extracting(ModelShape.Tensor::name).doesNotHaveDuplicates();
    }

    @Test
    void allKnownShapesAreTestedAbove() {
        assertThat(ModelShape.known()).hasSize(14);
    }

    @Test
    void layersCanBeChosen() {
        ModelShape one = ModelShape.named("mistral-7b").withLayers(1);
        assertThat(one.tensors())
                .extracting(ModelShape.Tensor::name)
                .containsExactly(
                        "token_embd.weight",
                        "blk.0.attn_norm.weight",
                        "blk.0.attn_q.weight",
                        "blk.0.attn_k.weight",
                        "blk.0.attn_v.weight",
                        "blk.0.attn_output.weight",
                        "blk.0.ffn_norm.weight",
                        "blk.0.ffn_gate.weight",
                        "blk.0.ffn_up.weight",
                        "blk.0.ffn_down.weight",
                        "output_norm.weight",
                        "output.weight");
        assertThat(one.tensors().get(3).dims()).containsExactly(4096L, 1024L);
        assertThat(one.tensors().get(9).dims()).containsExactly(14336L, 4096L);
        assertThat(ModelShape.named("qwen3-0.6b").tensors().get(2).dims()).containsExactly(1024L, 2048L);
        assertThat(one.withLayers(1000).tensors()).hasSize(9003);
        assertThatIllegalArgumentException().isThrownBy(() -> one.withLayers(0));
    }

    @Test
    void unknownNamesListTheKnownOnes() {
        assertThat(ModelShape.tryNamed("mistral")).isEmpty();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> ModelShape.named("mistral"))
                .withMessageStartingWith("no model shape \"mistral\"; known are tinyllama-1.1b, llama-2-7b, ");
    }
}
