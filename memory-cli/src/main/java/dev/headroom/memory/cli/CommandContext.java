package dev.headroom.memory.cli;

import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.model.calibration.Calibration;
import java.io.Console;
import java.io.PrintStream;
import java.util.function.Supplier;

/**
 * Where a command reads and writes, so that tests can stand in for the machine.
 *
 * @param out      results
 * @param err      errors and progress
 * @param terminal whether a person is watching: progress may overwrite its line
 * @param memory   gives the backends
 * @param calibration gives what earlier loads have taught
 */
record CommandContext(
        PrintStream out,
        PrintStream err,
        boolean terminal,
        Supplier<GpuMemory.Builder> memory,
        Supplier<Calibration> calibration) {

    /** The same, with nothing in what is printed that a terminal would take for a command. */
    CommandContext inPlainText(String... args) {
        return new CommandContext(new PlainText(out, args), new PlainText(err, args), terminal, memory, calibration);
    }

    /** The process's own streams, every backend on the class path, and the user's calibration. */
    static CommandContext ofProcess() {
        return new CommandContext(System.out, System.err, isWatched(), GpuMemory::builder, Calibration::open);
    }

    // JDK 22 to 24 always give one; 25 gives none again where streams are redirected.
    @SuppressWarnings("SystemConsoleNull")
    private static boolean isWatched() {
        Console console = System.console();
        return console != null && console.isTerminal();
    }
}
