package dev.headroom.memory.cli;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelFile;
import dev.headroom.memory.model.ModelFingerprint;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.model.calibration.CalibrationKey;
import dev.headroom.memory.model.calibration.Correction;
import java.io.IOException;
import java.nio.file.Files;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What loads teach about a model's tensors on each device. Compared is like with like: the bytes of the tensors that were put
 * on a device, and what its pool took from the driver for them. Nothing here fails: without what it needs there is nothing to
 * learn.
 *
 * @param calibration where it is kept
 * @param fingerprint the model's, empty where nothing can be known of it
 */
record LearnedBytes(Calibration calibration, Optional<String> fingerprint) {

    /** About a file that is going to be loaded. */
    static LearnedBytes of(Calibration calibration, GgufFile file) {
        return new LearnedBytes(calibration, calibration.path().map(_ -> ModelFingerprint.of(file)));
    }

    /** About a file that is planned for. Only GGUF files are loaded, so only of these anything is known. */
    static LearnedBytes of(Calibration calibration, ModelFile model) {
        if (model.format() == ModelFile.Format.GGUF
                && calibration.path().filter(Files::exists).isPresent()) {
            try {
                return of(calibration, GgufFile.read(model.path()));
            } catch (IOException e) {
                // It was read a moment ago; the plan stands by itself.
                return new LearnedBytes(calibration, Optional.empty());
            }
        }
        return new LearnedBytes(calibration, Optional.empty());
    }

    /** What to add on a device to a prediction. */
    Optional<Correction> correction(GpuDevice device, long predictedBytes) {
        return key(device).flatMap(key -> calibration.correction(key, predictedBytes));
    }

    /** The most to add on a device to a prediction, 0 where nothing is known. */
    long highBytes(GpuDevice device, long predictedBytes) {
        return correction(device, predictedBytes).map(Correction::highBytes).orElse(0L);
    }

    /**
     * Notes what the pools took for a model: of one device, or of all it was split over. A host that had to step in shows
     * that a device was full, and then its pool took what there was and not what it would.
     */
    void note(LoadedModel model, boolean planned) {
        Map<GpuMemoryPool, Long> placed = new LinkedHashMap<>();
        boolean steppedIn = false;
        for (FallbackBuffer buffer : model.buffers().values()) {
            GpuMemoryPool pool = buffer.asGpu().or(buffer::asCpu).orElseThrow().pool();
            placed.merge(pool, buffer.byteSize(), Long::sum);
            steppedIn |= pool.device().deviceClass() == DeviceClass.HOST && !planned && !pool.equals(model.pool());
        }
        if (steppedIn) {
            return;
        }
        placed.forEach((pool, bytes) -> key(pool.device()).ifPresent(key -> {
            // Whether it could be noted is for the log.
            boolean ignored = calibration.record(key, bytes, pool.stats().totalAllocatedBytes());
        }));
    }

    /** Empty for a device without a name that can be written. */
    private Optional<CalibrationKey> key(GpuDevice device) {
        try {
            return fingerprint.map(text -> CalibrationKey.of(text, device));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }
}
