package dev.headroom.memory;

/**
 * How much a pool remembers about the buffers it has handed out: a dial between speed and what a leak report can name.
 *
 * <table>
 * <caption>What each level can name</caption>
 * <tr><th>level</th><th>buffers out</th><th>tag, age</th><th>allocation site</th></tr>
 * <tr><td>{@link #OFF}</td><td>how many</td><td>no</td><td>no</td></tr>
 * <tr><td>{@link #COUNT}</td><td>how many</td><td>no</td><td>no</td></tr>
 * <tr><td>{@link #SAMPLED}</td><td>how many</td><td>of some</td><td>of some</td></tr>
 * <tr><td>{@link #FULL}</td><td>how many</td><td>of all</td><td>of all</td></tr>
 * </table>
 *
 * <p>What is remembered of a buffer also tells, without a further price, where a buffer used after its close was closed and
 * where it was allocated (suppressed exceptions of {@link BufferClosedException}), and that it was closed twice, which is
 * harmless (once per buffer, at level DEBUG). A remembered buffer the program drops without closing it is reported when the
 * garbage collector has found it and the pool looks: on its next remembered allocation, growth or shrink, or within
 * {@link MemoryConfig#pressureInterval}. Until then, and longer unless {@link MemoryConfig#reclaimLeaked} says otherwise, its
 * memory stays in use.
 *
 * <p>Bytes are counted at every level: budgets and {@link MemoryStats} do not depend on this dial. It is set by
 * configuration only; running with assertions does not move it. Levels are ordered: a later one names everything an
 * earlier one does.
 */
public enum TrackingLevel {
    /**
     * Remembers nothing.
     *
     * <p>Price: none. Names: how many buffers are out, because the books of a pool know that anyway.
     */
    OFF,

    /**
     * Counts the buffers that are out. The default.
     *
     * <p>Price: none in the engine's pools; one counter update per allocation and per close elsewhere. Names: how many
     * buffers are out, not which.
     */
    COUNT,

    /**
     * Counts all buffers and describes a sample of them.
     *
     * <p>Price: that of {@link #COUNT}, a shared counter per allocation, and for one allocation in 64 that of {@link #FULL}.
     * Names: tag, age and allocation site of the sampled buffers. A leak that repeats is found sooner or later; one that
     * happens once may be missed.
     */
    SAMPLED,

    /**
     * Describes every buffer.
     *
     * <p>Price: per allocation a stack walk, a few objects, a phantom reference and an entry in an {@link AllocationTracker};
     * per close a second stack walk. The entry goes with the close, the two stacks with the last reference to the closed
     * buffer. One thread per pool looks for dropped buffers. For tests and for finding a known leak. Names: tag, age and allocation site
     * of every buffer that is out.
     */
    FULL
}
