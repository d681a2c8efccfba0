package dev.headroom.memory.vulkan;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * How a JVM of its own ended.
 *
 * @param code its exit code
 * @param out  what it printed
 * @param err  what it complained about
 */
record ChildProcess(int code, List<String> out, String err) {

    /** What every child that may call Vulkan needs. */
    static final List<String> ALLOWED = List.of("--enable-native-access=ALL-UNNAMED");

    private static final long PATIENCE_SECONDS = 300;

    /** Runs a class of this module's tests and waits for its end. */
    static ChildProcess run(
            Class<?> main, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException, InterruptedException {
        return run(main, System.getProperty("java.class.path"), folder, environment, options, args);
    }

    /** The same, with another class path. */
    static ChildProcess run(
            Class<?> main,
            String classPath,
            Path folder,
            Map<String, String> environment,
            List<String> options,
            String... args)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        command.addAll(List.of("-XX:ErrorFile=" + folder.resolve("hs_err.log"), "-cp", classPath, main.getName()));
        command.addAll(List.of(args));
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(Files.createDirectories(folder.resolve("elsewhere")).toFile())
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(folder.resolve("err").toFile());
        builder.environment().putAll(environment);
        Process process = builder.start();
        try {
            assertThat(process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS))
                    .as("the child ends")
                    .isTrue();
        } finally {
            process.destroyForcibly();
        }
        return new ChildProcess(
                process.exitValue(),
                Files.readAllLines(folder.resolve("out")),
                Files.readString(folder.resolve("err")));
    }
}
