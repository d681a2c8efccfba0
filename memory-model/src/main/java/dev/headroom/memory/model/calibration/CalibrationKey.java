package dev.headroom.memory.model.calibration;

import dev.headroom.memory.GpuDevice;

/**
 * What a measurement is true for. Control characters are replaced by spaces, and long texts are cut to
 * {@value #MAX_CHARS} characters: drivers name themselves as they like.
 *
 * @param fingerprint the model's, as {@code ModelFingerprint} gives it
 * @param backend the backend's name, such as {@code cuda}
 * @param driver the device's name, and the version of its driver where that tells one
 */
public record CalibrationKey(String fingerprint, String backend, String driver) {

    /** How much of each text counts. */
    public static final int MAX_CHARS = 128;

    /** Cleans the texts, and refuses empty ones. */
    public CalibrationKey {
        fingerprint = cleaned("fingerprint", fingerprint);
        backend = cleaned("backend", backend);
        driver = cleaned("driver", driver);
    }

    /**
     * The key of a model on a device.
     *
     * @param fingerprint the model's, as {@code ModelFingerprint} gives it
     * @param device the device
     * @return the key
     * @throws IllegalArgumentException if the device has no name that can be written
     */
    public static CalibrationKey of(String fingerprint, GpuDevice device) {
        String version = device.driverVersion().map(text -> ", driver " + text).orElse("");
        return new CalibrationKey(fingerprint, device.backend(), device.name() + version);
    }

    private static String cleaned(String name, String text) {
        StringBuilder clean = new StringBuilder();
        for (int i = 0; i < Math.min(text.length(), MAX_CHARS); i++) {
            char c = text.charAt(i);
            // A lone half of a pair could not be written as UTF-8.
            clean.append(Character.isISOControl(c) || Character.isSurrogate(c) ? ' ' : c);
        }
        String stripped = clean.toString().strip();
        if (stripped.isEmpty()) {
            throw new IllegalArgumentException(name + " must not be blank");
        }
        return stripped;
    }
}
