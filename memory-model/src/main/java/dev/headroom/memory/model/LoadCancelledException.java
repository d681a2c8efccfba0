package dev.headroom.memory.model;

import java.io.InterruptedIOException;

/**
 * Loading was called off, by {@link ModelLoader.Builder#cancelWhen} or by an interrupt of the loading thread, whose
 * interrupt flag is still set then. Everything the load had allocated has been given back.
 */
public final class LoadCancelledException extends InterruptedIOException {

    private static final long serialVersionUID = 1L;

    /** Whether an interrupt ended the load. */
    private final boolean byInterrupt;

    LoadCancelledException(boolean byInterrupt) {
        super(
                byInterrupt
                        ? "loading was interrupted; everything was given back"
                        : "loading was cancelled; everything was given back");
        this.byInterrupt = byInterrupt;
    }

    /**
     * Whether an interrupt ended the load.
     *
     * @return true for an interrupt, false if it was cancelled
     */
    public boolean byInterrupt() {
        return byInterrupt;
    }
}
