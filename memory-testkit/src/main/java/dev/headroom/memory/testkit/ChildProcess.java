package dev.headroom.memory.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * How a JVM of its own ended. For what a test cannot try in its own process: a library that is missing or ends the process, an
 * exit over open memory, a console that has to stay clean.
 *
 * @param code its exit code
 * @param out  what it printed
 * @param err  what it complained about
 */
public record ChildProcess(int code, List<String> out, String err) {

    /** The option for a child that may call native code. */
    public static final List<String> ALLOWED = List.of("--enable-native-access=ALL-UNNAMED");

    private static final long PATIENCE_SECONDS = 300;

    /**
     * Runs a class of this test's class path and waits for its end.
     *
     * @param main        the class with {@code main}
     * @param folder      where it prints, and a crash is noted
     * @param environment variables beside those of this process
     * @param options     of the JVM
     * @param args        of the class
     * @return how it ended
     * @throws IOException          if it cannot be started
     * @throws InterruptedException if this thread is interrupted; the child is ended
     */
    public static ChildProcess run(
            Class<?> main, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException, InterruptedException {
        return start(main, folder, environment, options, args).end();
    }

    /**
     * Starts a class of this test's class path.
     *
     * @param main        the class with {@code main}
     * @param folder      where it prints, and a crash is noted
     * @param environment variables beside those of this process
     * @param options     of the JVM
     * @param args        of the class
     * @return the child
     * @throws IOException if it cannot be started
     */
    public static Running start(
            Class<?> main, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException {
        List<String> what = List.of("-cp", System.getProperty("java.class.path"), main.getName());
        return start(what, folder, environment, options, args);
    }

    /**
     * Starts a JVM that is told otherwise what to run.
     *
     * @param what        the JVM's own words for it, such as a class path and the name of a class
     * @param folder      where it prints, and a crash is noted
     * @param environment variables beside those of this process
     * @param options     of the JVM
     * @param args        behind these
     * @return the child
     * @throws IOException if it cannot be started
     */
    public static Running start(
            List<String> what, Path folder, Map<String, String> environment, List<String> options, String... args)
            throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        // The JVM complains where a process of another container has the same number.
        command.add("-XX:-UsePerfData");
        command.add("-XX:ErrorFile=" + folder.resolve("hs_err.log"));
        command.addAll(what);
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
    public record Running(Process process, Path folder) {

        /**
         * Waits for its end, and fails if it does not come in five minutes.
         *
         * @return how it ended
         * @throws IOException          if what it printed cannot be read
         * @throws InterruptedException if this thread is interrupted; the child is ended
         */
        public ChildProcess end() throws IOException, InterruptedException {
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
