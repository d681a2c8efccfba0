package dev.headroom.memory.sim;

/**
 * Something done to a simulated driver that its contract forbids.
 *
 * @param type    which rule was broken
 * @param message what happened, with the objects involved
 * @param atNanos when, on the clock of the device
 */
public record Violation(Type type, String message, long atNanos) {

    /** The rules. */
    public enum Type {
        /** An argument the engine must never pass: a size off the granularity, an unsupported kind. */
        BAD_ARGUMENT,
        /** A range outside its block. */
        OUT_OF_RANGE,
        /** A block, queue, fence, mapping, driver or backend used after it was given back. */
        USE_AFTER_CLOSE,
        /** Something given back twice. */
        DOUBLE_CLOSE,
        /** A block, queue or mapping given back while work on it was pending, or a block while it was mapped. */
        CLOSED_IN_USE,
        /** Memory mapped for the host while work on it was pending. */
        HOST_RACE,
        /** Two pieces of work on the same bytes, one of them writing, with nothing to order them. */
        QUEUE_RACE,
        /** Memory touched whose giving back had failed. */
        QUARANTINE_TOUCHED,
        /** A piece of a range committed twice, taken back without being committed, or used without being committed. */
        COMMITMENT,
        /** An object of another driver, device or backend. */
        FOREIGN_OBJECT,
        /** A driver closed while something of it was alive, or a backend while a driver was open. */
        LEFT_BEHIND,
        /** Bytes read that nobody had written, where that is watched. */
        UNWRITTEN_READ,
        /** Host memory that was closed while a copy needed it, or that a driver cannot reach. */
        HOST_SEGMENT,
        /** The body of a kernel threw. */
        KERNEL_FAILED
    }

    @Override
    public String toString() {
        return type + ": " + message;
    }
}
