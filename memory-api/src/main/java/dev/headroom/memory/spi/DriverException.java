package dev.headroom.memory.spi;

import java.io.Serial;

/**
 * A driver call that failed for a reason the caller could not foresee. Checked, so that no backend and no part of the
 * engine forgets it. Misuse is not among the kinds: the engine prevents it.
 */
public final class DriverException extends Exception {

    @Serial
    private static final long serialVersionUID = 1;

    /** What went wrong, as far as it decides what to do next. */
    public enum Kind {
        /** The device or the system has no memory left; giving some back may help. */
        OUT_OF_MEMORY,
        /** The device or its context is gone; nothing will work on it again. */
        DEVICE_LOST,
        /** The driver does not offer this; another way may work. */
        UNSUPPORTED,
        /** Anything else. */
        UNEXPECTED
    }

    /** What went wrong. */
    private final Kind kind;
    /** The driver's own code. */
    private final long nativeCode;
    /** The native call that failed. */
    private final String call;

    /**
     * Describes a failed call.
     *
     * @param kind       what went wrong
     * @param nativeCode the driver's own code, 0 if it has none
     * @param call       the native call, such as {@code cuMemAlloc}
     * @param detail     the code's name or the driver's text
     */
    public DriverException(Kind kind, long nativeCode, String call, String detail) {
        super(call + " failed: " + detail + " (code " + nativeCode + ")");
        this.kind = kind;
        this.nativeCode = nativeCode;
        this.call = call;
    }

    /**
     * What went wrong.
     *
     * @return the kind
     */
    public Kind kind() {
        return kind;
    }

    /**
     * The driver's own code.
     *
     * @return the code, 0 if it has none
     */
    public long nativeCode() {
        return nativeCode;
    }

    /**
     * The native call that failed.
     *
     * @return its name
     */
    public String call() {
        return call;
    }
}
