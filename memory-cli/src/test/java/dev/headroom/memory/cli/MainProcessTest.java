package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelShape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The real thing, in a process of its own. */
class MainProcessTest {

    @TempDir
    Path folder;

    private Process start(String... args) throws IOException {
        return start(List.of(), args);
    }

    private Process start(List<String> options, String... args) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED"));
        command.addAll(options);
        command.addAll(List.of(
                "-Dheadroom.calibration=" + folder.resolve("calibration.tsv"),
                "-Djava.io.tmpdir=" + folder,
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
        command.addAll(List.of(args));
        return new ProcessBuilder(command)
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(folder.resolve("err").toFile())
                .start();
    }

    private int run(String... args) throws Exception {
        Process process = start(args);
        assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
        return process.exitValue();
    }

    private String text(String stream) throws IOException {
        return Files.readString(folder.resolve(stream), StandardCharsets.UTF_8);
    }

    @Test
    void theHostIsThere() throws Exception {
        assertThat(run("devices", "--json")).isZero();
        assertThat(text("err")).isEmpty();
        assertThat(text("out")).contains("\"name\":\"cpu\",\"available\":true", "\"kind\":\"host\"");
        assertThat(run("select", "900TiB")).isEqualTo(ExitCode.FAILED);
        assertThat(run("select", "lots")).isEqualTo(ExitCode.USAGE);
        assertThat(run("inspect", folder.resolve("none").toString())).isEqualTo(ExitCode.INVALID_FILE);
    }

    /** 32 GB of weights in a sparse file, planned in a heap of 64 MB. The time is told, not judged. */
    @Test
    void aHugeModelIsPlannedInASmallHeap() throws Exception {
        Path model = folder.resolve("mixtral.gguf");
        GgufSynthesizer.of(ModelShape.named("mixtral-8x7b").withLayers(11), DataType.F16, 1)
                .writeSparse(model);
        assertThat(Files.size(model)).isGreaterThan(30_000_000_000L);
        for (String what : List.of("devices", "plan")) {
            long start = System.nanoTime();
            List<String> args = what.equals("plan") ? List.of("plan", model.toString(), "--json") : List.of("devices");
            Process process = start(List.of("-Xmx64m", "-XX:+ExitOnOutOfMemoryError"), args.toArray(String[]::new));
            assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
            System.out.printf(
                    "%s in a heap of 64 MB: %d ms with the start of Java%n",
                    what, (System.nanoTime() - start) / 1_000_000);
            // Where it fits depends on the machine.
            assertThat(process.exitValue()).as(text("err")).isIn(ExitCode.OK, ExitCode.FAILED);
            assertThat(text("err")).isEmpty();
        }
        assertThat(text("out")).contains("\"architecture\":\"llama\"", "\"weightsBytes\":3", "\"learnedBytes\":0");
    }

    @Test
    void aMachineWithoutCudaSaysSoInOneLine() throws Exception {
        assertThat(run("devices")).isZero();
        assumeThat(text("out")).as("there is a CUDA driver").doesNotContain("cuda:0");
        assertThat(text("err")).isEmpty();
        assertThat(text("out").lines().filter(line -> line.contains("cuda") || line.contains("CUDA")))
                .singleElement()
                .asString()
                .startsWith("cuda: absent, because no CUDA driver: ");
        assertThat(left()).containsExactlyInAnyOrder("out", "err");
    }

    @Test
    void theDemoLeavesACleanConsoleAndNoFile() throws Exception {
        assertThat(run("load", "--demo", "--verify", "--json")).as(text("err")).isZero();
        assertThat(text("out").lines()).hasSize(1).first().asString().contains("\"verified\":true");
        assertThat(text("err").lines()).allSatisfy(line -> assertThat(line).matches("(writing|copying|verifying) .*"));
        assertThat(left()).containsExactlyInAnyOrder("out", "err");
    }

    /** What is in the folder for temporary files. LWJGL keeps its unpacked library there, for all programs of a user. */
    private List<String> left() {
        return Stream.of(folder.toFile().list())
                .filter(name -> !name.startsWith("lwjgl"))
                .toList();
    }

    @Test
    void aRuntimeWithoutFlightRecorderWillDo() throws Exception {
        Process process = start(List.of("--limit-modules=java.base"), "load", "--demo", "--verify", "--json");
        assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(text("err")).isZero();
        assertThat(text("out")).contains("\"verified\":true");
    }

    @Test
    void aSignalEndsAWatchCleanly() throws Exception {
        Process process = start("devices", "--watch");
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!text("out").contains("held by us") && process.isAlive() && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        process.destroy();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(text("out")).contains("cpu:0").endsWith(System.lineSeparator());
        assertThat(text("err")).isEmpty();
    }

    @Test
    void aSignalLeavesNoFileEither() throws Exception {
        Process process =
                start("synth", "mistral-7b", folder.resolve("big.gguf").toString(), "--layers", "16");
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (left().size() < 3 && process.isAlive() && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        process.destroy();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assumeThat(process.exitValue()).as("it was faster than the signal").isNotZero();
        assertThat(left()).containsExactlyInAnyOrder("out", "err");
        assertThat(text("err")).doesNotContain("\tat ");
    }
}
