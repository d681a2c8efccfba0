package dev.headroom.memory.cli;

import dev.headroom.memory.model.ModelFileException;
import dev.headroom.memory.sim.MalformedTraceException;

/** What the command's exit code says. */
final class ExitCode {

    /** Done. */
    static final int OK = 0;

    /** Could not: nothing fits, a device failed, the disk is full. */
    static final int FAILED = 1;

    /** Called wrongly. */
    static final int USAGE = 2;

    /** A model file or trace that is invalid or cannot be read. */
    static final int INVALID_FILE = 3;

    private ExitCode() {}

    /** The code for a failure that reached the top. */
    static int of(Throwable failure) {
        return switch (failure) {
            case ModelFileException _, UnreadableFileException _, MalformedTraceException _ -> INVALID_FILE;
            default -> FAILED;
        };
    }
}
