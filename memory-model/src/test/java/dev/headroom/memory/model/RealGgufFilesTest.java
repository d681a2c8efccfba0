package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files that other projects made, judged as their README says. */
class RealGgufFilesTest {

    /** File name without suffix to number of keys; -1 where the README does not say. */
    private static final Map<String, Integer> VALID = Map.ofEntries(
            Map.entry("ggml-vocab-bert-bge", 20),
            Map.entry("ggml-vocab-deepseek-llm", 23),
            Map.entry("ggml-vocab-falcon", 18),
            Map.entry("ggml-vocab-gpt-2", 16),
            Map.entry("ggml-vocab-gpt-neox", 17),
            Map.entry("ggml-vocab-llama-spm", 22),
            Map.entry("ggml-vocab-phi-3", 26),
            Map.entry("ggml-vocab-starcoder", 19),
            Map.entry("gridcore-vocab-bpe-gpt4o", 9),
            Map.entry("gridcore-vocab-bpe-llama3", 9),
            Map.entry("gridcore-vocab-bpe-qwen35", 9),
            Map.entry("gridcore-vocab-bpe-spm-gemma4", 9),
            Map.entry("gridcore-fuzz-valid-small", -1),
            Map.entry("weight-inspect-empty", 1),
            Map.entry("bitnet-rs-llama3-128k", -1),
            Map.entry("bitnet-rs-t5-base", -1));

    private static final Set<String> INVALID = Set.of(
            "gridcore-fuzz-hdr-suppress-eos",
            "gridcore-fuzz-hdr-wrap-first-offset",
            "gridcore-fuzz-hdr-zero-first-dim",
            "weight-inspect-tiny",
            "bitnet-rs-mini",
            "microk-tiny",
            "lfs-pointer-gemma-2b-it");

    private Path folder = Path.of("");

    /** The folder "shared" beside the checkout, or beside one of the folders above it. */
    @BeforeEach
    void findFolder() {
        String root = System.getProperty("headroom.root");
        Path start = (root == null ? Path.of("") : Path.of(root)).toAbsolutePath();
        for (Path at = start; at != null; at = at.getParent()) {
            Path candidate = at.resolve("shared").resolve("models").resolve("gguf");
            if (Files.isDirectory(candidate)) {
                folder = candidate;
                return;
            }
        }
        assumeThat(false)
                .as("skipped: no folder shared/models/gguf in or above " + start + " (property headroom.root)")
                .isTrue();
    }

    @Test
    void everyFileHasAVerdict() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            Set<String> names = files.map(file -> file.getFileName().toString().replace(".gguf", ""))
                    .collect(Collectors.toCollection(TreeSet::new));
            Set<String> judged = new TreeSet<>(VALID.keySet());
            judged.addAll(INVALID);
            assertThat(names).isEqualTo(judged);
        }
    }

    @Test
    void validFilesAreRead() throws IOException {
        for (Map.Entry<String, Integer> entry : VALID.entrySet()) {
            GgufFile file = GgufFile.read(folder.resolve(entry.getKey() + ".gguf"));
            assertThat(file.tensors()).as(entry.getKey()).isEmpty();
            assertThat(file.architecture()).as(entry.getKey()).isPresent();
            if (entry.getValue() >= 0) {
                assertThat(file.metadata().size()).as(entry.getKey()).isEqualTo(entry.getValue());
            }
            for (String key : file.metadata().keys()) {
                assertThat(file.metadata().value(key)).as(key).isPresent();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"llama-spm,llama,32000", "gpt-2,gpt2,50257", "bert-bge,bert,30522", "starcoder,starcoder2,49152"})
    void vocabulariesAreCountedNotKept(String name, String architecture, long tokens) throws IOException {
        GgufFile file = GgufFile.read(folder.resolve("ggml-vocab-" + name + ".gguf"));
        assertThat(file.architecture()).contains(architecture);
        assertThat(file.metadata().arrayLength("tokenizer.ggml.tokens")).hasValue(tokens);
        assertThat(file.metadata().value("tokenizer.ggml.tokens").orElseThrow())
                .isEqualTo(new GgufValue.Omitted(GgufValueType.ARRAY, GgufValueType.STRING, tokens));
        assertThat(file.metadata().integer(architecture + ".block_count").orElseThrow())
                .isPositive();
        assertThat(file.shards().getFirst().headerBytes())
                .isLessThanOrEqualTo(file.shards().getFirst().fileBytes());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "gridcore-fuzz-hdr-wrap-first-offset|expected offset 0 for \"token_embd.weight\"",
                "gridcore-fuzz-hdr-zero-first-dim|found 0",
                "gridcore-fuzz-hdr-suppress-eos|before the end of the file",
                "weight-inspect-tiny|expected the data of \"test.weight.0\" inside the file of 122 bytes",
                "bitnet-rs-mini|expected ",
                "microk-tiny|at byte 8: expected no more tensors than fit in the 108 bytes left, 3, found 10",
                "lfs-pointer-gemma-2b-it|found a git-lfs pointer to a file of 10031780704 bytes\nrun \"git lfs pull\""
            })
    void invalidFilesAreRefused(String name, String part) {
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(folder.resolve(name + ".gguf")))
                .satisfies(e -> assertThat(e.path()).isEqualTo(folder.resolve(name + ".gguf")))
                .satisfies(e -> assertThat(e.position()).isPresent())
                .withMessageContaining(part.replace("\\n", "\n"));
    }
}
