/** The {@code headroom} command. Nothing is exported. */
module dev.headroom.memory.cli {
    requires dev.headroom.memory;
    requires dev.headroom.memory.model;
    requires dev.headroom.memory.sim;
    requires info.picocli;
    requires static org.jspecify;
    requires tools.jackson.core;

    // picocli sets the fields of the commands.
    opens dev.headroom.memory.cli to
            info.picocli;

    provides System.LoggerFinder with
            dev.headroom.memory.cli.SilentLoggers;
}
