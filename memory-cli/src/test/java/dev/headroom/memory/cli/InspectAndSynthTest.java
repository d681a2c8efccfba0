package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InspectAndSynthTest {

    /** Those of the files of other projects that are broken on purpose. */
    private static final Set<String> INVALID = Set.of(
            "gridcore-fuzz-hdr-suppress-eos.gguf",
            "gridcore-fuzz-hdr-wrap-first-offset.gguf",
            "gridcore-fuzz-hdr-zero-first-dim.gguf",
            "weight-inspect-tiny.gguf",
            "bitnet-rs-mini.gguf",
            "microk-tiny.gguf",
            "lfs-pointer-gemma-2b-it.gguf");

    @TempDir
    Path folder;

    private static CommandRun run(String... args) {
        return CommandRun.of(List.of(), args);
    }

    private String sparseModel() throws IOException {
        Path path = folder.resolve("tiny.gguf");
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b").withLayers(1), DataType.Q4_0, 42)
                .writeSparse(path);
        return path.toString();
    }

    @Test
    void aValidFile() throws IOException {
        String path = sparseModel();
        CommandRun words = run("inspect", path);
        assertThat(words.code()).isZero();
        assertThat(words.out().lines()).containsExactly("valid    " + path + ": GGUF version 3, 12 tensors, 93.96 MiB");
        Map<String, Object> json = run("inspect", "--json", path).json();
        assertThat(json)
                .containsEntry("file", path)
                .containsEntry("format", "gguf")
                .containsEntry("valid", true)
                .containsEntry("error", null)
                .containsEntry("tensors", 12L)
                .containsKey("tensorBytes");
    }

    @Test
    void oneLineForEachFileWhateverItIs() throws IOException {
        Files.createDirectory(folder.resolve("d"));
        Files.writeString(folder.resolve("text"), "hello");
        List<String> args = List.of(
                "inspect",
                "--json",
                sparseModel(),
                folder.resolve("d").toString(),
                folder.resolve("text").toString(),
                folder.resolve("none").toString());
        CommandRun run = run(args.toArray(String[]::new));
        assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(run.err()).isEmpty();
        List<Map<String, Object>> lines = run.jsonLines();
        assertThat(lines).extracting(line -> line.get("valid")).containsExactly(true, false, false, false);
        assertThat(lines.subList(1, 4))
                .allSatisfy(line -> assertThat(line)
                        .containsEntry("format", null)
                        .containsEntry("tensors", null)
                        .containsEntry("tensorBytes", null)
                        .extracting("error")
                        .asString()
                        .isNotBlank());
        assertThat((String) lines.getLast().get("error")).contains("there is no such file");
        CommandRun words = run("inspect", args.get(4), args.get(5));
        assertThat(words.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(words.out().lines())
                .hasSize(2)
                .allSatisfy(line -> assertThat(line).startsWith("invalid  " + folder));
    }

    @Test
    void filesOfOtherProjectsAreJudgedStrictly() throws IOException {
        List<String> args = new ArrayList<>(List.of("inspect", "--json"));
        Path shared = sharedModels();
        try (Stream<Path> files = Files.list(shared)) {
            files.sorted().map(Path::toString).forEach(args::add);
        }
        CommandRun run = run(args.toArray(String[]::new));
        assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(run.jsonLines()).hasSize(args.size() - 2).allSatisfy(line -> {
            String name = Path.of((String) line.get("file")).getFileName().toString();
            assertThat(line.get("valid")).as(name).isEqualTo(!INVALID.contains(name));
        });
    }

    /** The folder "shared" beside the checkout, or beside one of the folders above it. */
    private static Path sharedModels() {
        Path start = Path.of(System.getProperty("headroom.root", "")).toAbsolutePath();
        for (Path at = start; at != null; at = at.getParent()) {
            Path candidate = at.resolve("shared/models/gguf");
            if (Files.isDirectory(candidate)) {
                return candidate;
            }
        }
        assumeThat(false)
                .as("skipped: no folder shared/models/gguf in or above " + start)
                .isTrue();
        return start;
    }

    @Test
    void synthMakesTheSameFileAgain() throws IOException {
        Path path = folder.resolve("a.gguf");
        String[] args = {"synth", "tinyllama-1.1b", path.toString(), "--layers", "1", "--type", "q4_0", "--seed", "7"};
        CommandRun first = run(args);
        assertThat(first.code()).as(first.err()).isZero();
        assertThat(first.out().lines())
                .containsExactly(path + ": tinyllama-1.1b, 1 layer, Q4_0, seed 7: 12 tensors, "
                        + ByteSize.format(Files.size(path)));
        assertThat(first.complaints()).last().asString().startsWith("writing 100 %");
        Path kept = folder.resolve("kept.gguf");
        Files.move(path, kept);
        assertThat(run(args).code()).isZero();
        assertThat(Files.mismatch(path, kept)).isEqualTo(-1);
        // Once more over the file that is there.
        assertThat(run(args).code()).isZero();
        assertThat(run("inspect", path.toString()).code()).isZero();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            synth gpt-5 FILE                         | tinyllama-1.1b, llama-2-7b
            synth mistral-7b FILE --type Q3_K        | Q4_0
            synth mistral-7b FILE --type nonsense    | F32, F16, BF16, Q8_0, Q4_0 or Q4_K
            synth mistral-7b FILE --layers 0         | layers must be 1 to
            synth mistral-7b FILE --layers x         | x
            synth mistral-7b FILE --seed x           | x
            synth mistral-7b                         | FILE
            """)
    void wrongUsage(String args, String says) {
        CommandRun run =
                run(args.replace("FILE", folder.resolve("f").toString()).split(" +"));
        assertThat(run.code()).as(run.err()).isEqualTo(ExitCode.USAGE);
        assertThat(run.complaints()).hasSize(2);
        assertThat(run.complaints().getFirst()).contains(says);
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void whatCannotBeWrittenLeavesNothing() {
        String missing = folder.resolve("no/such/folder/f.gguf").toString();
        CommandRun run = run("synth", "tinyllama-1.1b", missing, "--layers", "1");
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.complaints()).hasSizeLessThanOrEqualTo(2);
        assertThat(run.err()).startsWith("headroom: cannot write " + missing);
        // 65536 layers of it are some 40 TB.
        CommandRun huge =
                run("synth", "mixtral-8x7b", folder.resolve("f").toString(), "--layers", "65536", "--type", "F32");
        assertThat(huge.code()).as(huge.err()).isEqualTo(ExitCode.FAILED);
        assertThat(huge.err()).contains("bytes needed");
        assertThat(folder).isEmptyDirectory();
    }
}
