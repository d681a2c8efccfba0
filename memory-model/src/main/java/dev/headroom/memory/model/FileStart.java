package dev.headroom.memory.model;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The first bytes of a file: enough to see which format it has, and to say what was found in place of the one expected.
 *
 * @param bytes at most {@link #MOST_BYTES}
 * @param fileBytes the size of the whole file
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, never shared
record FileStart(byte[] bytes, long fileBytes) {

    static final int MOST_BYTES = 256;

    private static final String GGUF = "GGUF";
    private static final String LFS_POINTER = "version https://git-lfs";

    /** Reads the start of a regular file. */
    static FileStart of(Path path) throws IOException {
        FileStamp stamp = FileStamp.of(path);
        try (InputStream in = Files.newInputStream(path)) {
            return new FileStart(in.readNBytes(MOST_BYTES), stamp.bytes());
        }
    }

    boolean isGguf() {
        return startsWith(GGUF);
    }

    boolean isLfsPointer() {
        return startsWith(LFS_POINTER);
    }

    /** A 64-bit header length that fits in the file, and JSON behind it. */
    boolean isSafetensors() {
        if (bytes.length < 9 || bytes[8] != '{') {
            return false;
        }
        long length = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
        return length >= 2 && length <= fileBytes - 8;
    }

    /** JSON text, as far as that can be seen from its first character. */
    boolean isJson() {
        for (byte b : bytes) {
            if (b == '{') {
                return true;
            }
            if (b != ' ' && b != '\t' && b != '\r' && b != '\n') {
                return false;
            }
        }
        return false;
    }

    /** The complaint that the file has another format than the one named. */
    ModelFileException refuse(Path path, String expected, String format) {
        if (isLfsPointer()) {
            return new ModelFileException(
                    path,
                    0,
                    expected,
                    "a git-lfs pointer" + pointedSize(),
                    "run \"git lfs pull\" in the repository the file came from");
        }
        return new ModelFileException(path, 0, expected, describe(), "this is not a " + format + " file");
    }

    private String describe() {
        if (bytes.length == 0) {
            return "an empty file";
        }
        if (isGguf()) {
            return "a GGUF file";
        }
        if (isSafetensors()) {
            return "what looks like a safetensors file";
        }
        if (startsWith("PK\u0003\u0004")) {
            return "a zip archive, as PyTorch writes them";
        }
        if (startsWith("lmgg") || startsWith("tjgg") || startsWith("fmgg")) {
            return "a GGML file from before GGUF";
        }
        byte[] magic = Arrays.copyOf(bytes, Math.min(GGUF.length(), bytes.length));
        return ModelFileException.quote(new String(magic, StandardCharsets.ISO_8859_1));
    }

    private boolean startsWith(String text) {
        byte[] wanted = text.getBytes(StandardCharsets.ISO_8859_1);
        return bytes.length >= wanted.length && Arrays.equals(bytes, 0, wanted.length, wanted, 0, wanted.length);
    }

    /** What a git-lfs pointer says about the size of the file it stands for. */
    private String pointedSize() {
        for (String line : new String(bytes, StandardCharsets.ISO_8859_1).split("\n", -1)) {
            if (line.matches("size \\d{1,18}")) {
                return " to a file of " + line.substring(5) + " bytes";
            }
        }
        return "";
    }
}
