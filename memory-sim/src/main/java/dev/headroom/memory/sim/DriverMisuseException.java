package dev.headroom.memory.sim;

import java.io.Serial;

/** Thrown where a {@link Violation} is recorded, so that the test fails at the place where it went wrong. */
public final class DriverMisuseException extends IllegalStateException {

    @Serial
    private static final long serialVersionUID = 1;

    private final transient Violation violation;

    DriverMisuseException(Violation violation) {
        super(violation.toString());
        this.violation = violation;
    }

    /**
     * What went wrong.
     *
     * @return the violation
     */
    public Violation violation() {
        return violation;
    }
}
