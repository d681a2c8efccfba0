package dev.headroom.memory.cli;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.TraceRecording;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * What the pools of a load allocate and free, a trace each: that of the first pool in the file the user named, those of others
 * beside it, with their device's id behind the name. A pool that gets no part leaves no file, but for the first.
 */
final class LoadRecording implements Closeable {

    /** Reads a path. What cannot become a file is found out before anything is loaded. */
    static final class Converter implements ITypeConverter<Path> {
        @Override
        public Path convert(String text) {
            Path file = Path.of(text);
            Path folder = file.toAbsolutePath().getParent();
            if (Files.isDirectory(file)) {
                throw new TypeConversionException(file + " is a folder");
            }
            if (folder == null || !Files.isDirectory(folder)) {
                throw new TypeConversionException("there is no folder " + folder);
            }
            return file;
        }
    }

    /** One pool's. */
    private record Trace(GpuMemoryPool pool, Path file, TraceRecording recording) {}

    private final List<Trace> traces = new ArrayList<>();

    private LoadRecording() {}

    /** None. */
    static LoadRecording none() {
        return new LoadRecording();
    }

    /**
     * Begins.
     *
     * @param file  of the first pool
     * @param pools those that may get a part of the model
     */
    static LoadRecording begin(Path file, List<GpuMemoryPool> pools) throws IOException {
        LoadRecording recording = new LoadRecording();
        boolean done = false;
        try {
            for (GpuMemoryPool pool : pools) {
                recording.add(pool, recording.traces.isEmpty() ? file : recording.beside(file, pool));
            }
            done = true;
            return recording;
        } finally {
            if (!done) {
                recording.close();
            }
        }
    }

    /** The file of another pool. A device may have two of them: its own, and one that stands in for others. */
    private Path beside(Path file, GpuMemoryPool pool) {
        // A colon would not do in a file's name everywhere.
        String name = file.getFileName() + "." + pool.device().id().replace(':', '-');
        Path first = file.resolveSibling(name);
        boolean taken = traces.stream().anyMatch(trace -> trace.file().equals(first));
        return taken ? file.resolveSibling(name + ".stand-in") : first;
    }

    private void add(GpuMemoryPool pool, Path file) throws IOException {
        try {
            traces.add(new Trace(pool, file, pool.recordTrace(file)));
        } catch (AccessDeniedException e) {
            throw new IOException(file + ": writing the recording is not permitted", e);
        }
    }

    /** Ends it, once the model is closed, and drops files with nothing in them. */
    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (Trace trace : traces) {
            try {
                trace.recording().close();
                if (trace.recording().operations() == 0 && !trace.equals(traces.getFirst())) {
                    Files.delete(trace.file());
                }
            } catch (IOException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    /** What there is to replay, a line for each trace. */
    List<String> describe() {
        return traces.stream()
                .filter(trace -> trace.recording().operations() > 0 || trace.equals(traces.getFirst()))
                .map(trace -> "recorded %s of %s in %s"
                        .formatted(
                                Counted.of(trace.recording().operations(), "operation"),
                                trace.pool().device().id(),
                                trace.file()))
                .toList();
    }
}
