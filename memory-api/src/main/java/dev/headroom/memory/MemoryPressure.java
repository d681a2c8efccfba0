package dev.headroom.memory;

/**
 * How full a memory is, in four steps.
 *
 * <table>
 * <caption>Steps; u is the used share of the memory</caption>
 * <tr><th>step</th><th>u</th><th>free what is idle?</th><th>refuse requests?</th></tr>
 * <tr><td>{@link #LOW}</td><td>u &lt; 0.60</td><td>no</td><td>no</td></tr>
 * <tr><td>{@link #MEDIUM}</td><td>0.60 &lt;= u &lt; 0.80</td><td>no</td><td>no</td></tr>
 * <tr><td>{@link #HIGH}</td><td>0.80 &lt;= u &lt; 0.95</td><td>yes</td><td>no</td></tr>
 * <tr><td>{@link #CRITICAL}</td><td>0.95 &lt;= u</td><td>yes</td><td>yes</td></tr>
 * </table>
 *
 * <p>A threshold belongs to the step above it. The steps have no memory: no hysteresis, the same share always gives the
 * same step. For a device, u is the share of the <em>device</em> in use by every process, not how well a pool uses what
 * it holds ({@link MemoryStats#utilization()}).
 */
public enum MemoryPressure {
    /** Less than 60 % in use. Also the answer where nothing is known. */
    LOW,
    /** 60 % or more in use. */
    MEDIUM,
    /** 80 % or more in use: time to give idle memory back. */
    HIGH,
    /** 95 % or more in use: give idle memory back, and refuse what can wait. */
    CRITICAL;

    private static final double MEDIUM_FROM = 0.60;
    private static final double HIGH_FROM = 0.80;
    private static final double CRITICAL_FROM = 0.95;

    /**
     * The step of a used share.
     *
     * <p>A negative share (also negative infinity) is {@link #LOW}: figures taken at different moments can give a free
     * figure above the total. A share above 1 (also positive infinity) is {@link #CRITICAL}: more is in use than the
     * limit allows.
     *
     * @param utilization the used share, 0.0 empty to 1.0 full
     * @return the step
     * @throws IllegalArgumentException if {@code utilization} is NaN, which is what 0 used of 0 total divides to; where
     *     the total may be unknown, {@link #ofFree} decides
     */
    public static MemoryPressure of(double utilization) {
        if (Double.isNaN(utilization)) {
            throw new IllegalArgumentException("utilization is NaN: allowed is the used share, 0.0 to 1.0");
        }
        if (utilization >= CRITICAL_FROM) {
            return CRITICAL;
        }
        if (utilization >= HIGH_FROM) {
            return HIGH;
        }
        return utilization >= MEDIUM_FROM ? MEDIUM : LOW;
    }

    /**
     * The step of a memory with so many bytes free: {@code of((total - free) / total)}.
     *
     * <p>A total of 0 says that nothing is known. The answer is then {@link #LOW}: with no sign that memory is used,
     * refusing every request would only stop the program, while a real shortage still shows when the driver refuses. A
     * free figure above the total, which lagging figures can give, is {@link #LOW} too.
     *
     * @param freeBytes the free bytes, 0 or more
     * @param totalBytes the bytes there are, 0 or more; 0 where unknown
     * @return the step
     * @throws IllegalArgumentException if an argument is negative
     */
    public static MemoryPressure ofFree(long freeBytes, long totalBytes) {
        requireNotNegative("freeBytes", freeBytes);
        requireNotNegative("totalBytes", totalBytes);
        if (totalBytes == 0) {
            return LOW;
        }
        return of((double) (totalBytes - freeBytes) / (double) totalBytes);
    }

    /**
     * Whether idle memory should be given back.
     *
     * @return true at {@link #HIGH} and {@link #CRITICAL}
     */
    public boolean shouldFree() {
        return this == HIGH || this == CRITICAL;
    }

    /**
     * Whether requests that can wait should be refused.
     *
     * @return true at {@link #CRITICAL} only
     */
    public boolean shouldDeny() {
        return this == CRITICAL;
    }

    private static void requireNotNegative(String name, long value) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " is " + value + ": allowed are 0 or more");
        }
    }
}
