package dev.headroom.memory.vulkan;

import java.io.Serial;

/** Why Vulkan offers nothing here, and what to do about it. */
final class UnavailableException extends Exception {

    @Serial
    private static final long serialVersionUID = 1;

    private final String hint;

    UnavailableException(String reason, String hint) {
        super(reason);
        this.hint = hint;
    }

    UnavailableException(String reason, String hint, Throwable cause) {
        super(reason, cause);
        this.hint = hint;
    }

    String reason() {
        return String.valueOf(getMessage());
    }

    String hint() {
        return hint;
    }
}
