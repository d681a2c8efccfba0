package dev.headroom.memory.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Safetensors bytes put together by hand, so that they can be wrong in every way. */
final class RawSafetensors {

    private RawSafetensors() {}

    /** A file with this header, its length before it, and so many bytes of data. */
    static byte[] bytes(String json, int data) {
        byte[] header = json.getBytes(StandardCharsets.UTF_8);
        return bytes(header.length, header, data);
    }

    static byte[] bytes(long length, byte[] header, int data) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(ByteBuffer.allocate(8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .array());
        out.writeBytes(header);
        out.writeBytes(new byte[data]);
        return out.toByteArray();
    }

    static Path write(Path path, String json, int data) throws IOException {
        return Files.write(path, bytes(json, data));
    }

    /** One entry of a header. */
    static String entry(String name, String type, String shape, long begin, long end) {
        return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                .formatted(name, type, shape, begin, end);
    }
}
