package dev.headroom.memory;

import java.io.Closeable;
import java.io.IOException;

/**
 * Writes down what a pool allocates and frees, until it is closed. A text with one operation on each line, which
 * {@code headroom replay} runs again:
 *
 * <pre>{@code
 * a ID BYTES    allocated BYTES, as asked for, and called them ID
 * f ID          freed ID
 * }</pre>
 *
 * Each ID is given once. A line {@code a} is written after the memory was taken and before anybody has the buffer; a line
 * {@code f} when the buffer is closed and before its memory can serve another, whether or not work is pending on it. So what
 * the trace has allocated at any line was allocated in the pool at that moment. Buffers opened before the recording began are
 * not in it, and neither is what the host stood in for; buffers still open at its end are not freed there.
 *
 * <p>Never fails an allocation. Where the file cannot be written, or cannot keep up, the recording ends, and {@link #close}
 * says so. Thread-safe.
 */
public interface TraceRecording extends Closeable {

    /**
     * What was noted until now.
     *
     * @return allocations and frees
     */
    long operations();

    /**
     * Ends the recording and waits until all of it is written. Closing twice does nothing. A pool that is closed ends its
     * recording itself; whether all was written is told here all the same.
     *
     * @throws IOException if the recording ended early: the file could not be written, or not fast enough. What is there then
     *                     may end within a line
     */
    @Override
    void close() throws IOException;
}
