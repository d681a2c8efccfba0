package dev.headroom.memory.model.calibration;

import java.util.Objects;

/**
 * An estimate after what earlier loads have taught.
 *
 * @param predictedBytes the estimate before
 * @param correctedBytes the estimate after
 * @param measurements how many loads it was learned from
 * @param reason one line that says what was changed, and why
 */
public record Correction(long predictedBytes, long correctedBytes, int measurements, String reason) {

    /** Refuses a correction without a reason. */
    public Correction {
        Objects.requireNonNull(reason, "reason");
    }

    /**
     * By how much the estimate was changed.
     *
     * @return bytes; below 0 if it was lowered
     */
    public long deltaBytes() {
        return correctedBytes - predictedBytes;
    }

    @Override
    public String toString() {
        return reason;
    }
}
