package dev.headroom.memory.model.calibration;

/** One load: what was predicted, and what it took; bytes above 0. */
record Measurement(CalibrationKey key, long predictedBytes, long measuredBytes) {

    private static final int FIELDS = 5;

    String toLine() {
        return String.join(
                "\t",
                key.fingerprint(),
                key.backend(),
                key.driver(),
                String.valueOf(predictedBytes),
                String.valueOf(measuredBytes));
    }

    static Measurement parse(String line) throws DamagedFileException {
        String[] fields = line.split("\t", -1);
        if (fields.length != FIELDS) {
            throw new DamagedFileException(fields.length + " fields instead of " + FIELDS);
        }
        try {
            CalibrationKey key = new CalibrationKey(fields[0], fields[1], fields[2]);
            long predicted = Long.parseLong(fields[3]);
            long measured = Long.parseLong(fields[4]);
            if (predicted <= 0 || measured <= 0) {
                throw new DamagedFileException("sizes that are not above 0");
            }
            return new Measurement(key, predicted, measured);
        } catch (IllegalArgumentException e) {
            throw new DamagedFileException("a field that is empty or no number");
        }
    }

    /** How much more it took than predicted; below 0 if less. */
    long deltaBytes() {
        return measuredBytes - predictedBytes;
    }
}
