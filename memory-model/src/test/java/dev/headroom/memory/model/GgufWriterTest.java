package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GgufWriterTest {

    private static final TensorSource ZEROS = (_, _, target) -> target.position(target.limit());

    @TempDir
    Path folder;

    /** Three chunks of 4 MiB and a bit. */
    private static GgufWriter writer() {
        return GgufWriter.builder()
                .put("general.architecture", new GgufValue.Text("llama"))
                .tensor("a", DataType.I8, 7 << 20)
                .tensor("b", DataType.I8, 5 << 20, 1)
                .tensor("c", DataType.I8, 5)
                .build();
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void progressRisesToTheWholeFile() throws IOException {
        List<Long> seen = new ArrayList<>();
        GgufWriter writer = writer();
        writer.write(folder.resolve("a.gguf"), ZEROS, (done, total) -> {
            assertThat(total).isEqualTo(writer.byteSize());
            seen.add(done);
        });
        assertThat(seen).isSorted().hasSize(7).last().isEqualTo(writer.byteSize());
        assertThat(names()).containsExactly("a.gguf");
        assertThat(Files.size(folder.resolve("a.gguf"))).isEqualTo(writer.byteSize());
        assertThat(GgufFile.read(folder.resolve("a.gguf")).tensors()).isEqualTo(writer.tensors());
    }

    @Test
    void chunksCoverEachTensorInOrder() throws IOException {
        List<String> asked = new ArrayList<>();
        writer().write(
                        folder.resolve("a.gguf"),
                        (tensor, offset, target) -> {
                            asked.add(tensor.name() + "+" + offset + ":" + target.remaining());
                            assertThat(target.order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
                            target.position(target.limit());
                        },
                        WriteProgress.none());
        assertThat(asked)
                .containsExactly("a+0:4194304", "a+4194304:3145728", "b+0:4194304", "b+4194304:1048576", "c+0:5");
    }

    @Test
    void aFailingSourceLeavesNothingAndKeepsTheOldFile() throws IOException {
        Path path = Files.writeString(folder.resolve("a.gguf"), "old");
        GgufWriter writer = writer();
        assertThatExceptionOfType(ModelWriteException.class)
                .isThrownBy(() -> writer.write(
                        path,
                        (_, offset, target) -> {
                            if (offset > 0) {
                                throw new IOException("No space left on device");
                            }
                            target.position(target.limit());
                        },
                        WriteProgress.none()))
                .satisfies(e -> assertThat(e.bytesNeeded()).isEqualTo(writer.byteSize()))
                .satisfies(e -> assertThat(e.bytesFree()).isPresent())
                .satisfies(e -> assertThat(e.path()).isEqualTo(path))
                .withMessageMatching("cannot write \\Q" + path + "\\E: No space left on device; " + writer.byteSize()
                        + " bytes needed, \\d+ bytes free");
        assertThat(names()).containsExactly("a.gguf");
        assertThat(path).hasContent("old");

        assertThatExceptionOfType(UnsupportedOperationException.class)
                .isThrownBy(() -> writer.write(
                        path,
                        (_, _, _) -> {
                            throw new UnsupportedOperationException();
                        },
                        WriteProgress.none()));
        assertThatExceptionOfType(OutOfMemoryError.class)
                .isThrownBy(() -> writer.write(path, ZEROS, (_, _) -> {
                    throw new OutOfMemoryError("for the test");
                }));
        assertThatIllegalStateException()
                .isThrownBy(() -> writer.write(path, (_, _, target) -> target.put((byte) 1), WriteProgress.none()))
                .withMessage("the source gave 1 of 4194304 bytes of a at offset 0");
        assertThat(names()).containsExactly("a.gguf");
        assertThat(path).hasContent("old");
    }

    @Test
    void aFileThatCannotFitIsNotBegun() throws IOException {
        GgufWriter writer =
                GgufWriter.builder().tensor("t", DataType.I8, 1L << 60).build();
        assertThatExceptionOfType(ModelWriteException.class)
                .isThrownBy(() -> writer.write(folder.resolve("a.gguf"), ZEROS, WriteProgress.none()))
                .withMessageMatching("cannot write .*: the file system is too full; 1152921504606847040 bytes needed, "
                        + "\\d+ bytes free");
        assertThat(names()).isEmpty();
    }

    @Test
    void impossibleTargetsAreRefused() throws IOException {
        assertThatExceptionOfType(ModelWriteException.class)
                .isThrownBy(() -> writer().write(folder.resolve("no").resolve("a.gguf"), ZEROS, WriteProgress.none()))
                .withMessageEndingWith(
                        "its folder does not exist; " + writer().byteSize() + " bytes needed, free bytes unknown");
        assertThatExceptionOfType(ModelWriteException.class)
                .isThrownBy(() -> writer().writeSparse(folder))
                .withMessageContaining("it is a folder");
    }

    @Test
    void behindALinkTheFileIsReplacedAndNotTheLink() throws IOException {
        Path elsewhere = Files.createDirectory(folder.resolve("elsewhere"));
        Path file = elsewhere.resolve("real.gguf");
        Path link = folder.resolve("link.gguf");
        try {
            Files.createSymbolicLink(link, Path.of("elsewhere", "second"));
            Files.createSymbolicLink(elsewhere.resolve("second"), Path.of("real.gguf"));
        } catch (UnsupportedOperationException | FileSystemException e) {
            Assumptions.abort("no symbolic links here: " + e);
        }
        GgufWriter writer = GgufWriter.builder().build();
        writer.writeSparse(link);
        assertThat(link).isSymbolicLink();
        assertThat(file).isRegularFile();
        assertThat(GgufFile.read(link).tensors()).isEmpty();
        writer.writeSparse(link);
        assertThat(link).isSymbolicLink();
        Path circle = Files.createSymbolicLink(folder.resolve("circle"), Path.of("circle"));
        assertThatExceptionOfType(ModelWriteException.class)
                .isThrownBy(() -> writer.writeSparse(circle))
                .withMessageContaining("it is a link that leads nowhere");
    }

    @Test
    void aDeviceIsNotReplaced() {
        Path device = Path.of("/dev/full");
        assumeThat(device).as("there is no /dev/full here").exists();
        assertThatExceptionOfType(ModelWriteException.class)
                .isThrownBy(() -> writer().writeSparse(device))
                .withMessageContaining("it is not a regular file");
        assertThat(Files.isRegularFile(device)).isFalse();
    }

    @Test
    void anInterruptStopsWithinAChunk() throws IOException {
        List<Long> offsets = new ArrayList<>();
        assertThatExceptionOfType(InterruptedIOException.class)
                .isThrownBy(() -> writer().write(
                                folder.resolve("a.gguf"),
                                (_, offset, target) -> {
                                    offsets.add(offset);
                                    Thread.currentThread().interrupt();
                                    target.position(target.limit());
                                },
                                WriteProgress.none()))
                .withMessage("writing " + folder.resolve("a.gguf") + " was stopped by an interrupt");
        assertThat(Thread.interrupted()).isTrue();
        assertThat(offsets).containsExactly(0L);
        assertThat(names()).isEmpty();
    }

    /** Runs where a folder on a file system of a few MiB is named; fills it up while the file is being written. */
    @Test
    void aDiskThatFillsUpIsSurvived() throws IOException {
        String tiny = System.getProperty("headroom.tiny.disk");
        assumeThat(tiny)
                .as("skipped: the property headroom.tiny.disk names no folder on a small disk")
                .isNotNull();
        Path disk = Path.of(tiny);
        Path path = disk.resolve("a.gguf");
        Path filler = disk.resolve("filler");
        long free = Files.getFileStore(disk).getUsableSpace();
        long rows = (free - (1 << 20)) / 1024;
        GgufWriter writer =
                GgufWriter.builder().tensor("t", DataType.I8, 1024, rows).build();
        try {
            assertThatExceptionOfType(ModelWriteException.class)
                    .isThrownBy(() -> writer.write(
                            path,
                            (_, offset, target) -> {
                                if (offset == 0) {
                                    Files.write(filler, new byte[3 << 20]);
                                }
                                target.position(target.limit());
                            },
                            WriteProgress.none()))
                    .withMessageContaining("No space left on device; " + writer.byteSize() + " bytes needed, ")
                    .satisfies(e -> assertThat(e.bytesFree().orElseThrow()).isPositive());
            try (Stream<Path> left = Files.list(disk)) {
                assertThat(left).containsExactly(filler);
            }
        } finally {
            Files.deleteIfExists(filler);
        }
    }

    @Test
    void whatCouldNotBeReadCannotBeBuilt() {
        GgufWriter.Builder builder = GgufWriter.builder().put("k", new GgufValue.Flag(true));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.put("k", new GgufValue.Flag(true)));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.put("", new GgufValue.Flag(true)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> builder.put("long", new GgufValue.Text("x".repeat((16 << 20) + 1))));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> builder.put("u8", new GgufValue.Whole(GgufValueType.U8, 256)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> builder.put("i16", new GgufValue.Whole(GgufValueType.I16, 32_768)));
        assertThatIllegalArgumentException()
                .isThrownBy(() ->
                        builder.put("omitted", new GgufValue.Omitted(GgufValueType.ARRAY, GgufValueType.STRING, 1)));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new GgufValue.WholeList(GgufValueType.F32, Collections.emptyList()));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.version(1));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.alignment(24));
        assertThatIllegalStateException().isThrownBy(() -> builder.order(ByteOrder.BIG_ENDIAN));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.tensor("n".repeat(64), DataType.F32, 1));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.tensor("t", DataType.U8, 1));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.tensor("t", DataType.F32));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.tensor("t", DataType.F32, 1, 0));
        assertThatIllegalArgumentException().isThrownBy(() -> builder.tensor("t", DataType.Q4_K, 128, 2));
        builder.tensor("t", DataType.F32, 1);
        assertThatIllegalArgumentException().isThrownBy(() -> builder.tensor("t", DataType.F32, 1));
        assertThatExceptionOfType(ArithmeticException.class)
                .isThrownBy(() -> builder.tensor("u", DataType.F32, 1L << 62));
    }

    @Test
    void bigEndianSourcesSeeABigEndianBuffer() throws IOException {
        Path path = folder.resolve("a.gguf");
        GgufWriter writer = GgufWriter.builder()
                .order(ByteOrder.BIG_ENDIAN)
                .tensor("t", DataType.F32, 1)
                .build();
        writer.write(path, (_, _, target) -> target.putFloat(1.5f), WriteProgress.none());
        byte[] bytes = Files.readAllBytes(path);
        int at = (int) writer.tensors().getFirst().fileOffset();
        assertThat(ByteBuffer.wrap(bytes).getFloat(at)).isEqualTo(1.5f);
    }
}
