package dev.headroom.memory.model.calibration;

import java.util.Objects;

/**
 * What earlier loads took beyond what was predicted, to be added to a new estimate. Never below 0: what was predicted are the
 * bytes of tensors, and no allocator takes less.
 *
 * @param bytes the most likely figure: the median of the loads
 * @param lowBytes the least that any of them took more
 * @param highBytes the most that any of them took more
 * @param measurements how many loads it was learned from, outliers not counted
 * @param reason one line that says from what it was learned
 */
public record Correction(long bytes, long lowBytes, long highBytes, int measurements, String reason) {

    /** Refuses a correction without a reason, and one that lies outside its bounds or below 0. */
    public Correction {
        Objects.requireNonNull(reason, "reason");
        if (lowBytes < 0 || lowBytes > bytes || bytes > highBytes) {
            throw new IllegalArgumentException("a correction must lie between its bounds, but is " + bytes + " of "
                    + lowBytes + " to " + highBytes);
        }
    }

    @Override
    public String toString() {
        return reason;
    }
}
