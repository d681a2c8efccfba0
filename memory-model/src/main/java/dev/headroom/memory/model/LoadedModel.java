package dev.headroom.memory.model;

import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemoryPool;
import java.util.Collections;
import java.util.Map;

/**
 * The tensors of a model in buffers, which it owns. Thread-safe. To be closed before the {@code GpuMemory} its pool
 * belongs to; a buffer that was taken out ({@link FallbackBuffer#takeGpu}) is not closed with it.
 */
public final class LoadedModel implements AutoCloseable {

    private final GgufFile file;
    private final GpuMemoryPool pool;
    private final Map<String, FallbackBuffer> buffers;
    private final LoadStats stats;

    LoadedModel(GgufFile file, GpuMemoryPool pool, Map<String, FallbackBuffer> buffers, LoadStats stats) {
        this.file = file;
        this.pool = pool;
        this.buffers = Collections.unmodifiableMap(buffers);
        this.stats = stats;
    }

    /**
     * The file the tensors come from: names, types, dimensions, metadata.
     *
     * @return the file
     */
    public GgufFile file() {
        return file;
    }

    /**
     * The loader's pool: where the tensors are, unless {@link ModelLoader.Builder#pools} sent some elsewhere.
     *
     * @return the pool
     */
    public GpuMemoryPool pool() {
        return pool;
    }

    /**
     * All buffers by the names of their tensors, in the order of the file.
     *
     * @return an unmodifiable map
     */
    public Map<String, FallbackBuffer> buffers() {
        return buffers;
    }

    /**
     * The buffer of one tensor.
     *
     * @param tensor its name, for example {@code blk.0.attn_q.weight}
     * @return the buffer, owned by this object
     * @throws IllegalArgumentException if the model has no such tensor
     */
    public FallbackBuffer buffer(String tensor) {
        FallbackBuffer buffer = buffers.get(tensor);
        if (buffer == null) {
            throw new IllegalArgumentException(
                    "there is no tensor " + ModelFileException.quote(tensor) + "; file() lists those there are");
        }
        return buffer;
    }

    /**
     * What loading came to.
     *
     * @return the figures
     */
    public LoadStats stats() {
        return stats;
    }

    /** Gives all buffers back. Closing twice does nothing. Never throws. */
    @Override
    public void close() {
        buffers.values().forEach(FallbackBuffer::close);
    }

    @Override
    public String toString() {
        return "LoadedModel[" + stats.tensors() + " tensors, " + stats.bytes() + " bytes on "
                + pool.device().id() + "]";
    }
}
