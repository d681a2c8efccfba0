package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import org.jspecify.annotations.Nullable;

/**
 * What tells that a file is still the one that was read.
 *
 * @param bytes its size
 * @param modified when it was last written
 * @param fileKey the identity the file system gives it, where it gives one: a file moved over the old one differs
 */
record FileStamp(long bytes, FileTime modified, @Nullable Object fileKey) {

    /** Takes the stamp; refuses anything but a regular file, since opening a pipe would wait for ever. */
    static FileStamp of(Path path) throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
        if (!attributes.isRegularFile()) {
            throw new ModelFileException(
                    path, "a regular file", attributes.isDirectory() ? "a directory" : "a device, pipe or socket");
        }
        return new FileStamp(attributes.size(), attributes.lastModifiedTime(), attributes.fileKey());
    }

    /** Refuses the file if it is no longer this one. */
    void verify(Path path) throws IOException {
        FileStamp now = of(path);
        if (!equals(now)) {
            throw new ModelFileException(path, "the file that was read (" + this + ")", "another state (" + now + ")");
        }
    }

    @Override
    public String toString() {
        return bytes + " bytes, modified " + modified + (fileKey == null ? "" : ", id " + fileKey);
    }
}
