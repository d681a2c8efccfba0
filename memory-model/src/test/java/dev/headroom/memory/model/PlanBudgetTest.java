package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.DataType;
import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A plan costs what the header costs, however large the file. */
class PlanBudgetTest {

    @TempDir
    Path folder;

    /** 32 GB of weights in a sparse file: nothing behind the header is touched. */
    @Test
    void aHugeFileIsPlannedFromItsHeader() throws IOException {
        Path path = folder.resolve("mixtral.gguf");
        GgufSynthesizer.of(ModelShape.named("mixtral-8x7b").withLayers(11), DataType.F16, 1)
                .writeSparse(path);
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        ModelFile warm = ModelFile.read(path);
        assertThat(warm.footprint(FootprintOptions.defaults()).totalBytes()).isGreaterThan(30_000_000_000L);
        long headerBytes = GgufFile.read(path).shards().getFirst().headerBytes();

        long bytesRead = bytesRead();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        long start = System.nanoTime();
        ModelFootprint footprint = ModelFile.read(path).footprint(FootprintOptions.defaults());
        long nanos = System.nanoTime() - start;
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        bytesRead = bytesRead() - bytesRead;

        System.out.printf(
                "header %d bytes, file %d bytes, read %d bytes, allocated %d bytes, %.1f ms%n",
                headerBytes, GgufFile.read(path).shards().getFirst().fileBytes(), bytesRead, allocated, nanos / 1e6);
        assertThat(footprint.bytes(Kind.WEIGHTS)).isGreaterThan(30_000_000_000L);
        assertThat(headerBytes).isLessThan(4 << 20);
        assertThat(allocated).isLessThan(8 * headerBytes + (512 << 10));
        // Nothing is mapped, so whatever is looked at is read.
        assertThat(bytesRead).isLessThan(2 * headerBytes + (1 << 20));
    }

    /** What this process has read by system calls so far, where the system tells; 0 elsewhere. */
    private static long bytesRead() throws IOException {
        Path counters = Path.of("/proc/self/io");
        if (!Files.isReadable(counters)) {
            System.out.println("not counted: bytes read, as there is no " + counters);
            return 0;
        }
        return Files.readAllLines(counters).stream()
                .filter(line -> line.startsWith("rchar: "))
                .mapToLong(line -> Long.parseLong(line.substring(7)))
                .sum();
    }
}
