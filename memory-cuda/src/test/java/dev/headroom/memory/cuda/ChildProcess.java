package dev.headroom.memory.cuda;

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

    /** What every child that may call CUDA needs. */
    static final List<String> ALLOWED = List.of("--enable-native-access=ALL-UNNAMED");

    private static final long PATIENCE_SECONDS = 300;

    /** Runs a class of this module's tests and waits for its end. */
    static ChildProcess run(
            Class<?> main, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException, InterruptedException {
        return start(main, folder, environment, options, args).end();
    }

    /** Starts a class of this module's tests; it prints into the folder. */
    static Running start(
            Class<?> main, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException {
        List<String> where = List.of("-cp", System.getProperty("java.class.path"), main.getName());
        return start(where, folder, environment, options, args);
    }

    /** Starts a JVM that is told otherwise what to run. */
    static Running start(
            List<String> where, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        // The JVM complains where a process of another container has the same number.
        command.add("-XX:-UsePerfData");
        command.add("-XX:ErrorFile=" + folder.resolve("hs_err.log"));
        command.addAll(where);
        command.addAll(List.of(args));
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(Files.createDirectories(folder.resolve("elsewhere")).toFile())
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(folder.resolve("err").toFile());
        builder.environment().putAll(environment);
        return new Running(builder.start(), folder);
    }

    /**
     * One that has been started.
     *
     * @param process the process
     * @param folder  where it prints
     */
    record Running(Process process, Path folder) {

        /** Waits for its end. */
        ChildProcess end() throws IOException, InterruptedException {
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
}
