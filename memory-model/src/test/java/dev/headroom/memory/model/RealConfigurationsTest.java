package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.model.FootprintTerm.Certainty;
import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Configurations of published models. */
class RealConfigurationsTest {

    /** From the configuration alone, and with the index: equal to the index's sum to the byte. */
    @Test
    void weightsAreExactWhereTheTableSaysSo() throws IOException {
        Path folder = SharedModels.orSkip("hf");
        List<String> lines = Files.readAllLines(folder.resolve("weights.csv"));
        int compared = 0;
        for (String line : lines.subList(1, lines.size())) {
            String[] fields = line.split(",", -1);
            if (!fields[15].equals("2.0") && !fields[15].equals("4.0")) {
                continue;
            }
            compared++;
            Path model = folder.resolve(fields[0]);
            ConfigFile config = ConfigFile.read(model.resolve("config.json"));
            WeightFacts formula = ConfigWeights.of(config, ConfigFacts.of(config));
            assertThat(formula.total()).as(fields[0]).isEqualTo(Long.parseLong(fields[12]));
            assertThat(formula.parameters()).as(fields[0]).hasValue(Long.parseLong(fields[11]));
            assertThat(formula.certainty()).as(fields[0]).isEqualTo(Certainty.EXACT);
            ModelFootprint footprint = ModelFile.read(model).footprint(FootprintOptions.defaults());
            assertThat(footprint.bytes(Kind.WEIGHTS)).as(fields[0]).isEqualTo(Long.parseLong(fields[12]));
        }
        assertThat(compared).isEqualTo(11);
    }

    @Test
    void everyConfigurationGivesAPlanOrAClearRefusal() throws IOException {
        try (Stream<Path> folders = Files.list(SharedModels.orSkip("hf"))) {
            for (Path model : folders.filter(Files::isDirectory).toList()) {
                String name = String.valueOf(model.getFileName());
                try {
                    ModelFootprint footprint = ModelFile.read(model).footprint(FootprintOptions.defaults());
                    assertThat(footprint.totalBytes()).as(name).isBetween(1L << 30, 1L << 50);
                    assertThat(footprint.remarks()).as(name).isEmpty();
                } catch (ModelFileException e) {
                    // Two documents in one index, as found.
                    assertThat(name).isEqualTo("bloom-176b");
                    assertThat(e).hasMessageContaining("model.safetensors.index.json at byte 60304: ");
                }
            }
        }
    }

    /** What the README of the folder and the model cards say, at a context of 8192 for one sequence in F16. */
    @ParameterizedTest
    @CsvSource({
        // All 40 layers, 8 heads of 128, although hidden / heads is 160.
        "devstral-small-2507, 40, 8192, 0, 0, 8, 128",
        // use_sliding_window is false.
        "cogito-v1-qwen-14b, 48, 8192, 0, 0, 8, 128",
        // Every second layer has a window of 4096, and a batch of 512 beside it.
        "gemma-2-9b-it, 21, 8192, 21, 4608, 8, 256",
        // Ten of 62 layers attend in full, the others look back 1024.
        "medgemma-27b-it, 10, 8192, 52, 1536, 16, 128",
        "tt-olmo-3.1-32b, 16, 8192, 48, 4608, 8, 128",
        // Sixteen of 64 layers attend; ten of 40.
        "tt-qwen3.5-27b, 16, 8192, 0, 0, 4, 256",
        "qwen3.5-18b-reap-a3b, 10, 8192, 0, 0, 2, 256",
        // The window of Phi-3 is not used.
        "phi3-mini-slerp, 32, 8192, 0, 0, 32, 96",
        "neuron-dbrx-16x13b, 40, 8192, 0, 0, 8, 128",
        "falcon-40b, 60, 8192, 0, 0, 8, 64"
    })
    void cachesOfPublishedModels(
            String name, int full, long fullCells, int windows, long windowCells, int heads, int length)
            throws IOException {
        ModelFootprint footprint = ModelFile.read(SharedModels.orSkip("hf/" + name))
                .footprint(FootprintOptions.builder().contextLength(8192).build());
        assertThat(footprint.bytes(Kind.KV_CACHE))
                .isEqualTo((full * fullCells + windows * windowCells) * heads * 2 * length * 2);
    }

    @Test
    void vocabularyFilesAreReadOrRefusedClearly() throws IOException {
        try (Stream<Path> files = Files.list(SharedModels.orSkip("gguf"))) {
            for (Path file : files.filter(
                            file -> String.valueOf(file.getFileName()).startsWith("ggml-vocab"))
                    .toList()) {
                ModelFootprint footprint = ModelFile.read(file).footprint(FootprintOptions.defaults());
                assertThat(footprint.bytes(Kind.WEIGHTS)).as(file.toString()).isZero();
                assertThat(footprint.remarks()).as(file.toString()).isEmpty();
                boolean encoder = file.toString().contains("bert");
                assertThat(footprint.bytes(Kind.KV_CACHE) == 0)
                        .as(file.toString())
                        .isEqualTo(encoder);
            }
        }
    }
}
