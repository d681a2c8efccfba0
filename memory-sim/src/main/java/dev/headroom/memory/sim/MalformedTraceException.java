package dev.headroom.memory.sim;

import java.io.IOException;
import java.io.Serial;
import org.jspecify.annotations.Nullable;

/** An allocation trace with a line that cannot be. */
public final class MalformedTraceException extends IOException {

    @Serial
    private static final long serialVersionUID = 1;

    /** Its number, from 1. */
    private final long line;

    /**
     * Says what is wrong where.
     *
     * @param trace the file
     * @param line  the line, from 1
     * @param what  what the line is or does
     * @param cause what was noticed first, if anything
     */
    MalformedTraceException(String trace, long line, String what, @Nullable Throwable cause) {
        super(trace + ", line " + line + ": " + what, cause);
        this.line = line;
    }

    /**
     * The line.
     *
     * @return its number, from 1
     */
    public long line() {
        return line;
    }
}
