package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A file that gets other contents for every input, and what must hold whatever they are. */
final class FuzzedFile {

    private final Path path;

    /** Makes a folder of its own, with further files of these names and contents in turn. */
    FuzzedFile(String name, String... others) {
        try {
            Path folder = Files.createTempDirectory("headroom-fuzz-");
            folder.toFile().deleteOnExit();
            path = folder.resolve(name);
            path.toFile().deleteOnExit();
            for (int i = 0; i < others.length; i += 2) {
                Path other = Files.writeString(folder.resolve(others[i]), others[i + 1]);
                other.toFile().deleteOnExit();
            }
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** Reads and plans; anything but an answer or a complaint that names a place in the file is a finding. */
    void check(byte[] bytes) throws IOException {
        Files.write(path, bytes);
        try {
            ModelFootprint footprint = ModelFile.read(path).footprint(FootprintOptions.defaults());
            assertThat(footprint.totalBytes()).isNotNegative();
            assertThat(footprint.hostTotalBytes()).isNotNegative();
        } catch (ModelFileException e) {
            if (e.path().equals(path)) {
                assertThat(e.position().orElse(0)).isBetween(0L, (long) bytes.length);
            }
            assertThat(e.getMessage()).hasSizeLessThan(1000);
        }
    }
}
