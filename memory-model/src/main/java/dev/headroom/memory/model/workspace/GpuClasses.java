package dev.headroom.memory.model.workspace;

import java.util.Comparator;
import java.util.List;

/**
 * How large a batch is worth having, by the size of a card. Cards report a little less than is printed on them (a card of
 * 24 GB 24 080 MiB, one of 8 GB 7807 MiB), so what is compared is the nominal size: the reported one rounded up to the next
 * GiB, if that is not more than {@code tolerance} away.
 *
 * @param steps the classes, from the largest cards to the smallest; the last begins at 0
 * @param tolerance the largest share of a nominal size that may be missing, 0 to 0.5; 0 compares what is reported
 */
public record GpuClasses(List<Step> steps, double tolerance) {

    private static final long GIB = 1L << 30;
    private static final double MAX_TOLERANCE = 0.5;

    /**
     * The cards from a size on.
     *
     * @param fromBytes the smallest nominal size in bytes, 0 or more
     * @param maxBatch the most rows in a batch, above 0
     */
    public record Step(long fromBytes, int maxBatch) {

        /** Refuses a class of nothing. */
        public Step {
            if (fromBytes < 0) {
                throw new IllegalArgumentException("fromBytes is " + fromBytes + ": must be 0 or more");
            }
            if (maxBatch <= 0) {
                throw new IllegalArgumentException("maxBatch is " + maxBatch + ": must be above 0");
            }
        }
    }

    /** The classes unless set: 512 rows from 24 GiB on, 256 from 8, 128 from 4, else 64; a twentieth may be missing. */
    public static final GpuClasses DEFAULT = new GpuClasses(
            List.of(new Step(24 * GIB, 512), new Step(8 * GIB, 256), new Step(4 * GIB, 128), new Step(0, 64)), 0.05);

    /** Refuses classes that leave a card out. */
    public GpuClasses {
        steps = List.copyOf(steps);
        List<Step> falling = steps.stream()
                .sorted(Comparator.comparingLong(Step::fromBytes).reversed())
                .toList();
        if (steps.isEmpty() || steps.getLast().fromBytes() != 0 || !falling.equals(steps)) {
            throw new IllegalArgumentException("steps must fall from the largest cards to 0, but are " + steps);
        }
        if (!(tolerance >= 0 && tolerance <= MAX_TOLERANCE)) {
            throw new IllegalArgumentException("tolerance is " + tolerance + ": must be from 0 to " + MAX_TOLERANCE);
        }
    }

    /**
     * The size printed on a card, as far as it can be told.
     *
     * @param totalBytes what it reports, 0 or more
     * @return the next whole GiB if it is near enough, else {@code totalBytes}
     */
    public long nominalBytes(long totalBytes) {
        long rest = totalBytes % GIB;
        if (rest == 0 || totalBytes > Long.MAX_VALUE - GIB) {
            return totalBytes;
        }
        long missing = GIB - rest;
        long next = totalBytes + missing;
        return missing <= next * tolerance ? next : totalBytes;
    }

    /**
     * The class of a card.
     *
     * @param totalBytes what it reports, 0 or more
     * @return the class
     */
    public Step of(long totalBytes) {
        long nominal = nominalBytes(totalBytes);
        return steps.stream()
                .filter(step -> nominal >= step.fromBytes())
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("totalBytes is " + totalBytes + ": must be 0 or more"));
    }
}
