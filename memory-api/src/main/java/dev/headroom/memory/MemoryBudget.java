package dev.headroom.memory;

import java.time.Duration;
import java.util.Locale;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * What the system says about a device's memory: how much there is, how much of it is free, and where that figure comes
 * from. What this process holds is not in here; that is the ledger's business.
 *
 * @param totalBytes  all memory of the device in bytes, 0 or more
 * @param freeBytes   what is free in bytes, if anything can be said
 * @param source      where the free figure comes from
 * @param detail      the call or file the figures come from, in words
 * @param lagging     whether the free figure falls only when granted memory is first touched, as with host mappings
 * @param readAtNanos when it was read, on the clock of the {@code GpuMemory} that read it
 */
public record MemoryBudget(
        long totalBytes, OptionalLong freeBytes, Source source, String detail, boolean lagging, long readAtNanos) {

    /** The share of the total that counts as free when nothing measures it. */
    public static final double UNKNOWN_FREE_SHARE = 0.8;

    /** Where a free figure comes from. */
    public enum Source {
        /** The driver or the operating system measures it. */
        MEASURED,
        /** Computed from something else that is measured. */
        DERIVED,
        /** Nothing tells; {@link MemoryBudget#freeBytes()} is empty. */
        UNKNOWN;

        /**
         * The name used in reports and JSON.
         *
         * @return the lower-case name
         */
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Refuses figures that contradict each other; a free figure above the total is cut to the total. */
    public MemoryBudget {
        Objects.requireNonNull(source, "source");
        Objects.requireNonNull(detail, "detail");
        if (totalBytes < 0) {
            throw new IllegalArgumentException("totalBytes is " + totalBytes + ": must be 0 or more");
        }
        if (freeBytes.isPresent() == (source == Source.UNKNOWN)) {
            throw new IllegalArgumentException("a free figure and source " + source.label() + " contradict each other");
        }
        if (freeBytes.isPresent()) {
            freeBytes = OptionalLong.of(Math.clamp(freeBytes.getAsLong(), 0, totalBytes));
        }
    }

    /**
     * A budget the driver or the operating system measures.
     *
     * @param totalBytes total in bytes
     * @param freeBytes  free in bytes
     * @param detail     the call or file it comes from
     * @return the budget, read now
     */
    public static MemoryBudget measured(long totalBytes, long freeBytes, String detail) {
        return new MemoryBudget(
                totalBytes, OptionalLong.of(freeBytes), Source.MEASURED, detail, false, System.nanoTime());
    }

    /**
     * A budget whose free figure is computed from another measurement.
     *
     * @param totalBytes total in bytes
     * @param freeBytes  free in bytes
     * @param detail     what it is computed from
     * @return the budget, read now
     */
    public static MemoryBudget derived(long totalBytes, long freeBytes, String detail) {
        return new MemoryBudget(
                totalBytes, OptionalLong.of(freeBytes), Source.DERIVED, detail, false, System.nanoTime());
    }

    /**
     * A budget without a free figure.
     *
     * @param totalBytes total in bytes
     * @param detail     why nothing tells
     * @return the budget, read now
     */
    public static MemoryBudget unknown(long totalBytes, String detail) {
        return new MemoryBudget(totalBytes, OptionalLong.empty(), Source.UNKNOWN, detail, false, System.nanoTime());
    }

    /**
     * This budget, marked as one whose free figure falls only when memory is touched.
     *
     * @return a lagging copy
     */
    public MemoryBudget withLag() {
        return new MemoryBudget(totalBytes, freeBytes, source, detail, true, readAtNanos);
    }

    /**
     * This budget as read at another moment.
     *
     * @param nanos the moment, on the caller's clock
     * @return a copy with that moment
     */
    public MemoryBudget readAt(long nanos) {
        return new MemoryBudget(totalBytes, freeBytes, source, detail, lagging, nanos);
    }

    /**
     * How old the figures are.
     *
     * @param nowNanos the present, on the clock of {@link #readAtNanos()}
     * @return the age
     */
    public Duration age(long nowNanos) {
        return Duration.ofNanos(nowNanos - readAtNanos);
    }

    /**
     * Whether the device alone could hold so much: by its free figure, or by 0.8 of its total where there is none. The
     * margins of a configuration are not in this; selection applies them.
     *
     * @param requiredBytes bytes wanted
     * @return true if they fit
     */
    public boolean canFit(long requiredBytes) {
        return freeBytes.orElse((long) (totalBytes * UNKNOWN_FREE_SHARE)) >= requiredBytes;
    }
}
