package dev.headroom.memory.model;

import java.time.Duration;

/**
 * What loading a model came to.
 *
 * @param tensors how many tensors were loaded
 * @param bytes their bytes
 * @param elapsed from the first allocation to the arrival of the last byte; opening the file, choosing the device and
 *     verifying are not in it
 * @param fallbackBuffers how many tensors host memory stands in for, because the device was full
 * @param fallbackBytes the bytes of these
 * @param verified whether all bytes were read back and compared with the file
 * @param threads how many threads were to copy, the calling one included
 */
public record LoadStats(
        int tensors,
        long bytes,
        Duration elapsed,
        int fallbackBuffers,
        long fallbackBytes,
        boolean verified,
        int threads) {

    /**
     * How fast the bytes arrived.
     *
     * @return {@code bytes} by {@code elapsed}; 0 if no time passed
     */
    public double bytesPerSecond() {
        long nanos = elapsed.toNanos();
        return nanos == 0 ? 0 : bytes * 1e9 / nanos;
    }
}
