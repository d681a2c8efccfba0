package dev.headroom.memory.cli;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.WriteProgress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A model file that exists as long as this object is open. */
final class DemoModel implements AutoCloseable {

    /** Real proportions; small enough for any machine and to be written in a second. */
    private static final ModelShape SHAPE = ModelShape.named("tinyllama-1.1b").withLayers(4);

    private static final DataType TYPE = DataType.Q4_0;
    private static final long SEED = 42;

    private final GgufSynthesizer synthesizer = GgufSynthesizer.of(SHAPE, TYPE, SEED);
    private final Path folder;

    DemoModel() throws IOException {
        try {
            folder = Files.createTempDirectory("headroom-demo-");
        } catch (IOException e) {
            throw new IOException(
                    "no place for the demo model: no folder can be made in " + System.getProperty("java.io.tmpdir")
                            + "; name another with JAVA_TOOL_OPTIONS=-Djava.io.tmpdir=FOLDER",
                    e);
        }
    }

    Path path() {
        return folder.resolve(SHAPE.name() + "-" + SHAPE.layers() + "-layers.gguf");
    }

    String describe() {
        return "%s with %d of its layers in %s, true shape, invented weights"
                .formatted(SHAPE.name(), SHAPE.layers(), TYPE);
    }

    long byteSize() {
        return synthesizer.byteSize();
    }

    void write(WriteProgress progress) throws IOException {
        synthesizer.write(path(), progress);
    }

    @Override
    public void close() throws IOException {
        Files.deleteIfExists(path());
        Files.deleteIfExists(folder);
    }
}
