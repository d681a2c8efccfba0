package dev.headroom.memory.cli;

import picocli.CommandLine.Option;

/** What every subcommand takes. */
final class CommonOptions {

    @Option(
            names = {"-q", "--quiet"},
            description = "No progress and no remarks: results and errors only.")
    private boolean quiet;

    @Option(names = "--debug", description = "Show the log, and the stack trace of an error.")
    private boolean debug;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli reads it
    private boolean help;

    boolean isQuiet() {
        return quiet;
    }

    /** Lets the library's log through if that was asked for. */
    void apply() {
        SilentLoggers.speak(debug);
    }
}
