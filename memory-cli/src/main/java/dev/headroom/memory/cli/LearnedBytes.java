package dev.headroom.memory.cli;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.ModelFile;
import dev.headroom.memory.model.ModelFingerprint;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.model.calibration.CalibrationKey;
import java.io.IOException;
import java.util.Optional;

/**
 * What loads teach about the bytes of a model's tensors on a device. For want of a driver's version the device's name stands
 * for it. Nothing here fails: without what it needs there is nothing to learn.
 */
record LearnedBytes(Calibration calibration) {

    /** Notes that all tensors of a file were loaded onto one device, and what its pool took for them. */
    void note(GgufFile file, GpuDevice device, long tookBytes) {
        key(file, device).ifPresent(key -> {
            // Whether it could be noted is for the log.
            boolean ignored = calibration.record(key, file.tensorBytes(), tookBytes);
        });
    }

    /** A remark for the plan of a model. Only GGUF files are loaded, so only of these anything is known. */
    Optional<String> remark(ModelFile model, Optional<GpuDevice> device) {
        if (calibration.path().isEmpty() || device.isEmpty() || model.format() != ModelFile.Format.GGUF) {
            return Optional.empty();
        }
        try {
            GgufFile file = GgufFile.read(model.path());
            return key(file, device.get())
                    .flatMap(key -> calibration.correction(key, file.tensorBytes()))
                    .map(learned -> "by what loads have taught, all tensors on %s take %s: %s"
                            .formatted(device.get().id(), ByteSize.format(learned.correctedBytes()), learned.reason()));
        } catch (IOException e) {
            return Optional.empty(); // it was read a moment ago; the plan stands without a remark
        }
    }

    /** Empty for a device without a name that can be written. */
    private static Optional<CalibrationKey> key(GgufFile file, GpuDevice device) {
        try {
            return Optional.of(new CalibrationKey(ModelFingerprint.of(file), device.backend(), device.name()));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }
}
