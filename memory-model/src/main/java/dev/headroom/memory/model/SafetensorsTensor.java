package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.util.List;

/**
 * One tensor of a safetensors model.
 *
 * @param name its name
 * @param type the type of its values
 * @param shape its extents, slowest-moving first (the reverse of GGUF); empty for a single value; extents may be 0
 * @param shard which file it lies in, counted from 0
 * @param fileOffset where its data starts in that file
 * @param byteSize how many bytes its data takes, possibly 0
 */
public record SafetensorsTensor(
        String name, DataType type, List<Long> shape, int shard, long fileOffset, long byteSize) {

    /** Copies the extents. */
    public SafetensorsTensor {
        shape = List.copyOf(shape);
    }

    /**
     * The number of values.
     *
     * @return the product of the extents
     * @throws ArithmeticException if it does not fit in a {@code long}
     */
    public long elements() {
        long elements = 1;
        for (long extent : shape) {
            elements = Math.multiplyExact(elements, extent);
        }
        return elements;
    }
}
