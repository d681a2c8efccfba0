package dev.headroom.memory.spi;

import java.io.Serial;
import java.util.Objects;

/** Why a backend offers nothing here, and what to do about it: how the parts of a backend say so among themselves. */
public final class UnavailableException extends Exception {

    @Serial
    private static final long serialVersionUID = 1;

    /** What helps. */
    private final String hint;

    /**
     * Says why.
     *
     * @param reason what is missing, such as {@code no CUDA driver: libcuda.so.1 cannot be opened}
     * @param hint   what helps
     */
    public UnavailableException(String reason, String hint) {
        super(Objects.requireNonNull(reason, "reason"));
        this.hint = Objects.requireNonNull(hint, "hint");
    }

    /**
     * Says why.
     *
     * @param reason what is missing
     * @param hint   what helps
     * @param cause  what was thrown
     */
    public UnavailableException(String reason, String hint, Throwable cause) {
        super(Objects.requireNonNull(reason, "reason"), Objects.requireNonNull(cause, "cause"));
        this.hint = Objects.requireNonNull(hint, "hint");
    }

    /**
     * What {@link MemoryBackend#probe} answers.
     *
     * @return reason and hint
     */
    public BackendProbe.Unavailable answer() {
        return new BackendProbe.Unavailable(String.valueOf(getMessage()), hint);
    }
}
