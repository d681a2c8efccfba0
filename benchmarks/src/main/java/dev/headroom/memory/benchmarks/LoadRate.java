package dev.headroom.memory.benchmarks;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.cpu.HostBackend;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.GgufTensor;
import dev.headroom.memory.model.LoadedModel;
import dev.headroom.memory.model.ModelLoader;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.WriteProgress;
import dev.headroom.memory.opencl.OpenClBackend;
import dev.headroom.memory.spi.MemoryBackend;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * How fast a model is loaded from the page cache, beside the C library's {@code memcpy} of the same bytes. Everything takes turns
 * in one process, so that whatever else the machine does falls on all alike.
 *
 * <p>The pages of every destination have been touched: loads go into the memory the load before has given back to its pool. What
 * a load takes is what its own figures say, allocating included, opening the file and verifying not.
 *
 * <ul>
 *   <li>{@code memcpy/N}: from pages that are mapped already, an equal part in one call for each of N threads;
 *   <li>{@code memcpy-file/N}: from the file mapped anew each time, which is what a loader finds;
 *   <li>{@code load/BACKEND/N}: the loader, with N threads.
 * </ul>
 *
 * All are in GB/s. Each name with {@code cpu/} before it is the processor time of all threads, in ms per GB, the whole call with
 * its unmapping and closing. It moves less than the rate where others use the machine.
 */
final class LoadRate {

    private static final ModelShape SHAPE = ModelShape.named("mistral-7b").withLayers(8);
    private static final int MOST_THREADS = 2;
    private static final int WARM_UP = 2;

    /** One way to bring the bytes to their place. Returns the seconds it took. */
    @FunctionalInterface
    private interface Way {
        double run(int threads) throws IOException;
    }

    private final NativeCopy c = new NativeCopy();
    private final Map<String, Way> ways = new LinkedHashMap<>();
    private final Map<String, List<Double>> rates = new LinkedHashMap<>();
    private final Map<String, List<Double>> processor = new LinkedHashMap<>();

    private LoadRate() {}

    /** Adds the figures of so many rounds. A backend that is not there is left out, and named. */
    static void measure(int rounds, Figures figures, PrintStream progress) throws IOException {
        Path folder = Files.createTempDirectory("headroom-bench-");
        Path path = folder.resolve("model.gguf");
        try {
            GgufSynthesizer.of(SHAPE, DataType.Q4_0, 1).write(path, WriteProgress.none());
            new LoadRate().measure(GgufFile.read(path), path, rounds, figures, progress);
        } finally {
            Files.deleteIfExists(path);
            Files.deleteIfExists(folder);
        }
    }

    private void measure(GgufFile file, Path path, int rounds, Figures figures, PrintStream progress)
            throws IOException {
        try (Arena arena = Arena.ofShared();
                FileChannel channel = FileChannel.open(path);
                GpuMemory host = open(new HostBackend());
                GpuMemory opencl = open(new OpenClBackend())) {
            MemorySegment target = arena.allocate(file.tensorBytes(), 4096);
            target.fill((byte) 1);
            MemorySegment mapped = map(channel, file, arena);
            for (long at = 0; at < mapped.byteSize(); at += 4096) {
                target.set(JAVA_BYTE, at, mapped.get(JAVA_BYTE, at)); // so that it is mapped, and cannot be left out
            }
            ways.put("memcpy", threads -> {
                long start = System.nanoTime();
                c.copy(mapped, target, threads);
                return seconds(start);
            });
            ways.put("memcpy-file", threads -> {
                try (Arena once = Arena.ofShared()) {
                    MemorySegment anew = map(channel, file, once);
                    long start = System.nanoTime();
                    c.copy(anew, target, threads);
                    return seconds(start);
                }
            });
            addLoads("host", host, file, progress);
            addLoads("opencl", opencl, file, progress);
            for (int round = -WARM_UP; round < rounds; round++) {
                round(file.tensorBytes(), round >= 0);
            }
        }
        rates.forEach(figures::putMedian);
        processor.forEach(figures::putMedian);
    }

    private void round(long bytes, boolean counts) throws IOException {
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            for (Map.Entry<String, Way> way : ways.entrySet()) {
                long before = c.processorNanos();
                double seconds = way.getValue().run(threads);
                long spent = c.processorNanos() - before;
                if (counts) {
                    String name = way.getKey() + "/" + threads;
                    rates.computeIfAbsent(name, _ -> new ArrayList<>()).add(bytes / seconds / 1e9);
                    processor
                            .computeIfAbsent("cpu/" + name, _ -> new ArrayList<>())
                            .add(spent / 1e6 / (bytes / 1e9));
                }
            }
        }
    }

    /** Without a margin to keep free, which a small machine would not have beside all this. */
    private static GpuMemory open(MemoryBackend backend) {
        MemoryConfig config =
                MemoryConfig.builder().cpuFallback(false).minFreeBytes(0).build();
        return GpuMemory.builder().backend(backend).config(config).open();
    }

    private void addLoads(String label, GpuMemory memory, GgufFile file, PrintStream progress) {
        if (memory.devices().isEmpty()) {
            Optional<String> reason = memory.backends().stream()
                    .flatMap(status -> status.reason().stream())
                    .findFirst();
            progress.println("load/" + label + " did not run: " + reason.orElse("no device"));
            return;
        }
        GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
        ways.put("load/" + label, threads -> {
            ModelLoader loader =
                    ModelLoader.builder(pool).fallback(false).threads(threads).build();
            try (LoadedModel model = loader.load(file)) {
                return model.stats().elapsed().toNanos() / 1e9;
            }
        });
    }

    /** The bytes of all tensors. Synthetic files have their tensors at the end, in one run. */
    private static MemorySegment map(FileChannel channel, GgufFile file, Arena arena) throws IOException {
        long size = channel.size();
        long first =
                file.tensors().stream().mapToLong(GgufTensor::fileOffset).min().orElseThrow();
        return channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena)
                .asSlice(first, Math.min(file.tensorBytes(), size - first));
    }

    private static double seconds(long start) {
        return (System.nanoTime() - start) / 1e9;
    }
}
