package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.DataType;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Reading costs at most eight times the header in heap and a second per MB of it in time. What is measured is all that
 * the reading thread allocates, garbage included: an upper bound of what it holds at any moment.
 */
class GgufBudgetTest {

    private static final long BUFFERS = 256 << 10;

    @TempDir
    Path folder;

    /** Numbers and short texts, little-endian or big-endian as Java has them; the reader does not mind. */
    private DataOutputStream open(Path path) throws IOException {
        return new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(path), 1 << 16));
    }

    private static void header(DataOutputStream out, long tensors, long keys) throws IOException {
        out.writeBytes("GGUF");
        out.writeInt(3);
        out.writeLong(tensors);
        out.writeLong(keys);
    }

    private static void name(DataOutputStream out, int number) throws IOException {
        out.writeLong(4);
        for (int shift = 15; shift >= 0; shift -= 5) {
            out.writeByte('A' + (number >> shift & 31));
        }
    }

    private GgufFile readWithinBudget(Path path) throws IOException {
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        GgufFile.read(path); // Class loading and first-use caches are not the reader's cost.
        long allocated = threads.getCurrentThreadAllocatedBytes();
        long start = System.nanoTime();
        GgufFile file = GgufFile.read(path);
        Duration time = Duration.ofNanos(System.nanoTime() - start);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        long headerBytes = file.shards().getFirst().headerBytes();
        System.out.printf(
                "header %d bytes, heap %.2f times that, %d ms%n",
                headerBytes, (double) allocated / headerBytes, time.toMillis());
        assertThat(allocated).isLessThanOrEqualTo(8 * headerBytes + BUFFERS);
        assertThat(time).isLessThan(Duration.ofMillis(200 + headerBytes / 1000));
        return file;
    }

    @Test
    void aMillionTensors() throws IOException {
        Path path = folder.resolve("tensors.gguf");
        try (DataOutputStream out = open(path)) {
            header(out, 1 << 20, 1);
            out.writeLong("general.alignment".length());
            out.writeBytes("general.alignment");
            out.writeInt(GgufValueType.U8.id());
            out.writeByte(1);
            for (int i = 0; i < 1 << 20; i++) {
                // From the last name to the first, so that sorting has work to do.
                name(out, (1 << 20) - 1 - i);
                out.writeInt(1);
                out.writeLong(200);
                out.writeInt(24);
                out.writeLong(200L * i);
            }
        }
        try (var channel = Files.newByteChannel(path, StandardOpenOption.WRITE)) {
            channel.position(channel.size() + (200L << 20)).write(ByteBuffer.allocate(1));
        }
        GgufFile file = readWithinBudget(path);
        assertThat(file.tensors()).hasSize(1 << 20);
        assertThat(file.tensor("AAAA").orElseThrow()).isEqualTo(file.tensors().getLast());
    }

    @Test
    void aMillionKeys() throws IOException {
        Path path = folder.resolve("keys.gguf");
        try (DataOutputStream out = open(path)) {
            header(out, 0, 1 << 20);
            for (int i = 0; i < 1 << 20; i++) {
                name(out, i * 77 & (1 << 20) - 1);
                out.writeInt(GgufValueType.U8.id());
                out.writeByte(i);
            }
        }
        GgufFile file = readWithinBudget(path);
        assertThat(file.metadata().size()).isEqualTo(1 << 20);
        assertThat(file.metadata().integer("AAAA")).hasValue(0);
    }

    @Test
    void millionsOfEmptyTexts() throws IOException {
        Path path = folder.resolve("texts.gguf");
        try (DataOutputStream out = open(path)) {
            header(out, 0, 1);
            out.writeLong(1);
            out.writeByte('k');
            out.writeInt(GgufValueType.ARRAY.id());
            out.writeInt(GgufValueType.STRING.id());
            out.writeLong(4_000_000);
            for (int i = 0; i < 1000; i++) {
                out.write(new byte[32_000]);
            }
        }
        assertThat(readWithinBudget(path).metadata().arrayLength("k")).hasValue(4_000_000);
    }

    @Test
    void manyTextsOfTheLargestKeptSize() throws IOException {
        Path path = folder.resolve("kept.gguf");
        try (DataOutputStream out = open(path)) {
            header(out, 0, 500);
            for (int i = 0; i < 500; i++) {
                name(out, i);
                out.writeInt(GgufValueType.STRING.id());
                out.writeLong(65_536);
                out.write(new byte[65_536]);
            }
        }
        readWithinBudget(path);
    }

    /** 93 GB of tensors: the size of the data costs nothing. */
    @Test
    void aHugeFile() throws IOException {
        Path path = folder.resolve("mixtral.gguf");
        GgufSynthesizer.of(ModelShape.named("mixtral-8x7b"), DataType.F16, 1).writeSparse(path);
        GgufFile file = readWithinBudget(path);
        assertThat(file.shards().getFirst().fileBytes()).isGreaterThan(93_000_000_000L);
        assertThat(file.tensors()).hasSize(323);
    }

    /** A hole of a terabyte that claims to be a header: refused by its length, not read. */
    @Test
    void aHugeHeader() throws IOException {
        Path path = folder.resolve("hole.gguf");
        ByteBuffer start = ByteBuffer.wrap(RawGguf.header(0, 1)
                        .text("k")
                        .u32(GgufValueType.ARRAY.id())
                        .u32(GgufValueType.U8.id())
                        .u64(1L << 39)
                        .bytes())
                .order(ByteOrder.LITTLE_ENDIAN);
        try (var channel = Files.newByteChannel(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            channel.write(start);
            channel.position(1L << 40).write(ByteBuffer.allocate(1));
        }
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(path))
                .withMessageEndingWith("at byte 49: expected a header of at most 268435456 bytes, "
                        + "found one that goes on with 549755813888 bytes for an array");
    }
}
