package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
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

    @Test
    void aMachineWithoutCudaSaysSoInOneLine() throws Exception {
        assertThat(run("devices")).isZero();
        assumeThat(text("out")).as("there is a CUDA driver").doesNotContain("cuda:0");
        assertThat(text("err")).isEmpty();
        assertThat(text("out").lines().filter(line -> line.contains("cuda") || line.contains("CUDA")))
                .singleElement()
                .asString()
                .startsWith("cuda: absent, because no CUDA driver: ");
        assertThat(folder.toFile().list()).containsExactlyInAnyOrder("out", "err");
    }

    @Test
    void theDemoLeavesACleanConsoleAndNoFile() throws Exception {
        assertThat(run("load", "--demo", "--verify", "--json")).as(text("err")).isZero();
        assertThat(text("out").lines()).hasSize(1).first().asString().contains("\"verified\":true");
        assertThat(text("err").lines()).allSatisfy(line -> assertThat(line).matches("(writing|copying|verifying) .*"));
        assertThat(folder.toFile().list()).containsExactlyInAnyOrder("out", "err");
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
        while (folder.toFile().list().length < 3 && process.isAlive() && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        process.destroy();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assumeThat(process.exitValue()).as("it was faster than the signal").isNotZero();
        assertThat(folder.toFile().list()).containsExactlyInAnyOrder("out", "err");
        assertThat(text("err")).doesNotContain("\tat ");
    }
}
