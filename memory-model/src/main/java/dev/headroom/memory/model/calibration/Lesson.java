package dev.headroom.memory.model.calibration;

import dev.headroom.memory.ByteSize;
import java.util.List;

/**
 * What some loads teach. What they took beyond the prediction is mostly the unused end of the last block and the rounding of
 * each tensor: a number of bytes that does not grow with the model, so it is carried as a difference and not as a ratio.
 */
final class Lesson {

    /** So many loads agree on what is usual; of two nobody knows which is the odd one. */
    private static final int ENOUGH = 3;

    /** The share of a prediction by which a load may differ from the median before it is passed over. */
    private static final long OUTLIER_SHARE = 16;

    /** The share of an estimate that is corrected at most. */
    private static final long MOST_SHARE = 2;

    private Lesson() {}

    /** The correction of an estimate; the measurements are of one key, at least one. */
    static Correction of(List<Measurement> learned, long predictedBytes) {
        long usual = median(learned.stream().map(Lesson::excess).toList());
        List<Long> kept = learned.stream()
                .filter(one -> learned.size() < ENOUGH
                        || Math.abs(excess(one) - usual) <= one.predictedBytes() / OUTLIER_SHARE)
                .map(Lesson::excess)
                .sorted()
                .toList();
        long most = predictedBytes / MOST_SHARE;
        return new Correction(
                Math.min(median(kept), most),
                Math.min(kept.getFirst(), most),
                Math.min(kept.getLast(), most),
                kept.size(),
                reason(learned, kept, kept.getLast() > most));
    }

    private static long excess(Measurement measurement) {
        return Math.max(0, measurement.deltaBytes());
    }

    /** Of an even number the upper one of the two in the middle: rather too much than too little. */
    private static long median(List<Long> figures) {
        return figures.stream().sorted().toList().get(figures.size() / 2);
    }

    private static String reason(List<Measurement> learned, List<Long> sorted, boolean capped) {
        CalibrationKey key = learned.getFirst().key();
        StringBuilder reason = new StringBuilder(
                "learned from %s on %s (%s), which took ".formatted(count(sorted.size()), key.backend(), key.driver()));
        long low = sorted.getFirst();
        long high = sorted.getLast();
        if (high == 0) {
            reason.append("no more");
        } else if (low == high) {
            reason.append(ByteSize.format(high)).append(" more");
        } else {
            reason.append(ByteSize.format(low))
                    .append(" to ")
                    .append(ByteSize.format(high))
                    .append(" more");
        }
        reason.append(" than predicted");
        if (sorted.size() < learned.size()) {
            int others = learned.size() - sorted.size();
            reason.append("; ")
                    .append(count(others))
                    .append(others == 1 ? " that differs" : " that differ")
                    .append(" passed over");
        }
        if (capped) {
            reason.append("; no more than half of an estimate is added");
        }
        return reason.toString();
    }

    private static String count(int loads) {
        return loads == 1 ? "1 load" : loads + " loads";
    }
}
