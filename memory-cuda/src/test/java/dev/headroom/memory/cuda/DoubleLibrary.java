package dev.headroom.memory.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Compiles the double of the driver, once for each state of its sources. */
final class DoubleLibrary {

    private static final Path MODULE =
            Path.of(System.getProperty("headroom.root", ".")).resolve("memory-cuda");

    /** The sources. */
    static final Path SOURCES = MODULE.resolve("src/test/c").toAbsolutePath();

    private static final Path TARGET = MODULE.resolve("target/double").toAbsolutePath();

    private DoubleLibrary() {}

    /** The folder with libcuda.so.1 and libnvidia-ml.so.1. Skips the test where there is no compiler. */
    static synchronized Path folder() {
        assumeTrue(System.getProperty("os.name").equals("Linux"), "the double of the CUDA driver is for Linux");
        assumeTrue(System.getProperty("os.arch").equals("amd64"), "the double of the CUDA driver is for x86-64");
        assumeTrue(hasCompiler(), "no gcc to compile the double of the CUDA driver with");
        if (!isFresh()) {
            // Made elsewhere and moved, so that whoever looks at the same moment finds all of it or nothing.
            Path made = build(
                    TARGET.resolveSibling("double-" + ProcessHandle.current().pid()), List.of());
            replace(made);
        }
        return TARGET;
    }

    /** A folder with libraries that lack symbols. */
    static synchronized Path without(List<String> symbols) {
        folder();
        String name = symbols.size() == 1 ? symbols.getFirst() : "several-" + symbols.hashCode();
        return build(TARGET.resolve("without").resolve(name), symbols);
    }

    private static Path build(Path folder, List<String> symbols) {
        List<String> command =
                new ArrayList<>(List.of(SOURCES.resolve("build.sh").toString(), folder.toString()));
        command.addAll(symbols);
        Map<String, String> environment = symbols.isEmpty()
                ? Map.of()
                : Map.of("DOUBLE_OBJECTS", TARGET.resolve("objects").toString());
        run(command, environment);
        return folder;
    }

    private static void replace(Path made) {
        try {
            if (Files.exists(TARGET)) {
                deleteAll(TARGET);
            }
            Files.move(made, TARGET, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void deleteAll(Path folder) throws IOException {
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.sorted(java.util.Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    private static boolean isFresh() {
        Path made = TARGET.resolve("libnvidia-ml.so.1");
        if (!Files.exists(made)) {
            return false;
        }
        try (Stream<Path> sources = Files.list(SOURCES)) {
            FileTime time = Files.getLastModifiedTime(made);
            for (Path source : sources.toList()) {
                if (Files.getLastModifiedTime(source).compareTo(time) > 0) {
                    return false;
                }
            }
            return true;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean hasCompiler() {
        return Stream.of(System.getenv("PATH").split(":")).anyMatch(path -> Files.isExecutable(Path.of(path, "gcc")));
    }

    private static void run(List<String> command, Map<String, String> environment) {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(environment);
        try {
            Process process = builder.start();
            String said = new String(process.getInputStream().readAllBytes());
            if (!process.waitFor(2, TimeUnit.MINUTES) || process.exitValue() != 0) {
                throw new IllegalStateException("the double does not compile:\n" + said);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
