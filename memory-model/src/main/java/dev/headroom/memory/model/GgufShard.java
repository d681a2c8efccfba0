package dev.headroom.memory.model;

import java.nio.ByteOrder;
import java.nio.file.Path;

/**
 * One file of a model. Immutable; may be used by any thread.
 *
 * @param path the file as it was opened
 * @param version the format version, 2 or 3
 * @param byteOrder the order of bytes in header <em>and</em> tensor data
 * @param alignment what every tensor offset is a multiple of, a power of two up to 1 MiB
 * @param headerBytes how many bytes the header takes, without the padding behind it
 * @param dataOffset where tensor data starts
 * @param fileBytes the size of the file when it was read
 * @param tensorCount how many tensors it holds
 * @param keyCount how many metadata keys it holds
 */
public record GgufShard(
        Path path,
        int version,
        ByteOrder byteOrder,
        int alignment,
        long headerBytes,
        long dataOffset,
        long fileBytes,
        int tensorCount,
        int keyCount) {}
