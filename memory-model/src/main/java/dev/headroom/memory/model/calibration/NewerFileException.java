package dev.headroom.memory.model.calibration;

import java.io.IOException;
import java.io.Serial;

/** The file was written by a later version, whose file it stays. */
final class NewerFileException extends IOException {

    @Serial
    private static final long serialVersionUID = 1;

    NewerFileException(String header) {
        super("it is of a later version (" + header + ")");
    }
}
