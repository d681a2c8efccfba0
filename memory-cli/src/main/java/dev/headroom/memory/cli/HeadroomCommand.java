package dev.headroom.memory.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command itself: does nothing without a subcommand. */
@Command(
        name = "headroom",
        description = "Finds the GPU memory of this machine, says where a model fits, and loads it there.",
        versionProvider = HeadroomCommand.Version.class,
        footer = {
            "",
            "Exit code: 0 done; 1 could not (nothing fits, a device failed); 2 wrong usage; 3 invalid file.",
            "Sizes: 7.2GiB, 512MiB, 1073741824."
        })
final class HeadroomCommand implements Runnable {

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli reads it
    private boolean help;

    @Option(
            names = {"-V", "--version"},
            versionHelp = true,
            description = "Show the version.")
    @SuppressWarnings("UnusedVariable") // picocli reads it
    private boolean version;

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(),
                "a command is missing: " + String.join(", ", spec.subcommands().keySet()));
    }

    /** The version the jar was built as. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            String built = HeadroomCommand.class.getPackage().getImplementationVersion();
            return new String[] {"headroom " + (built == null ? "(not packaged)" : built)};
        }
    }
}
