package dev.headroom.memory.model.workspace;

import java.util.Objects;

/**
 * The layer a workspace is for.
 *
 * @param inFeatures values per row going in, above 0
 * @param outFeatures values per row coming out, above 0
 * @param quantization how its weights are packed
 */
public record WorkspaceLayer(long inFeatures, long outFeatures, QuantizationType quantization) {

    /** Refuses a layer without weights. */
    public WorkspaceLayer {
        Objects.requireNonNull(quantization, "quantization");
        if (inFeatures <= 0) {
            throw new IllegalArgumentException("inFeatures is " + inFeatures + ": must be above 0");
        }
        if (outFeatures <= 0) {
            throw new IllegalArgumentException("outFeatures is " + outFeatures + ": must be above 0");
        }
    }

    /**
     * The unpacked weights: {@code in x out x dequantBytes}.
     *
     * @return bytes; {@link Long#MAX_VALUE} if they are more than a {@code long} can count
     */
    public long dequantizedBytes() {
        return times(times(inFeatures, outFeatures), quantization.dequantBytes());
    }

    /**
     * What one row of a batch takes: {@code out x intermediateBytes}.
     *
     * @return bytes; {@link Long#MAX_VALUE} if they are more than a {@code long} can count
     */
    public long rowBytes() {
        return times(outFeatures, quantization.intermediateBytes());
    }

    @Override
    public String toString() {
        return inFeatures + " x " + outFeatures + ", " + quantization;
    }

    /** A product of numbers above 0 that stops at the top instead of wrapping. */
    static long times(long a, long b) {
        return Math.multiplyHigh(a, b) != 0 || a * b < 0 ? Long.MAX_VALUE : a * b;
    }
}
