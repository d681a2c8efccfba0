package dev.headroom.memory.benchmarks;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import org.openjdk.jmh.runner.RunnerException;

/** What the script {@code ./bench} runs. */
public final class Bench {

    private static final String USAGE =
            "usage: ./bench [quick] [FILE.json] | ./bench compare OLD.json NEW.json | ./bench traces DIR";

    private Bench() {}

    /**
     * Runs a command.
     *
     * @param arguments the command and what it needs
     * @throws IOException     if a file cannot be read or written
     * @throws RunnerException if a benchmark cannot be run
     */
    public static void main(String... arguments) throws IOException, RunnerException {
        List<String> words = Arrays.asList(arguments);
        String command = words.isEmpty() ? "" : words.getFirst();
        if (command.equals("traces") && words.size() == 2) {
            writeTraces(Path.of(words.get(1)), System.out);
        } else if (command.equals("compare") && words.size() == 3) {
            compare(Figures.read(Path.of(words.get(1))), Figures.read(Path.of(words.get(2))), System.out);
        } else if (command.equals("quick") && words.size() <= 2) {
            measure(Suite.Size.QUICK, Path.of(words.size() == 2 ? words.get(1) : "bench-quick.json"), System.out);
        } else if (words.isEmpty() || (words.size() == 1 && command.endsWith(".json"))) {
            measure(Suite.Size.FULL, Path.of(words.isEmpty() ? "bench.json" : command), System.out);
        } else {
            System.err.println(USAGE);
            System.exit(2);
        }
    }

    private static void measure(Suite.Size size, Path file, PrintStream out) throws IOException, RunnerException {
        long start = System.nanoTime();
        Figures figures = new Suite(size, System.err).run();
        figures.write(file, size.name().toLowerCase(Locale.ROOT));
        table(figures, out);
        out.println();
        Goals.print(figures, out);
        out.println();
        out.println(String.format(
                Locale.ROOT,
                "%.0f s, %d processors, Java %s; all figures are in %s",
                (System.nanoTime() - start) / 1e9,
                Runtime.getRuntime().availableProcessors(),
                Runtime.version(),
                file));
    }

    private static void table(Figures figures, PrintStream out) {
        out.println("| figure | median | spread |");
        out.println("|---|---|---|");
        figures.all()
                .forEach((name, figure) -> out.println(String.format(
                        Locale.ROOT,
                        "| %s | %s | %.0f %% |",
                        name,
                        Goals.number(figure.value()),
                        figure.spread() * 100)));
    }

    /** Line by line; what moved by more than both spreads together is marked. */
    private static void compare(Figures before, Figures after, PrintStream out) {
        out.println("| figure | old | new | new to old | |");
        out.println("|---|---|---|---|---|");
        TreeSet<String> names = new TreeSet<>(before.all().keySet());
        names.addAll(after.all().keySet());
        for (String name : names) {
            Figures.Figure old = before.all().get(name);
            Figures.Figure now = after.all().get(name);
            if (old == null || now == null) {
                out.println("| " + name + (old == null ? " | - | new | | |" : " | gone | - | | |"));
            } else {
                double ratio = now.value() / old.value();
                boolean beyond = Math.abs(ratio - 1) > old.spread() + now.spread() + 0.02;
                out.println(String.format(
                        Locale.ROOT,
                        "| %s | %s | %s | %.3f | %s |",
                        name,
                        Goals.number(old.value()),
                        Goals.number(now.value()),
                        ratio,
                        beyond ? "beyond the spread" : ""));
            }
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
