package dev.headroom.memory.model;

import dev.headroom.memory.GpuMemoryException;

/**
 * A tensor read back from its buffer is not what the file holds: the device, its driver or the way there has damaged it.
 * The whole load has been undone.
 */
public final class TensorMismatchException extends GpuMemoryException {

    private static final long serialVersionUID = 1L;

    /** The tensor's name. */
    private final String tensor;
    /** The first byte that differs. */
    private final long byteOffset;

    TensorMismatchException(GgufTensor tensor, long byteOffset, byte expected, byte found, String where) {
        super("tensor %s differs from the file at its byte %d of %d: expected 0x%02x, found 0x%02x on %s"
                .formatted(
                        ModelFileException.quote(tensor.name()),
                        byteOffset,
                        tensor.byteSize(),
                        expected,
                        found,
                        where));
        this.tensor = tensor.name();
        this.byteOffset = byteOffset;
    }

    /**
     * The tensor.
     *
     * @return its name
     */
    public String tensor() {
        return tensor;
    }

    /**
     * The first byte that differs.
     *
     * @return its offset in the tensor
     */
    public long byteOffset() {
        return byteOffset;
    }
}
