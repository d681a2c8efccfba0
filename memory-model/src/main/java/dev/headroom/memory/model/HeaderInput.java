package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * The header of a file as a stream of numbers, read through one small buffer.
 *
 * <p>Every read is held against the bytes left in the file and against the largest header there may be, <em>before</em>
 * it is done; that is the one place where truncation is found. Skipping costs nothing. For one thread.
 */
final class HeaderInput {

    private static final int BUFFER_BYTES = 64 << 10;

    private final Path path;
    private final FileChannel channel;
    private final long fileBytes;
    private final ByteBuffer buffer;

    /** The file position of the first byte of the buffer. */
    private long base;

    HeaderInput(Path path, FileChannel channel, long fileBytes) {
        this.path = path;
        this.channel = channel;
        this.fileBytes = fileBytes;
        this.buffer =
                ByteBuffer.allocate((int) Math.min(BUFFER_BYTES, fileBytes)).limit(0);
    }

    void order(ByteOrder order) {
        buffer.order(order);
    }

    ByteOrder order() {
        return buffer.order();
    }

    long position() {
        return base + buffer.position();
    }

    long remaining() {
        return fileBytes - position();
    }

    /** Refuses the file unless that many bytes are left of it. */
    void require(long bytes, String what) throws ModelFileException {
        long position = position();
        if (bytes > fileBytes - position) {
            throw refuse(position, bytes + " bytes for " + what, fileBytes - position + " before the end of the file");
        }
        if (bytes > GgufLimits.MAX_HEADER_BYTES - position) {
            throw refuse(
                    position,
                    "a header of at most " + GgufLimits.MAX_HEADER_BYTES + " bytes",
                    "one that goes on with " + bytes + " bytes for " + what);
        }
    }

    /** The first bytes of the file, as many as there are up to a limit, without moving on. */
    byte[] peek(int atMost) throws IOException {
        byte[] bytes = new byte[(int) Math.min(atMost, remaining())];
        fill(bytes.length);
        buffer.get(buffer.position(), bytes);
        return bytes;
    }

    int i32(String what) throws IOException {
        require(4, what);
        fill(4);
        return buffer.getInt();
    }

    long i64(String what) throws IOException {
        require(8, what);
        fill(8);
        return buffer.getLong();
    }

    void bytes(byte[] target, int offset, int length, String what) throws IOException {
        require(length, what);
        int done = 0;
        while (done < length) {
            int step = Math.min(length - done, buffer.capacity());
            fill(step);
            buffer.get(target, offset + done, step);
            done += step;
        }
    }

    void skip(long bytes, String what) throws IOException {
        require(bytes, what);
        if (bytes <= buffer.remaining()) {
            buffer.position(buffer.position() + (int) bytes);
        } else {
            base = position() + bytes;
            buffer.limit(0);
        }
    }

    /**
     * Refuses bytes taken before unless they are UTF-8. Replacement characters would make different names equal, and
     * names that cannot be found again.
     */
    void requireText(byte[] bytes, int offset, int length, long position, String what) throws ModelFileException {
        for (int i = offset; i < offset + length; i++) {
            if (bytes[i] < 0) {
                requireUtf8(bytes, offset, length, position, what);
                return;
            }
        }
    }

    private void requireUtf8(byte[] bytes, int offset, int length, long position, String what)
            throws ModelFileException {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, offset, length));
        } catch (CharacterCodingException _) {
            String text = new String(bytes, offset, length, StandardCharsets.ISO_8859_1);
            throw refuse(position, what + " in UTF-8", ModelFileException.quote(text));
        }
    }

    ModelFileException refuse(long position, String expected, String found) {
        return new ModelFileException(path, position, expected, found);
    }

    ModelFileException refuse(long position, String expected, String found, String hint) {
        return new ModelFileException(path, position, expected, found, hint);
    }

    /** Makes sure that many bytes, at most the capacity, can be taken from the buffer. */
    private void fill(int bytes) throws IOException {
        if (buffer.remaining() >= bytes) {
            return;
        }
        base = position();
        buffer.compact();
        while (buffer.position() < bytes) {
            long from = base + buffer.position();
            if (channel.read(buffer, from) < 0) {
                throw refuse(from, "a file of " + fileBytes + " bytes, its size when it was opened", "its end");
            }
        }
        buffer.flip();
    }
}
