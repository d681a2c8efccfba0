package dev.headroom.memory.engine;

import dev.headroom.memory.TraceRecording;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * One recording. Operations are put into chunks of numbers under a lock that is never held during output; a thread of its own
 * makes text of full chunks and writes them. The order in the file is that of the lock. Thread-safe.
 */
final class TraceRecorder implements TraceRecording {

    private static final int CHUNK_OPERATIONS = 8192;

    /** Chunks that wait to be written, at most: 8 MiB of numbers. */
    private static final int MOST_WAITING = 64;

    /** How long a full queue is waited for, once. */
    private static final Duration PATIENCE = Duration.ofSeconds(1);

    /** The longest line: a letter, two numbers of 19 digits, two blanks and the line's end. */
    private static final int LINE_BYTES = 42;

    /** Operations that were noted: a name and its bytes, or 0 where it was freed. */
    private static final class Chunk {
        private final long[] ids = new long[CHUNK_OPERATIONS];
        private final long[] bytes = new long[CHUNK_OPERATIONS];
        private int count;
    }

    private final String file;
    private final OutputStream output;
    private final long firstId;
    private final int mostWaiting;
    private final Duration patience;
    private final Thread writer;
    private final AtomicBoolean told = new AtomicBoolean();

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition filled = lock.newCondition();
    private final Condition drained = lock.newCondition();
    // Guarded by lock.
    private final ArrayDeque<Chunk> waiting = new ArrayDeque<>();
    private final ArrayDeque<Chunk> spare = new ArrayDeque<>();
    private Chunk chunk = new Chunk();
    private long lastId;
    private long operations;
    private boolean ended;
    private @Nullable Throwable failure;

    /**
     * A recording, not started.
     *
     * @param file        what the output is called in messages
     * @param output      where the lines go; closed by the recording
     * @param lastId      the last name that is taken already, 0 or more
     * @param mostWaiting how many chunks wait to be written, at most
     * @param patience    how long a full queue is waited for
     */
    TraceRecorder(String file, OutputStream output, long lastId, int mostWaiting, Duration patience) {
        this.file = file;
        this.output = output;
        this.firstId = lastId + 1;
        this.lastId = lastId;
        this.mostWaiting = mostWaiting;
        this.patience = patience;
        this.writer = Thread.ofPlatform().daemon().name("headroom-trace").unstarted(this::write);
    }

    /** A recording to a file, not started; names begin after the last one that is taken. */
    static TraceRecorder open(Path file, long lastId) throws IOException {
        OutputStream output = Files.newOutputStream(file);
        return new TraceRecorder(file.toString(), output, lastId, MOST_WAITING, PATIENCE);
    }

    /** Starts to write. */
    void start() {
        writer.start();
    }

    /** Notes a buffer that nobody has yet. Returns its name here, or 0 if the recording has ended. */
    long allocated(long byteSize) {
        lock.lock();
        try {
            if (!hasRoom()) {
                return 0;
            }
            add(++lastId, byteSize);
            return lastId;
        } finally {
            lock.unlock();
        }
    }

    /** Notes that a buffer was closed; its memory still lies there. Of names that are not of this recording nothing is noted. */
    void freed(long id) {
        if (id < firstId) {
            return;
        }
        lock.lock();
        try {
            if (hasRoom()) {
                add(id, 0);
            }
        } finally {
            lock.unlock();
        }
    }

    private void add(long id, long byteSize) {
        chunk.ids[chunk.count] = id - firstId;
        chunk.bytes[chunk.count++] = byteSize;
        operations++;
    }

    /** Makes room for an operation, if need be by waiting. False if the recording has ended, or ends for want of it. */
    private boolean hasRoom() {
        if (chunk.count < CHUNK_OPERATIONS) {
            return !ended;
        }
        boolean interrupted = false;
        long left = patience.toNanos();
        while (!ended && chunk.count == CHUNK_OPERATIONS) {
            if (waiting.size() < mostWaiting) {
                passOn();
            } else if (left <= 0) {
                fail(new IOException("it is written too slowly"));
            } else {
                try {
                    left = drained.awaitNanos(left);
                } catch (InterruptedException e) {
                    interrupted = true; // whoever allocates is not stopped by it
                    left -= TimeUnit.MILLISECONDS.toNanos(1);
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return !ended;
    }

    private void passOn() {
        Chunk next = spare.poll();
        try {
            next = next == null ? new Chunk() : next;
        } catch (OutOfMemoryError e) {
            fail(e); // the recording is worth less than the allocation
            return;
        }
        waiting.add(chunk);
        chunk = next;
        filled.signal();
    }

    private void fail(Throwable cause) {
        failure = failure == null ? cause : failure;
        waiting.clear();
        chunk.count = 0;
        end();
    }

    /** Notes nothing any more; what was noted is still written. */
    void end() {
        lock.lock();
        try {
            if (!ended) {
                ended = true;
                waiting.add(chunk);
            }
            filled.signalAll();
            drained.signalAll();
        } finally {
            lock.unlock();
        }
    }

    boolean hasEnded() {
        lock.lock();
        try {
            return ended;
        } finally {
            lock.unlock();
        }
    }

    /** The last name that is taken; no other will be once it has ended. */
    long lastId() {
        lock.lock();
        try {
            return lastId;
        } finally {
            lock.unlock();
        }
    }

    /** Waits for the file. True if nothing more comes. */
    boolean awaitWritten(Duration timeout) {
        return Patience.join(writer, timeout);
    }

    @Override
    public long operations() {
        lock.lock();
        try {
            return operations;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() throws IOException {
        end();
        while (!awaitWritten(Duration.ofDays(1))) {
            // a disk that answers after days still has it all
        }
        Throwable cause = failure();
        if (cause != null && !told.getAndSet(true)) {
            throw new IOException(
                    "the recording to %s ended early, after %d operations: %s".formatted(file, operations(), cause),
                    cause);
        }
    }

    @Override
    public String toString() {
        return file;
    }

    private @Nullable Throwable failure() {
        lock.lock();
        try {
            return failure;
        } finally {
            lock.unlock();
        }
    }

    // The writer's.

    private void write() {
        try (OutputStream target = output) {
            byte[] text = new byte[CHUNK_OPERATIONS * LINE_BYTES];
            for (Chunk full = take(); full != null; full = take()) {
                target.write(text, 0, format(full, text));
                giveBack(full);
            }
        } catch (IOException | RuntimeException | OutOfMemoryError e) {
            lock.lock();
            try {
                fail(e);
            } finally {
                lock.unlock();
            }
        }
    }

    /** The next chunk; null if there will be none. */
    private @Nullable Chunk take() {
        lock.lock();
        try {
            while (waiting.isEmpty() && !ended) {
                filled.awaitUninterruptibly();
            }
            return waiting.poll();
        } finally {
            lock.unlock();
        }
    }

    private void giveBack(Chunk written) {
        lock.lock();
        try {
            written.count = 0;
            spare.add(written);
            drained.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private static int format(Chunk full, byte[] text) {
        int at = 0;
        for (int i = 0; i < full.count; i++) {
            long bytes = full.bytes[i];
            text[at++] = (byte) (bytes == 0 ? 'f' : 'a');
            text[at++] = ' ';
            at = digits(full.ids[i], text, at);
            if (bytes != 0) {
                text[at++] = ' ';
                at = digits(bytes, text, at);
            }
            text[at++] = '\n';
        }
        return at;
    }

    private static int digits(long value, byte[] text, int from) {
        int end = from + 1;
        for (long rest = value / 10; rest != 0; rest /= 10) {
            end++;
        }
        long rest = value;
        for (int at = end - 1; at >= from; at--) {
            text[at] = (byte) ('0' + rest % 10);
            rest /= 10;
        }
        return end;
    }
}
