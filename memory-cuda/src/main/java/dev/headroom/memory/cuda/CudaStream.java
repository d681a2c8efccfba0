package dev.headroom.memory.cuda;

import dev.headroom.memory.NativeQueue;
import java.util.Objects;
import jcuda.driver.CUstream;

/**
 * A stream of the user's own, for {@code buffer.waitOn(stream)} before a kernel and {@code buffer.usedOn(stream)} behind
 * it. Headroom neither keeps nor destroys it. It must belong to the primary context of the buffer's device, which is the
 * one CUDA's runtime uses; see {@link CudaContext}. A stream that is being captured into a graph cannot be used. Immutable;
 * may be used by several threads.
 */
public final class CudaStream implements NativeQueue {

    private final CUstream stream;

    private CudaStream(CUstream stream) {
        this.stream = stream;
    }

    /**
     * Wraps a stream.
     *
     * @param stream the stream, not destroyed while it is in use here; {@code new CUstream()} is the default one
     * @return the wrapper
     */
    public static CudaStream of(CUstream stream) {
        return new CudaStream(Objects.requireNonNull(stream, "stream"));
    }

    @Override
    public String backend() {
        return CudaBackend.NAME;
    }

    /**
     * The stream.
     *
     * @return what {@link #of} was given
     */
    public CUstream stream() {
        return stream;
    }
}
