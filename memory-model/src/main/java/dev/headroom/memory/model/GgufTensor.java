package dev.headroom.memory.model;

import dev.headroom.memory.DataType;
import java.util.List;

/**
 * Where one tensor lies and how big it is. Immutable; may be used by any thread.
 *
 * @param name its name, unique in the model, 1 to 63 bytes of UTF-8
 * @param type how its values are stored
 * @param dims one to four extents, fastest-moving first (the reverse of the order PyTorch prints), each at least 1; the
 *     first is a multiple of the type's block
 * @param shard which file holds it, an index into {@link GgufFile#shards}; 0 unless the model is split
 * @param fileOffset its first byte, counted from the start of that file
 * @param byteSize its exact size in bytes, without padding
 */
public record GgufTensor(String name, DataType type, List<Long> dims, int shard, long fileOffset, long byteSize) {

    /** Copies the extents. */
    public GgufTensor {
        dims = List.copyOf(dims);
    }

    /**
     * The number of values.
     *
     * @return the product of all extents
     */
    public long elements() {
        long elements = 1;
        for (long dim : dims) {
            // Cannot wrap for tensors that were read or written here; a hand-made one must not lie either.
            elements = Math.multiplyExact(elements, dim);
        }
        return elements;
    }

    /**
     * The position just behind the last byte, in the file.
     *
     * @return {@code fileOffset + byteSize}
     */
    public long endOffset() {
        return fileOffset + byteSize;
    }
}
