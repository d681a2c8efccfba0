package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.headroom.memory.testkit.ChildProcess;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import jcuda.JCudaVersion;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What can only be seen from outside the process, or in one of its own. */
class CudaProcessTest {

    private static final String JCUDA_LIBRARY = "libJCudaDriver-12.6.0-linux-x86_64.so";

    /** Where the class of an ELF file stands, and what stands there in one for 32 bits. */
    private static final int ELF_CLASS_AT = 4;

    private static final byte ELF_32_BITS = 1;

    @TempDir
    Path folder;

    private ChildProcess child(Map<String, String> environment, List<String> options, String... args) throws Exception {
        return ChildProcess.run(CudaChild.class, folder, environment, options, args);
    }

    private ChildProcess child(String... args) throws Exception {
        return child(Map.of(), ChildProcess.ALLOWED, args);
    }

    private static String driver() {
        return DoubleLibrary.folder().toString();
    }

    /** One line twice, nothing else anywhere. */
    private static void assertSilentlyUnavailable(ChildProcess ended, String reason) {
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).hasSize(2);
        assertThat(ended.out().getFirst()).startsWith(reason).contains(" | ");
        assertThat(ended.out().getLast()).isEqualTo(ended.out().getFirst());
        assertThat(ended.code()).isZero();
    }

    private static void requireLinux() {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "the names of libraries are those of Linux");
        assumeTrue(System.getProperty("os.arch").equals("amd64"), "JCuda has natives for x86-64 only");
    }

    // What may be missing.

    @Test
    void without_a_driver() throws Exception {
        requireLinux();
        ChildProcess ended = child("probe");
        assumeTrue(!ended.out().getFirst().startsWith("devices: "), "this machine has a CUDA driver");
        assertSilentlyUnavailable(
                ended, "no CUDA driver: libcuda.so.1 cannot be opened | install NVIDIA's driver; in a container");
    }

    @Test
    void with_a_driver_that_is_no_library() throws Exception {
        requireLinux();
        Files.writeString(folder.resolve("libcuda.so.1"), "this is no library\n".repeat(100));
        ChildProcess ended = child(Map.of("LD_LIBRARY_PATH", folder.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(ended, "the CUDA driver cannot be loaded: " + folder.resolve("libcuda.so.1"));
        assertThat(ended.out().getFirst()).contains("invalid ELF header");
    }

    @Test
    void with_a_driver_for_another_architecture() throws Exception {
        byte[] library = Files.readAllBytes(DoubleLibrary.folder().resolve("libcuda.so.1"));
        library[ELF_CLASS_AT] = ELF_32_BITS;
        Files.write(folder.resolve("libcuda.so.1"), library);
        ChildProcess ended = child(Map.of("LD_LIBRARY_PATH", folder.toString()), ChildProcess.ALLOWED, "probe");
        assertSilentlyUnavailable(ended, "the CUDA driver cannot be loaded: ");
        assertThat(ended.out().getFirst())
                .contains("wrong ELF class: ELFCLASS32")
                .endsWith("reinstall NVIDIA's driver for the architecture of this JVM, amd64");
    }

    @Test
    void with_a_driver_that_lacks_a_function() throws Exception {
        String broken = DoubleLibrary.without(List.of("cuMemHostAlloc")).toString();
        assertSilentlyUnavailable(
                child("probe", broken), "the CUDA driver is too old or broken: it lacks cuMemHostAlloc | ");
    }

    @ParameterizedTest
    @CsvSource({"cuMemMap", "cuMemAdvise"})
    void with_a_driver_that_lacks_what_one_can_do_without(String symbol) throws Exception {
        String less = DoubleLibrary.without(List.of(symbol)).toString();
        ChildProcess ended = child("use", less);
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).containsExactly("as written");
    }

    @Test
    void without_permission_for_native_calls() throws Exception {
        assertSilentlyUnavailable(
                child(Map.of(), List.of(), "probe"),
                "this JVM may not call native code | start Java with --enable-native-access");
    }

    // Where JCuda's library is unpacked.

    @Test
    void with_half_a_library_of_jcudas_in_the_folder_for_temporary_files() throws Exception {
        String driver = driver();
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        try (InputStream whole = JCudaVersion.class.getResourceAsStream("/lib/" + JCUDA_LIBRARY)) {
            // As a process that was killed while it wrote would leave it.
            Files.write(temporary.resolve(JCUDA_LIBRARY), whole.readNBytes(20_000));
        }
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add("-Djava.io.tmpdir=" + temporary);
        ChildProcess ended = child(Map.of(), options, "use", driver);
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).containsExactly("as written");
        assertThat(names(temporary)).containsExactly(JCUDA_LIBRARY);
    }

    @Test
    void without_a_folder_for_temporary_files() throws Exception {
        String driver = driver();
        List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
        options.add("-Djava.io.tmpdir=" + folder.resolve("nowhere"));
        ChildProcess ended = child(Map.of(), options, "probe", driver);
        assertThat(ended.out())
                .hasSize(2)
                .allMatch(line -> line.startsWith("no place to unpack JCuda's native library: "));
        assertThat(ended.code()).isZero();
    }

    @Test
    void processes_that_start_together() throws Exception {
        startTogether(2);
    }

    @Test
    @Tag("long")
    void processes_that_start_together_again_and_again() throws Exception {
        startTogether(20);
    }

    private void startTogether(int rounds) throws Exception {
        String driver = driver();
        for (int round = 0; round < rounds; round++) {
            Path temporary = Files.createDirectories(folder.resolve("temporary" + round));
            List<String> options = new ArrayList<>(ChildProcess.ALLOWED);
            options.add("-Djava.io.tmpdir=" + temporary);
            options.addAll(List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m"));
            List<ChildProcess.Running> running = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                Path own = Files.createDirectories(folder.resolve(round + "-" + i));
                running.add(ChildProcess.start(CudaChild.class, own, Map.of(), options, "probe", driver));
            }
            for (ChildProcess.Running child : running) {
                ChildProcess ended = child.end();
                assertThat(ended.err()).isEmpty();
                assertThat(ended.out()).containsExactly("devices: 1", "devices: 1");
                assertThat(ended.code()).isZero();
            }
            assertThat(names(temporary)).isEmpty();
        }
    }

    private static Set<String> names(Path directory) {
        return Set.of(directory.toFile().list());
    }

    /** As modules JCuda does not find its own library; it is put where JCuda looks. */
    @Test
    void as_modules() throws Exception {
        String driver = driver();
        List<Path> entries = Stream.of(System.getProperty("java.class.path").split(Pattern.quote(File.pathSeparator)))
                .map(Path::of)
                .toList();
        Path tests = entries.stream()
                .filter(entry -> entry.endsWith("test-classes"))
                .findFirst()
                .orElseThrow();
        List<String> modules = entries.stream()
                .filter(CudaProcessTest::isModule)
                .map(Path::toString)
                .toList();
        List<String> where = List.of(
                "--enable-native-access=dev.headroom.memory.cuda,jcuda",
                "--module-path=" + String.join(File.pathSeparator, modules),
                "--patch-module=dev.headroom.memory.cuda=" + ownPackage(tests),
                "--module=dev.headroom.memory.cuda/" + CudaChild.class.getName());
        ChildProcess ended = ChildProcess.start(where, folder, Map.of(), List.of(), "use", driver)
                .end();
        assertThat(ended.err()).isEmpty();
        assertThat(ended.out()).containsExactly("as written");
    }

    /** The tests of the module's own package alone: others of them lie in packages that belong to other modules. */
    private Path ownPackage(Path tests) throws IOException {
        Path own = Path.of("dev", "headroom", "memory", "cuda");
        Path patch = Files.createDirectories(folder.resolve("patch"));
        Files.createDirectories(patch.resolve(own));
        try (Stream<Path> classes = Files.list(tests.resolve(own))) {
            for (Path file : classes.filter(Files::isRegularFile).toList()) {
                Files.copy(file, patch.resolve(own).resolve(file.getFileName()));
            }
        }
        return patch;
    }

    private static boolean isModule(Path entry) {
        String path = entry.toString();
        return path.matches(".*jcuda-(natives-)?[0-9][^/]*\\.jar")
                || path.matches(".*memory-(api|cuda)[^/]*(/target/classes|\\.jar)");
    }

    // How a process ends.

    @ParameterizedTest
    @CsvSource({"normally, 0", "exit, 3", "uncaught, 1"})
    void the_process_ends_over_open_memory(String how, int code) throws Exception {
        String driver = driver();
        ChildProcess ended = child("leave open", driver, how);
        assertThat(ended.out()).containsExactly("open at true");
        assertThat(ended.code()).isEqualTo(code);
        assertThat(folder.resolve("hs_err.log")).doesNotExist();
        if (!how.equals("uncaught")) {
            assertThat(ended.err()).isEmpty();
        }
    }
}
