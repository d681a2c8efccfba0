package dev.headroom.memory.model.workspace;

/**
 * How the weights of a layer are packed, as far as its workspace is concerned: how many bytes an unpacked weight and a
 * value under way take. The figures are those of BitNet kernels.
 */
public enum QuantizationType {
    /** Two-bit signed weights. */
    I2S(2, 4),
    /** Weights looked up in tables, first form. */
    TL1(2, 4),
    /** Weights looked up in tables, second form. */
    TL2(4, 4);

    private final int dequantBytes;
    private final int intermediateBytes;

    QuantizationType(int dequantBytes, int intermediateBytes) {
        this.dequantBytes = dequantBytes;
        this.intermediateBytes = intermediateBytes;
    }

    /**
     * What one weight takes once it is unpacked.
     *
     * @return bytes
     */
    public int dequantBytes() {
        return dequantBytes;
    }

    /**
     * What one output value takes while it is computed.
     *
     * @return bytes
     */
    public int intermediateBytes() {
        return intermediateBytes;
    }
}
