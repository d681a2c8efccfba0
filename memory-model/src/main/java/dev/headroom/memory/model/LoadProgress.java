package dev.headroom.memory.model;

/**
 * Is told how far loading has come, after every few MiB, always by the thread that called {@link ModelLoader#load}. What
 * it throws ends the load: everything is given back, and the exception reaches the caller of {@code load}.
 */
@FunctionalInterface
public interface LoadProgress {

    /** What is being done. */
    enum Stage {
        /** Tensors go from the file into buffers. */
        COPY,
        /** Buffers are read back and compared with the file. */
        VERIFY
    }

    /**
     * Called after each piece, and once at the end of each stage.
     *
     * @param stage what is being done
     * @param bytesDone bytes finished in this stage
     * @param bytesTotal the bytes of all tensors
     * @param tensor the tensor this thread has just worked on
     */
    void advanced(Stage stage, long bytesDone, long bytesTotal, String tensor);

    /**
     * A listener that does nothing.
     *
     * @return the listener
     */
    static LoadProgress none() {
        return (_, _, _, _) -> {};
    }
}
