package dev.headroom.memory.model;

import java.util.ArrayList;
import java.util.List;

/**
 * A piece of one tensor, small enough that cancelling need not wait for more than one.
 *
 * @param tensor the tensor
 * @param offset where in it the piece begins
 * @param byteSize how long it is
 */
record TensorChunk(GgufTensor tensor, long offset, long byteSize) {

    /** Cuts all tensors, in the order of the file. */
    static List<TensorChunk> cut(List<GgufTensor> tensors, long chunkBytes) {
        List<TensorChunk> chunks = new ArrayList<>();
        for (GgufTensor tensor : tensors) {
            for (long offset = 0; offset < tensor.byteSize(); offset += chunkBytes) {
                chunks.add(new TensorChunk(tensor, offset, Math.min(chunkBytes, tensor.byteSize() - offset)));
            }
        }
        return chunks;
    }

    /** Where in its shard the piece begins. */
    long fileOffset() {
        return tensor.fileOffset() + offset;
    }
}
