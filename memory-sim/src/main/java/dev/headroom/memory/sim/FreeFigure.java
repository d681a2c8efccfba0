package dev.headroom.memory.sim;

/**
 * What a simulated device says when it is asked how much memory is free. Drivers differ in this more than in anything.
 */
public sealed interface FreeFigure {

    /** The truth. */
    record Measured() implements FreeFigure {}

    /** Nothing: only the total is known. */
    record Unknown() implements FreeFigure {}

    /** A figure that falls only when memory is first written, as with host mappings. */
    record Lagging() implements FreeFigure {}

    /**
     * A figure that is off.
     *
     * @param bytes what is added to the truth, may be negative
     */
    record OffBy(long bytes) implements FreeFigure {}

    /**
     * A figure that never changes.
     *
     * @param bytes the figure
     */
    record Constant(long bytes) implements FreeFigure {}

    /**
     * The truth.
     *
     * @return the figure
     */
    static FreeFigure measured() {
        return new Measured();
    }

    /**
     * Nothing: only the total is known.
     *
     * @return the figure
     */
    static FreeFigure unknown() {
        return new Unknown();
    }

    /**
     * A figure that falls only when memory is first written.
     *
     * @return the figure
     */
    static FreeFigure lagging() {
        return new Lagging();
    }

    /**
     * A figure that is off.
     *
     * @param bytes what is added to the truth, may be negative
     * @return the figure
     */
    static FreeFigure offBy(long bytes) {
        return new OffBy(bytes);
    }

    /**
     * A figure that never changes.
     *
     * @param bytes the figure
     * @return the figure
     */
    static FreeFigure constant(long bytes) {
        return new Constant(bytes);
    }
}
