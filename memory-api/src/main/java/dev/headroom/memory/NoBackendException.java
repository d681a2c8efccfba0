package dev.headroom.memory;

import java.io.Serial;
import java.util.List;

/** No device can take what was asked. Carries the verdict on every device considered. */
public class NoBackendException extends GpuMemoryException {

    @Serial
    private static final long serialVersionUID = 1;

    /** The verdict on every device considered. */
    private final transient List<Verdict> verdicts;

    /**
     * Describes the refusal.
     *
     * @param message  what went wrong and what to do
     * @param verdicts the verdict on every device considered, empty if there was none
     */
    public NoBackendException(String message, List<Verdict> verdicts) {
        super(message);
        this.verdicts = List.copyOf(verdicts);
    }

    /**
     * The verdict on every device considered.
     *
     * @return the verdicts, in the order of selection
     */
    public List<Verdict> verdicts() {
        return verdicts == null ? List.of() : verdicts;
    }
}
