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

    private static final long PAGE_BYTES = 4096;

    /**
     * Cuts all tensors, in the order of the file, each into pieces as equal as whole pages allow: the JVM's copy routine is half
     * as fast again for pieces of some mebibytes as for the small rests that equal cuts leave none of.
     *
     * @param tensors the tensors
     * @param chunkBytes the most a piece has, a multiple of 4096
     */
    static List<TensorChunk> cut(List<GgufTensor> tensors, long chunkBytes) {
        List<TensorChunk> chunks = new ArrayList<>();
        for (GgufTensor tensor : tensors) {
            long size = tensor.byteSize();
            long count = Math.ceilDiv(size, chunkBytes);
            long piece = count == 0 ? chunkBytes : Math.ceilDiv(Math.ceilDiv(size, count), PAGE_BYTES) * PAGE_BYTES;
            for (long offset = 0; offset < size; offset += piece) {
                chunks.add(new TensorChunk(tensor, offset, Math.min(piece, size - offset)));
            }
        }
        return chunks;
    }

    /** Where in its shard the piece begins. */
    long fileOffset() {
        return tensor.fileOffset() + offset;
    }
}
