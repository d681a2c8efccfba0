package dev.headroom.memory.model;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * Tells models apart by what their memory depends on: names, types and extents of their tensors. Two files with other
 * weights of the same shape have the same fingerprint; neither the file's name nor its place is in it.
 */
public final class ModelFingerprint {

    /** Enough to tell every model there is from every other. */
    private static final int BYTES = 16;

    private ModelFingerprint() {}

    /**
     * The fingerprint of a model.
     *
     * @param file the file, or all shards of a split one
     * @return 32 hexadecimal digits
     */
    public static String of(GgufFile file) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
        for (GgufTensor tensor : file.tensors()) {
            // With the length of the name before it, no two lists give the same text.
            String line =
                    tensor.type() + " " + tensor.dims() + " " + tensor.name().length() + " " + tensor.name();
            digest.update(line.getBytes(StandardCharsets.UTF_8));
        }
        return HexFormat.of().formatHex(digest.digest(), 0, BYTES);
    }
}
