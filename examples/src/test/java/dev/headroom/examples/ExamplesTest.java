package dev.headroom.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.testkit.LeakGuard;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Runs every example and looks at what it printed. */
class ExamplesTest {

    private static final Path SOURCES =
            Path.of(System.getProperty("headroom.root", ".."), "examples/src/main/java/dev/headroom/examples");

    @RegisterExtension
    final LeakGuard leaks = new LeakGuard();

    @Test
    void helloBuffer() {
        assertThat(printed(() -> HelloBuffer.main(new String[0])))
                .singleElement()
                .asString()
                .endsWith(" returned [1.0, 2.0, 3.0, 4.0]");
    }

    @Test
    void pickABackend() {
        assertThat(printed(() -> PickABackend.main(new String[0])))
                .startsWith("GPU memory backends")
                .contains("TinyLlama 1.1B", "Mistral 7B")
                .anyMatch(line -> line.startsWith("  cpu:0 (Host memory): "))
                .anyMatch(line -> line.matches("It would (not )?fit\\."))
                .last()
                .asString()
                .matches("An exabyte was refused, with \\d+ verdict\\(s\\)\\.");
    }

    @Test
    void pickABackendTakesAPreference() {
        assertThat(printed(() -> PickABackend.main(new String[] {"cpu"})))
                .filteredOn(line -> line.startsWith("  cpu:0 (Host memory): "))
                .as("one verdict for each of two models")
                .hasSize(2);
    }

    @Test
    void reactToPressure() {
        List<String> lines = printed(() -> ReactToPressure.main(new String[0]));
        assertThat(lines).hasSize(3);
        assertThat(lines.get(0)).matches("7 entries cached, pressure (HIGH|CRITICAL)");
        assertThat(lines.get(1)).matches("(HIGH|CRITICAL): (16|24) MiB wanted, (16|24) MiB given back");
        assertThat(lines.get(2)).matches("got 24 MiB, [45] entries left");
    }

    @Test
    void findTheLeak() {
        List<String> lines = printed(() -> FindTheLeak.main(new String[0]));
        assertThat(lines).hasSize(3);
        assertThat(lines.get(0)).isEqualTo("2 buffers open, 128 KiB");
        assertThat(lines.get(1)).matches("Buffer#\\d+ history of the first question, allocated in remember");
        assertThat(lines.get(2)).matches("Buffer#\\d+ history of the second question, allocated in remember");
    }

    @Test
    void stagedUpload() {
        assertThat(printed(() -> StagedUpload.main(new String[0])))
                .containsExactly("16 MiB uploaded through 2 MiB of pinned memory; the last byte is 15");
    }

    @Test
    void openClKernel() {
        List<String> lines = printed(() -> OpenClKernel.main(new String[0]));
        assumeTrue(lines.size() == 1, () -> "no OpenCL device: " + String.join("; ", lines));
        assertThat(lines).containsExactly("20 * 2 + 1 = 41.0, and the same in all places: true");
    }

    @Test
    void weightsAndKvCache() {
        List<String> lines = printed(() -> WeightsAndKvCache.main(new String[0]));
        assertThat(lines).hasSize(17);
        assertThat(lines.subList(0, 8)).allMatch(line -> line.matches("GPU 'layer \\d weights' Q8_0 \\[4096, 1024]"));
        assertThat(lines.subList(8, 16))
                .allMatch(line -> line.matches("[CG]PU 'layer \\d cache' F16 \\[2, 2048, 512]"));
        long onTheHost = lines.stream().filter(line -> line.startsWith("CPU")).count();
        assertThat(onTheHost).isBetween(1L, 7L);
        assertThat(lines.getLast()).matches(onTheHost + " of 8 caches are on the host; the card is at (HIGH|CRITICAL)");
    }

    @Test
    void splitAndRebalance() {
        List<String> lines = printed(() -> SplitAndRebalance.main(new String[0]));
        assertThat(lines.getFirst()).isEqualTo("6 of 8 layers on devices, 2 on the host");
        assertThat(lines.subList(lines.size() - 4, lines.size()))
                .containsExactly(
                        "loaded, 0 of 16 tensors fell back",
                        "to free 3 MiB: 2 moved, 4 MiB; 0 refused",
                        "by name: 4 moved, 8 MiB; 0 refused",
                        "by hand: 1 moved, 1 MiB; 0 refused");
    }

    @Test
    void serveSequences() {
        assertThat(printed(() -> ServeSequences.main(new String[0])))
                .containsExactly(
                        "at token 160 third is put off, which frees 10",
                        "at token 256 second is put off, which frees 16",
                        "first is done, in 19 blocks",
                        "1 slab of blocks, 0 in use; 320 KiB of activations in 1024 KiB");
    }

    @Test
    void everyExampleIsRunHereAndListedInTheReadme() throws IOException {
        String tests = Files.readString(Path.of(System.getProperty("headroom.root", ".."))
                .resolve("examples/src/test/java/dev/headroom/examples/ExamplesTest.java"));
        String readme =
                Files.readString(SOURCES.resolve("../../../../../../README.md").normalize());
        try (var files = Files.list(SOURCES)) {
            List<String> names = files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".java") && !name.equals("package-info.java"))
                    .map(name -> name.replace(".java", ""))
                    .toList();
            assertThat(names).isNotEmpty().allSatisfy(name -> {
                assertThat(tests).contains(name + ".main(");
                assertThat(readme).contains("[`" + name + "`](src/main/java/dev/headroom/examples/" + name + ".java)");
            });
        }
    }

    /** The main method of an example. */
    @FunctionalInterface
    private interface Example {
        void run() throws IOException;
    }

    private static List<String> printed(Example main) {
        PrintStream before = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try (PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8)) {
            System.setOut(capture);
            main.run();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            System.setOut(before);
        }
        return printed.toString(StandardCharsets.UTF_8).lines().toList();
    }
}
