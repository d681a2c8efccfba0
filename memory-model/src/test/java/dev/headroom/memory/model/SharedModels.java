package dev.headroom.memory.model;

import static org.assertj.core.api.Assumptions.assumeThat;

import java.nio.file.Files;
import java.nio.file.Path;

/** The folder {@code shared/models} beside the checkout, or beside one of the folders above it. */
final class SharedModels {

    private SharedModels() {}

    /** Finds a file or folder there, or skips the test and says so. */
    static Path orSkip(String name) {
        String root = System.getProperty("headroom.root");
        Path start = (root == null ? Path.of("") : Path.of(root)).toAbsolutePath();
        for (Path at = start; at != null; at = at.getParent()) {
            Path candidate = at.resolve("shared").resolve("models").resolve(name);
            if (Files.exists(candidate)) {
                return candidate;
            }
        }
        assumeThat(false)
                .as("skipped: no shared/models/" + name + " in or above " + start + " (property headroom.root)")
                .isTrue();
        throw new AssertionError();
    }
}
