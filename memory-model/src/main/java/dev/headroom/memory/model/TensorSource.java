package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Produces the bytes of tensors while a file is written.
 *
 * <p>A writer asks tensor by tensor in file order, and within a tensor from the first byte to the last in chunks of a few
 * MiB that never cut a block. It always calls from the thread that writes.
 */
@FunctionalInterface
public interface TensorSource {

    /**
     * Fills the target, from its position to its limit, with the bytes of a tensor from {@code offset} on.
     *
     * @param tensor the tensor asked for
     * @param offset where in the tensor the chunk starts, a multiple of eight blocks
     * @param target takes the bytes; its byte order is that of the file; valid during the call only
     * @throws IOException if the bytes cannot be had; the file is then not written
     */
    void fill(GgufTensor tensor, long offset, ByteBuffer target) throws IOException;
}
