package dev.headroom.memory.cli;

import java.io.IOException;
import java.io.Serial;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** A file of the user that cannot be opened or read at all, whatever is in it. */
final class UnreadableFileException extends IOException {

    @Serial
    private static final long serialVersionUID = 1;

    UnreadableFileException(Path path, IOException cause) {
        super(path + ": " + reason(cause), cause);
    }

    private static String reason(IOException cause) {
        return switch (cause) {
            case NoSuchFileException _ -> "there is no such file";
            case AccessDeniedException _ -> "reading it is not permitted";
            default -> "cannot be read: " + cause.getMessage();
        };
    }
}
