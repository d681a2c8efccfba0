package dev.headroom.memory.opencl;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Allocates and closes for a while, and prints what the process holds early and late. */
final class OpenClChurn {

    private static final int EARLY = 10_000;
    private static final int LATE = 100_000;

    private OpenClChurn() {}

    /** How far down a round goes. */
    enum Way {
        /** Buffers come from the pool; OpenCL sees nothing of it. */
        THROUGH_THE_POOL {
            @Override
            void round(GpuMemoryPool pool, int number) {
                pool.allocate(1 + number % 5000).close();
            }
        },
        /** OpenCL makes and releases an object in each round; in every tenth it is mapped and viewed too. */
        THROUGH_OPENCL {
            @Override
            void round(GpuMemoryPool pool, int number) {
                try (DeviceBuffer buffer = pool.allocate(4096)) {
                    if (number % 10 == 0) {
                        buffer.write(0, MemorySegment.ofArray(new byte[] {1}));
                        try (OpenClMem view = OpenClMem.of(buffer)) {
                            view.mem();
                        }
                    }
                }
                if (pool.shrink() == 0) {
                    throw new IllegalStateException("no block was given back");
                }
            }
        };

        abstract void round(GpuMemoryPool pool, int number);
    }

    /** What a process holds. */
    record Holdings(long residentBytes, int files, int threads) {

        static Holdings now() throws IOException {
            System.gc();
            int files = 0;
            try (DirectoryStream<Path> open = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
                for (Path ignored : open) {
                    files++;
                }
            }
            return new Holdings(status("VmRSS:") << 10, files, (int) status("Threads:"));
        }

        static Holdings parse(String line) {
            String[] words = line.split(" ");
            return new Holdings(Long.parseLong(words[0]), Integer.parseInt(words[1]), Integer.parseInt(words[2]));
        }

        private static long status(String name) throws IOException {
            return Files.readAllLines(Path.of("/proc/self/status")).stream()
                    .filter(line -> line.startsWith(name))
                    .mapToLong(line -> Long.parseLong(line.split("\\s+")[1]))
                    .findFirst()
                    .orElseThrow();
        }

        @Override
        public String toString() {
            return residentBytes + " " + files + " " + threads;
        }
    }

    public static void main(String[] args) throws IOException {
        Way way = Way.valueOf(args[0]);
        try (GpuMemory memory = GpuMemory.builder().backend(new OpenClBackend()).open()) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            for (int i = 0; i < LATE; i++) {
                if (i == EARLY) {
                    System.out.println(Holdings.now());
                }
                way.round(pool, i);
            }
            System.out.println(Holdings.now());
        }
    }
}
