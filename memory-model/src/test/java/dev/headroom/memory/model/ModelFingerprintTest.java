package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFingerprintTest {

    @TempDir
    Path folder;

    private String of(String file, int seed, String tensor, DataType type, long rows) throws IOException {
        Path path = folder.resolve(file);
        GgufWriter.builder()
                .tensor("a", DataType.F32, 4)
                .tensor(tensor, type, 32, rows)
                .build()
                .write(path, new SyntheticWeights(seed), WriteProgress.none());
        return ModelFingerprint.of(GgufFile.read(path));
    }

    @Test
    void itIsThatOfTheShape() throws IOException {
        String one = of("one.gguf", 1, "b", DataType.F16, 8);
        assertThat(one).matches("[0-9a-f]{32}");
        assertThat(of("two.gguf", 2, "b", DataType.F16, 8))
                .as("other weights in another file")
                .isEqualTo(one);
        assertThat(of("name.gguf", 1, "c", DataType.F16, 8)).isNotEqualTo(one);
        assertThat(of("type.gguf", 1, "b", DataType.BF16, 8)).isNotEqualTo(one);
        assertThat(of("rows.gguf", 1, "b", DataType.F16, 9)).isNotEqualTo(one);
    }
}
