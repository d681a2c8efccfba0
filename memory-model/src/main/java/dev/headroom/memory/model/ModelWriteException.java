package dev.headroom.memory.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * A model file could not be written. Nothing is left behind: neither a partial file nor anything under the final name
 * that was not there before.
 *
 * <p>Instances are immutable apart from what {@link Throwable} allows.
 */
public final class ModelWriteException extends IOException {

    private static final long serialVersionUID = 1L;

    // Path is not Serializable; the message carries its text.
    private final transient Path path;
    /** The size of the whole file. */
    private final long bytesNeeded;
    /** What the file system had to offer, -1 if it does not say. */
    private final long bytesFree;

    ModelWriteException(Path path, long bytesNeeded, OptionalLong bytesFree, String reason, @Nullable Throwable cause) {
        super(
                "cannot write " + path + ": " + reason + "; " + bytesNeeded + " bytes needed, "
                        + (bytesFree.isPresent() ? bytesFree.getAsLong() + " bytes free" : "free bytes unknown"),
                cause);
        this.path = path;
        this.bytesNeeded = bytesNeeded;
        this.bytesFree = bytesFree.orElse(-1);
    }

    /**
     * The file that was to be written.
     *
     * @return the final name, not the temporary one; null only after deserialisation
     */
    public Path path() {
        return path;
    }

    /**
     * The size of the whole file.
     *
     * @return bytes
     */
    public long bytesNeeded() {
        return bytesNeeded;
    }

    /**
     * What the file system had to offer when writing was given up and the partial file was gone.
     *
     * @return bytes, or empty if the file system does not say
     */
    public OptionalLong bytesFree() {
        return bytesFree < 0 ? OptionalLong.empty() : OptionalLong.of(bytesFree);
    }
}
