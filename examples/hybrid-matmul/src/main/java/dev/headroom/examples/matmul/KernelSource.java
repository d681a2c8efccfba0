package dev.headroom.examples.matmul;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** The text of a kernel, which lies beside this class. */
final class KernelSource {

    /** Rows and columns of the tile of C that a group of threads computes; all kernels agree on it. */
    static final int TILE = 16;

    private KernelSource() {}

    static String read(String name) {
        try (InputStream file = KernelSource.class.getResourceAsStream(name)) {
            if (file == null) {
                throw new KernelFailedException("the kernel " + name + " is missing from the jar");
            }
            return new String(file.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** How many tiles cover so many values. */
    static int tiles(int values) {
        return (int) (((long) values + TILE - 1) / TILE);
    }
}
