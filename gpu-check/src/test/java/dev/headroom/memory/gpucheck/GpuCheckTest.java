package dev.headroom.memory.gpucheck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole program, in a process of its own: without a driver, and on the double. */
class GpuCheckTest {

    private static final Path BUILD =
            Path.of(System.getProperty("headroom.root", ".."), "memory-cuda/src/test/c/build.sh");

    @TempDir
    Path folder;

    private record Ended(int code, String out) {}

    private Ended run(Path driver, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                GpuCheck.class.getName()));
        command.addAll(List.of(arguments));
        Path out = folder.resolve("out");
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectError(folder.resolve("err").toFile());
        builder.environment().put("LD_LIBRARY_PATH", driver.toString());
        Process process = builder.start();
        try {
            assertThat(process.waitFor(5, TimeUnit.MINUTES)).isTrue();
        } finally {
            process.destroyForcibly();
        }
        return new Ended(process.exitValue(), Files.readString(out));
    }

    @Test
    void a_driver_that_is_none() throws Exception {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "the driver's file has another name elsewhere");
        Files.writeString(folder.resolve("libcuda.so.1"), "this is no library");
        Ended ended = run(folder);
        assertThat(ended.out()).startsWith("cuda is unavailable: ");
        assertThat(ended.code()).isEqualTo(2);
    }

    @Test
    void an_option_that_is_none() throws Exception {
        Ended ended = run(folder, "--fast");
        assertThat(ended.out()).startsWith("gpu-check: unknown option --fast").contains("usage: gpu-check");
        assertThat(ended.code()).isEqualTo(2);
    }

    @Tag("long")
    @Test
    void the_double() throws Exception {
        assumeTrue(hasCompiler(), "no gcc to compile the double of the CUDA driver with");
        Process build = new ProcessBuilder(BUILD.toString(), folder.toString())
                .inheritIO()
                .start();
        assertThat(build.waitFor()).isZero();
        Path json = folder.resolve("report.json");
        Ended ended = run(folder, "--rounds", "1", "--mib", "1", "--layers", "1", "--json", json.toString());
        assertThat(ended.out())
                .contains("Headroom Test Double", " 0 failed", "cuMemAllocAsync", "load of a model")
                .doesNotContain("| failed |");
        assertThat(Files.readString(json)).contains("\"failed\":[]");
        assertThat(ended.code()).isZero();
    }

    private static boolean hasCompiler() {
        return Stream.of(System.getenv("PATH").split(":")).anyMatch(path -> Files.isExecutable(Path.of(path, "gcc")));
    }
}
