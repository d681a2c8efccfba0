package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Safetensors files that other projects made, judged as their README says. */
class RealSafetensorsFilesTest {

    @ParameterizedTest
    @CsvSource({
        "candle-csm-voices,2,291654,I64",
        "candle-jfk-codes,1,13248,I64",
        "mnist-tinygrad,2,406528,F32",
        "llama32-3b-layer0-input-layernorm,1,6144,BF16",
        "llama32-3b-layer0-post-attn-layernorm,1,6144,BF16"
    })
    void validFilesAreRead(String name, int tensors, long bytes, DataType first) throws IOException {
        SafetensorsFile file = SafetensorsFile.read(SharedModels.orSkip("safetensors/" + name + ".safetensors"));
        assertThat(file.tensors()).hasSize(tensors);
        assertThat(file.tensorBytes()).isEqualTo(bytes);
        assertThat(file.tensors().getFirst().type()).isEqualTo(first);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "weight-inspect-tiny|at byte 32851: expected the end of the file behind the last tensor, found 5 bytes more",
                "lfs-pointer-pythia-410m|found a git-lfs pointer to a file of 1415337224 bytes",
                "lfs-pointer-dolphin3-shard1|found a git-lfs pointer to a file of 4781592216 bytes"
            })
    void invalidFilesAreRefused(String name, String part) {
        Path file = SharedModels.orSkip("safetensors/" + name + ".safetensors");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> SafetensorsFile.read(file))
                .withMessageContaining(part);
    }
}
