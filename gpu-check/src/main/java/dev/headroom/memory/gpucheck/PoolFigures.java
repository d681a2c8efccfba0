package dev.headroom.memory.gpucheck;

import dev.headroom.memory.DataType;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.cuda.CudaBackend;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.LoadStats;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelLoader;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.WriteProgress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What programs get: memory from the pool, bytes through its staging, and a whole model. */
final class PoolFigures {

    private static final long MIB = 1 << 20;
    private static final List<Long> SIZES = List.of(4096L, 2 * MIB, 256 * MIB);
    private static final int TIMES = 200;
    private static final long SEED = 42;
    private static final double GIGA = 1e9;

    private PoolFigures() {}

    static List<Figure> measure(GpuDevice device, Options options) {
        List<Figure> figures = new ArrayList<>();
        try (GpuMemory memory = GpuMemory.builder().backend(new CudaBackend()).open()) {
            GpuMemoryPool pool = memory.pool(device);
            allocations(pool, options, figures);
            transfers(pool, options, figures);
            figures.add(load(pool, options));
        } catch (GpuMemoryException | IOException e) {
            figures.add(Figure.failed("pool", String.valueOf(e.getMessage())));
        }
        return figures;
    }

    private static void allocations(GpuMemoryPool pool, Options options, List<Figure> figures) {
        for (long size : SIZES) {
            String name =
                    "our pool, allocate + close, %s".formatted(size < MIB ? size / 1024 + " KiB" : size / MIB + " MiB");
            figures.add(Figure.microseconds(
                    name, options.rounds(), TIMES, () -> pool.allocate(size).close()));
        }
    }

    private static void transfers(GpuMemoryPool pool, Options options, List<Figure> figures) {
        long size = options.mebibytes() * MIB;
        try (DeviceBuffer buffer = pool.allocate(size);
                Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(size);
            figures.add(
                    Figure.gigabytesPerSecond("buffer.write", options.rounds(), size, () -> buffer.write(0, bytes)));
            figures.add(Figure.gigabytesPerSecond("buffer.read", options.rounds(), size, () -> buffer.read(0, bytes)));
        }
    }

    /** Verified: every byte is read back, outside the timing. */
    private static Figure load(GpuMemoryPool pool, Options options) throws IOException {
        ModelShape shape = ModelShape.named("mistral-7b").withLayers(options.layers());
        Path folder = Files.createTempDirectory("headroom-gpu-check-");
        Path path = folder.resolve("model.gguf");
        try {
            GgufSynthesizer.of(shape, DataType.Q4_0, SEED).write(path, WriteProgress.none());
            GgufFile file = GgufFile.read(path);
            ModelLoader loader =
                    ModelLoader.builder(pool).fallback(false).verify(true).build();
            LoadStats stats;
            try (LoadedModel loaded = loader.load(file)) {
                stats = loaded.stats();
            }
            return new Figure(
                    "load of a model",
                    stats.bytesPerSecond() / GIGA,
                    "GB/s",
                    "%s with %d layers in Q4_0, %d MiB from the page cache, verified"
                            .formatted(shape.name(), shape.layers(), stats.bytes() / MIB));
        } finally {
            Files.deleteIfExists(path);
            Files.deleteIfExists(folder);
        }
    }
}
