package dev.headroom.memory.model;

/** Is told how far writing a file has come, after every few MiB, by the thread that writes. */
@FunctionalInterface
public interface WriteProgress {

    /**
     * Called after each chunk.
     *
     * @param bytesDone bytes written so far, header included
     * @param bytesTotal the size of the whole file
     */
    void wrote(long bytesDone, long bytesTotal);

    /**
     * A listener that does nothing.
     *
     * @return the listener
     */
    static WriteProgress none() {
        return (_, _) -> {};
    }
}
