package dev.headroom.memory.model.calibration;

import java.io.IOException;
import java.io.Serial;

/** The file is not what was written. */
final class DamagedFileException extends IOException {

    @Serial
    private static final long serialVersionUID = 1;

    DamagedFileException(String what) {
        super(what);
    }
}
