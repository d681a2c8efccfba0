package dev.headroom.memory.engine;

import dev.headroom.memory.TraceRecording;
import java.io.IOException;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * The recordings of one pool, one after the other. Names in traces go on from one recording to the next, so that a buffer of an
 * earlier one is not taken for one of the later. Thread-safe.
 */
final class Recordings {

    private volatile @Nullable TraceRecorder current;
    // Guarded by this.
    private long lastId;

    /** The recording that is on; null if none is. */
    @Nullable
    TraceRecorder current() {
        return current;
    }

    /** Opens the output of a recording whose names come after the last one that is taken. */
    @FunctionalInterface
    interface Opening {
        TraceRecorder after(long lastId) throws IOException;
    }

    /**
     * Begins a recording.
     *
     * @param pool    whose recording it is, for messages
     * @param opening opens it
     * @throws IOException           if the file cannot be opened
     * @throws IllegalStateException if one is on
     */
    synchronized TraceRecording begin(Object pool, Opening opening) throws IOException {
        TraceRecorder before = current;
        if (before != null) {
            if (!before.hasEnded()) {
                throw new IllegalStateException(
                        pool + " is being recorded to " + before + ": close that recording first");
            }
            drop(before);
        }
        TraceRecorder recorder = opening.after(lastId);
        recorder.start();
        current = recorder;
        return recorder;
    }

    /** A buffer was opened that nobody has yet, while a recording was on. */
    void opened(EngineBuffer buffer, TraceRecorder recorder) {
        long id = recorder.allocated(buffer.byteSize());
        if (id != 0) {
            buffer.traceAs(id);
        } else {
            drop(recorder);
        }
    }

    /** Forgets a recording that has ended, so that buffers cost again what they cost without one. */
    synchronized void drop(TraceRecorder recorder) {
        if (recorder.equals(current)) {
            lastId = recorder.lastId();
            current = null;
        }
    }

    /** A buffer of this name in a trace, not 0, was closed. */
    void freed(long id) {
        TraceRecorder recorder = current;
        if (recorder != null) {
            recorder.freed(id);
        }
    }

    /** Ends the recording that is on, and waits for its file for some time. */
    void end(Duration patience) {
        TraceRecorder recorder = current;
        if (recorder != null) {
            recorder.end();
            boolean ignored = recorder.awaitWritten(patience);
        }
    }
}
