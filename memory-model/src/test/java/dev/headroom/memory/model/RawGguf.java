package dev.headroom.memory.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** GGUF bytes put together by hand, so that they can be wrong in every way. */
final class RawGguf {

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private ByteOrder order = ByteOrder.LITTLE_ENDIAN;

    /** Magic, version 3 and the two counts. */
    static RawGguf header(long tensors, long keys) {
        return new RawGguf().ascii("GGUF").u32(3).u64(tensors).u64(keys);
    }

    RawGguf order(ByteOrder newOrder) {
        order = newOrder;
        return this;
    }

    RawGguf ascii(String text) {
        out.writeBytes(text.getBytes(StandardCharsets.UTF_8));
        return this;
    }

    RawGguf u8(int value) {
        out.write(value);
        return this;
    }

    RawGguf u32(long value) {
        out.writeBytes(ByteBuffer.allocate(4).order(order).putInt((int) value).array());
        return this;
    }

    RawGguf u64(long value) {
        out.writeBytes(ByteBuffer.allocate(8).order(order).putLong(value).array());
        return this;
    }

    RawGguf text(String text) {
        return u64(text.getBytes(StandardCharsets.UTF_8).length).ascii(text);
    }

    RawGguf key(String key, GgufValueType type) {
        return text(key).u32(type.id());
    }

    RawGguf key(String key, long u32Value) {
        return key(key, GgufValueType.U32).u32(u32Value);
    }

    RawGguf key(String key, String value) {
        return key(key, GgufValueType.STRING).text(value);
    }

    RawGguf tensor(String name, int type, long offset, long... dims) {
        text(name).u32(dims.length);
        for (long dim : dims) {
            u64(dim);
        }
        return u32(type).u64(offset);
    }

    /** Fills up to a multiple of 32, then adds data. */
    RawGguf data(int bytes) {
        out.writeBytes(new byte[-out.size() & 31]);
        out.writeBytes(new byte[bytes]);
        return this;
    }

    RawGguf zeros(int bytes) {
        out.writeBytes(new byte[bytes]);
        return this;
    }

    int size() {
        return out.size();
    }

    byte[] bytes() {
        return out.toByteArray();
    }

    Path write(Path folder, String name) throws IOException {
        return Files.write(folder.resolve(name), bytes());
    }
}
