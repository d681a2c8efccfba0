package dev.headroom.memory.model.calibration;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * Learns from loads how far estimates are off, per model, backend and driver.
 *
 * {@snippet lang = java :
 * Calibration calibration = Calibration.open();
 * CalibrationKey key = new CalibrationKey(ModelFingerprint.of(file), "cuda", driver);
 * long needed = predicted + calibration.correction(key, predicted).map(Correction::highBytes).orElse(0L);
 * // ... load, measure
 * calibration.record(key, predicted, measured);
 * }
 *
 * <p>The file is small, versioned and the user's own: {@code headroom/calibration.tsv} in the folder of the user's data. The
 * property {@code headroom.calibration} or the variable {@code HEADROOM_CALIBRATION} names another file, or is {@code off}.
 *
 * <p>Nothing here makes a load fail. A file that cannot be read or written, or is of a later version, is left alone; one
 * that is damaged is started anew. Either is logged once. Thread-safe, also over several processes.
 */
public final class Calibration {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final @Nullable CalibrationFile file;
    private final AtomicBoolean complained = new AtomicBoolean();

    private Calibration(@Nullable CalibrationFile file) {
        this.file = file;
    }

    /**
     * The user's calibration.
     *
     * @return the calibration, {@linkplain #off off} if the user wants none
     */
    public static Calibration open() {
        return CalibrationLocation.find(
                        name -> Optional.ofNullable(System.getProperty(name)),
                        name -> Optional.ofNullable(System.getenv(name)))
                .map(Calibration::at)
                .orElseGet(Calibration::off);
    }

    /**
     * A calibration in a file of one's own.
     *
     * @param path the file; it and its folder are made when there is something to write
     * @return the calibration
     */
    public static Calibration at(Path path) {
        return new Calibration(new CalibrationFile(path));
    }

    /**
     * A calibration that learns nothing and knows nothing.
     *
     * @return the calibration
     */
    public static Calibration off() {
        return new Calibration(null);
    }

    /**
     * The file it is kept in.
     *
     * @return the file, empty if it is off
     */
    public Optional<Path> path() {
        return Optional.ofNullable(file).map(CalibrationFile::path);
    }

    /**
     * What earlier loads teach about an estimate: what the last eight took above what was predicted then. The likely figure is
     * their median, the high one their maximum. Of three loads or more, those are passed over that differ from the median by
     * more than a sixteenth of what was predicted for them. No more than half of the estimate is added, and nothing is ever
     * taken off.
     *
     * @param key what is to be loaded, and where
     * @param predictedBytes the estimate, above 0
     * @return the correction, empty if nothing was learned
     */
    public Optional<Correction> correction(CalibrationKey key, long predictedBytes) {
        Objects.requireNonNull(key, "key");
        if (file == null || predictedBytes <= 0) {
            return Optional.empty();
        }
        List<Measurement> learned = measurements(file).stream()
                .filter(measurement -> measurement.key().equals(key))
                .toList();
        return learned.isEmpty() ? Optional.empty() : Optional.of(Lesson.of(learned, predictedBytes));
    }

    /**
     * Notes what a load took.
     *
     * @param key what was loaded, and where
     * @param predictedBytes the estimate before any correction, of nothing but what was loaded: the bytes of its tensors
     * @param measuredBytes what the pool took from the driver for just that, what is rounded up and left over included
     * @return true if it was noted; false if the calibration is off, a figure is not above 0, or the file cannot be written
     */
    public boolean record(CalibrationKey key, long predictedBytes, long measuredBytes) {
        Objects.requireNonNull(key, "key");
        if (file == null || predictedBytes <= 0 || measuredBytes <= 0) {
            return false;
        }
        try {
            return file.replace(() -> {
                List<Measurement> all = new ArrayList<>(readOrNone(file));
                all.add(new Measurement(key, predictedBytes, measuredBytes));
                return all;
            });
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        } catch (IOException | RuntimeException e) { // a security manager's or a file system's own
            complain("cannot be written", e);
            return false;
        }
    }

    private List<Measurement> measurements(CalibrationFile from) {
        try {
            return readOrNone(from);
        } catch (IOException | RuntimeException e) { // a security manager's or a file system's own
            complain("cannot be read", e);
            return List.of();
        }
    }

    /** What is in the file, or nothing if it is damaged. */
    private List<Measurement> readOrNone(CalibrationFile from) throws IOException {
        try {
            return from.read();
        } catch (DamagedFileException e) {
            complain("is damaged and started anew", e);
            return List.of();
        }
    }

    private void complain(String what, Exception cause) {
        if (!complained.getAndSet(true)) {
            LOG.log(
                    Level.WARNING,
                    "the calibration file {0} {1}: {2}",
                    path().map(Path::toString).orElse(""),
                    what,
                    String.valueOf(cause.getMessage()));
        }
    }
}
