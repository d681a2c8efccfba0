package dev.headroom.memory.benchmarks;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** What the script {@code ./bench} runs. */
public final class Bench {

    private Bench() {}

    /**
     * Runs a command.
     *
     * @param arguments the command and what it needs
     * @throws IOException if a file cannot be read or written
     */
    public static void main(String... arguments) throws IOException {
        List<String> words = Arrays.asList(arguments);
        String command = words.isEmpty() ? "full" : words.getFirst();
        if (command.equals("traces") && words.size() == 2) {
            writeTraces(Path.of(words.get(1)), System.out);
        } else {
            System.err.println("usage: ./bench traces DIR");
            System.exit(2);
        }
    }

    private static void writeTraces(Path folder, PrintStream out) throws IOException {
        Path there = Files.createDirectories(folder);
        for (TraceGenerator kind : TraceGenerator.values()) {
            LlmTrace trace = kind.generate();
            Path file = there.resolve(kind.label() + ".trace");
            trace.write(file);
            out.println(String.format(
                    Locale.ROOT,
                    "%s: %d operations, peak live %.2f GiB, of it fixed %.2f GiB",
                    file,
                    trace.operations(),
                    trace.peakLiveBytes() / 0x1p30,
                    trace.fixedBytes() / 0x1p30));
        }
    }
}
