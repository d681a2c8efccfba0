package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.fail;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Files made to break readers. Each must be refused at once, with the position and the reason. */
@Timeout(20)
class HostileGgufTest {

    private static final long HUGE = Long.MAX_VALUE;

    /** Of {@link #validFile}. */
    private static final int HEADER_BYTES = 395;

    @TempDir
    Path folder;

    private static Arguments of(String name, RawGguf raw, String message) {
        return Arguments.of(name, raw, message);
    }

    static Stream<Arguments> hostile() {
        RawGguf nested = RawGguf.header(0, 1).key("a", GgufValueType.ARRAY);
        for (int depth = 0; depth < 1000; depth++) {
            nested.u32(9).u64(1);
        }
        return Stream.of(
                // Not the format at all.
                of(
                        "empty",
                        new RawGguf(),
                        "at byte 0: expected the magic \"GGUF\", found an empty file\n" + "this is not a GGUF file"),
                of(
                        "other magic",
                        new RawGguf().ascii("\u001b[2J"),
                        "at byte 0: expected the magic \"GGUF\", " + "found \"\\u001b[2J\"\nthis is not a GGUF file"),
                of(
                        "safetensors",
                        new RawGguf().u64(2).ascii("{}"),
                        "at byte 0: expected the magic \"GGUF\", "
                                + "found what looks like a safetensors file\nthis is not a GGUF file"),
                of(
                        "pytorch",
                        new RawGguf().ascii("PK\u0003\u0004..."),
                        "at byte 0: expected the magic \"GGUF\", "
                                + "found a zip archive, as PyTorch writes them\nthis is not a GGUF file"),
                of(
                        "ggml",
                        new RawGguf().ascii("tjgg...."),
                        "at byte 0: expected the magic \"GGUF\", "
                                + "found a GGML file from before GGUF\nthis is not a GGUF file"),
                of(
                        "lfs",
                        new RawGguf().ascii("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
                        "at byte 0: expected the magic \"GGUF\", found a git-lfs pointer to a file of 12 bytes\n"
                                + "run \"git lfs pull\" in the repository the file came from"),
                of(
                        "version 0",
                        new RawGguf().ascii("GGUF").u32(0).zeros(16),
                        "at byte 4: expected GGUF version 2 or 3, " + "found the unsupported version 0"),
                of(
                        "version 1",
                        new RawGguf().ascii("GGUF").u32(1).zeros(16),
                        "at byte 4: expected GGUF version 2 or 3, found version 1, whose counts have 32 bits\n"
                                + "convert the model again with a current tool"),
                of(
                        "version 4",
                        new RawGguf().ascii("GGUF").u32(4).zeros(16),
                        "at byte 4: expected GGUF version 2 or 3, " + "found the unsupported version 4"),
                of(
                        "version 1, big-endian",
                        new RawGguf()
                                .order(ByteOrder.BIG_ENDIAN)
                                .ascii("GGUF")
                                .u32(1)
                                .zeros(16),
                        "at byte 4: expected GGUF version 2 or 3, found version 1, whose counts have 32 bits\n"
                                + "convert the model again with a current tool"),

                // Counts (CVE-2024-21802 and its siblings, ggml#709).
                of(
                        "2^63 tensors",
                        RawGguf.header(Long.MIN_VALUE, 0),
                        "at byte 8: expected at most 1048576 tensors, " + "found 9223372036854775808"),
                of(
                        "2^20 + 1 tensors",
                        RawGguf.header((1 << 20) + 1, 0),
                        "at byte 8: expected at most 1048576 tensors, " + "found 1048577"),
                of(
                        "more tensors than bytes",
                        RawGguf.header(1000, 0),
                        "at byte 8: expected no more tensors than fit " + "in the 8 bytes left, 0, found 1000"),
                of(
                        "2^64 - 1 keys",
                        RawGguf.header(0, -1),
                        "at byte 16: expected at most 1048576 metadata keys, " + "found 18446744073709551615"),
                of(
                        "more keys than bytes",
                        RawGguf.header(0, 100).zeros(140),
                        "at byte 16: expected no more metadata "
                                + "keys than fit in the 140 bytes left, 10, found 100"),

                // Keys and values; strings and arrays of gigabytes in files of 43 and 160 bytes (llama.cpp#19856).
                of(
                        "empty key",
                        RawGguf.header(0, 1).text("").u32(4).u32(1).zeros(8),
                        "at byte 24: expected a key of 1 to 65535 bytes, found one of 0"),
                of(
                        "43 bytes",
                        RawGguf.header(0, 1).u64(HUGE).zeros(11),
                        "at byte 24: expected a key of 1 to 65535 bytes, found one of 9223372036854775807"),
                of(
                        "key behind the end",
                        RawGguf.header(0, 1).u64(100).zeros(20),
                        "at byte 32: expected 100 bytes for a key, found 20 before the end of the file"),
                of(
                        "key that is not UTF-8",
                        RawGguf.header(0, 1).u64(2).u8('k').u8(0xe4).u32(4).u32(1),
                        "at byte 32: expected a key in UTF-8, found \"k\u00e4\""),
                of(
                        "unknown value type",
                        RawGguf.header(0, 1).text("k").u32(13).u32(0),
                        "at byte 33: expected a value type from 0 to 12, found 13"),
                of(
                        "negative value type",
                        RawGguf.header(0, 1).text("k").u32(-1).u32(0),
                        "at byte 33: expected a value type from 0 to 12, found 4294967295"),
                of(
                        "string of 1 GiB",
                        RawGguf.header(0, 1).text("k").u32(8).u64(1 << 30).zeros(115),
                        "at byte 37: expected a text of at most 16777216 bytes, found one of 1073741824"),
                of(
                        "string behind the end",
                        RawGguf.header(0, 1).text("k").u32(8).u64(16 << 20).zeros(115),
                        "at byte 45: expected 16777216 bytes for a text, found 115 before the end of the file"),
                of(
                        "string of 2^64 - 1 bytes",
                        RawGguf.header(0, 1).text("k").u32(8).u64(-1).zeros(115),
                        "at byte 37: expected a text of at most 16777216 bytes, found one of 18446744073709551615"),
                of(
                        "array of 1 Gi numbers",
                        RawGguf.header(0, 1)
                                .text("k")
                                .u32(9)
                                .u32(4)
                                .u64(1 << 30)
                                .zeros(111),
                        "at byte 41: expected no more U32 elements than fit in the 111 bytes left, 27, "
                                + "found 1073741824"),
                of(
                        "array whose size wraps",
                        RawGguf.header(0, 1)
                                .text("k")
                                .u32(9)
                                .u32(10)
                                .u64((1L << 61) + 1)
                                .zeros(100),
                        "at byte 41: expected no more U64 elements than fit in the 100 bytes left, 12, "
                                + "found 2305843009213693953"),
                of(
                        "array of 2^64 - 1 bytes",
                        RawGguf.header(0, 1).text("k").u32(9).u32(0).u64(-1).zeros(100),
                        "at byte 41: expected no more U8 elements than fit in the 100 bytes left, 100, "
                                + "found 18446744073709551615"),
                of(
                        "array of texts that end early",
                        RawGguf.header(0, 1)
                                .text("k")
                                .u32(9)
                                .u32(8)
                                .u64(2)
                                .u64(50)
                                .zeros(9),
                        "at byte 57: expected 50 bytes for a text, found 9 before the end of the file"),
                of(
                        "array of a type there is not",
                        RawGguf.header(0, 1).text("k").u32(9).u32(99).u64(1).zeros(9),
                        "at byte 37: expected a value type from 0 to 12, found 99"),
                of(
                        "1000 arrays in each other",
                        nested,
                        "at byte 37: expected an array of plain values, found an array of arrays"),
                of(
                        "duplicate key",
                        RawGguf.header(0, 3).key("b", 1).key("a", 2).key("b", 3),
                        "at byte 58: expected unique keys, found \"b\" a second time"),

                // Alignment (2^30 in llama.cpp#19856, 0 in gguf-tools).
                of(
                        "alignment 0",
                        RawGguf.header(0, 1).key("general.alignment", 0),
                        "at byte 53: expected a power of two "
                                + "of at most 1048576 under \"general.alignment\", found 0"),
                of(
                        "alignment 24",
                        RawGguf.header(0, 1).key("general.alignment", 24),
                        "at byte 53: expected a power of "
                                + "two of at most 1048576 under \"general.alignment\", found 24"),
                of(
                        "alignment 2^30",
                        RawGguf.header(0, 1).key("general.alignment", 1 << 30),
                        "at byte 53: expected a "
                                + "power of two of at most 1048576 under \"general.alignment\", found 1073741824"),
                of(
                        "alignment as text",
                        RawGguf.header(0, 1).key("general.alignment", "32"),
                        "at byte 53: expected a " + "whole number under \"general.alignment\", found the text \"32\""),

                // Tensor infos.
                of(
                        "empty name",
                        RawGguf.header(1, 0).tensor("", 0, 0, 8).data(32),
                        "at byte 24: expected a tensor name of 1 to 63 bytes, found one of 0"),
                of(
                        "name of 64 bytes",
                        RawGguf.header(1, 0).tensor("n".repeat(64), 0, 0, 8).data(32),
                        "at byte 24: expected a tensor name of 1 to 63 bytes, found one of 64"),
                of(
                        "name that is not UTF-8",
                        RawGguf.header(1, 0)
                                .u64(1)
                                .u8(0xff)
                                .u32(1)
                                .u64(8)
                                .u32(0)
                                .u64(0)
                                .data(32),
                        "at byte 32: expected a tensor name in UTF-8, found \"\u00ff\""),
                of(
                        "no dimensions",
                        RawGguf.header(1, 0).tensor("t", 0, 0).data(32),
                        "at byte 33: expected 1 to 4 dimensions of \"t\", found 0"),
                of(
                        "5 dimensions",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 1, 1, 1, 1, 1).data(32),
                        "at byte 33: expected 1 to 4 dimensions of \"t\", found 5"),
                of(
                        "2^32 - 1 dimensions",
                        RawGguf.header(1, 0).text("t").u32(-1).zeros(100),
                        "at byte 33: expected 1 to 4 dimensions of \"t\", found 4294967295"),
                of(
                        "dimension 0",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 0).data(32),
                        "at byte 37: expected a dimension of \"t\" from 1 to 9223372036854775807, found 0"),
                of(
                        "negative dimension",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 8, -8).data(32),
                        "at byte 45: expected a dimension of \"t\" from 1 to 9223372036854775807, "
                                + "found 18446744073709551608"),
                of(
                        "dimensions that wrap (CVE-2026-33298)",
                        RawGguf.header(1, 0)
                                .tensor("t", 0, 0, 1L << 32, 1L << 32, 1, 8)
                                .data(32),
                        "at byte 69: expected a tensor of less than 2^63 bytes, found \"t\" of type F32 with "
                                + "dimensions [4294967296, 4294967296, 1, 8]"),
                of(
                        "bytes that wrap",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 1L << 62).data(32),
                        "at byte 45: expected a tensor of less than 2^63 bytes, found \"t\" of type F32 with "
                                + "dimensions [4611686018427387904]"),
                of(
                        "sum of tensors that wraps (CVE-2025-53630)",
                        RawGguf.header(2, 0)
                                .tensor("t", 24, 0, 1L << 62)
                                .tensor("u", 24, 1L << 62, 1L << 62)
                                .data(32),
                        "at byte 57: expected tensors of less than 2^63 bytes together, found \"u\" of "
                                + "4611686018427387904 bytes at offset 4611686018427387904"),
                of(
                        "padding that wraps (CVE-2026-27940)",
                        RawGguf.header(1, 0).tensor("t", 24, 0, Long.MAX_VALUE).data(32),
                        "at byte 24: expected tensors of less than 2^63 bytes together, found \"t\" of "
                                + "9223372036854775807 bytes at offset 0"),
                of(
                        "withdrawn type",
                        RawGguf.header(1, 0).tensor("t", 4, 0, 32).data(32),
                        "at byte 45: expected a known type of \"t\", found unknown type 4"),
                of(
                        "negative type",
                        RawGguf.header(1, 0).tensor("t", -1, 0, 32).data(32),
                        "at byte 45: expected a known type of \"t\", found unknown type 4294967295"),
                of(
                        "row that cuts a block",
                        RawGguf.header(1, 0).tensor("t", 12, 0, 128, 2).data(144),
                        "at byte 53: expected a first dimension of \"t\" that is a multiple of 256, the block of Q4_K, "
                                + "found 128"),
                of(
                        "duplicate name",
                        RawGguf.header(2, 0)
                                .tensor("t", 0, 0, 8)
                                .tensor("t", 0, 32, 8)
                                .data(64),
                        "at byte 57: expected unique tensor names, found \"t\" a second time"),

                // Where the data lies (CVE-2026-7482: offset behind the file leaked the heap).
                of(
                        "first offset not 0",
                        RawGguf.header(1, 0).tensor("t", 0, 32, 8).data(64),
                        "at byte 49: expected offset 0 for \"t\", right behind the tensor before it, found 32"),
                of(
                        "offset that wraps",
                        RawGguf.header(1, 0).tensor("t", 0, -32, 8).data(64),
                        "at byte 49: expected offset 0 for \"t\", right behind the tensor before it, "
                                + "found 18446744073709551584"),
                of(
                        "tensors that overlap",
                        RawGguf.header(2, 0)
                                .tensor("t", 0, 0, 16)
                                .tensor("u", 0, 32, 8)
                                .data(64),
                        "at byte 82: expected offset 64 for \"u\", right behind the tensor before it, found 32"),
                of(
                        "hole between tensors",
                        RawGguf.header(2, 0)
                                .tensor("t", 0, 0, 8)
                                .tensor("u", 0, 64, 8)
                                .data(96),
                        "at byte 82: expected offset 32 for \"u\", right behind the tensor before it, found 64"),
                of(
                        "data cut by one byte",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 8).data(31),
                        "at byte 24: expected the data of \"t\" inside the file of 95 bytes, "
                                + "found 32 bytes of it from byte 64"),
                of(
                        "no data at all",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 8),
                        "at byte 24: expected the data of \"t\" inside the file of 57 bytes, "
                                + "found 32 bytes of it from byte 64"),
                of(
                        "data of an exabyte",
                        RawGguf.header(1, 0).tensor("t", 0, 0, 1L << 58).data(32),
                        "at byte 24: expected the data of \"t\" inside the file of 96 bytes, "
                                + "found 1152921504606846976 bytes of it from byte 64"),
                of(
                        "negative number of shards",
                        RawGguf.header(0, 1)
                                .key("split.count", GgufValueType.I32)
                                .u32(-3),
                        "at byte 47: expected a number of shards under \"split.count\", found -3"),
                of(
                        "control characters in a name",
                        RawGguf.header(0, 2).key("\u001b]0;x\u0007", 1).key("\u001b]0;x\u0007", 1),
                        "at byte 46: expected unique keys, found \"\\u001b]0;x\\u0007\" a second time"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("hostile")
    void isRefusedWithPositionAndReason(String name, RawGguf raw, String message) throws IOException {
        Path path = raw.write(folder, "hostile.gguf");
        long start = System.nanoTime();
        assertThatExceptionOfType(ModelFileException.class)
                .as(name)
                .isThrownBy(() -> GgufFile.read(path))
                .withMessage(path + " " + message);
        assertThat(System.nanoTime() - start).isLessThan(2_000_000_000L);
    }

    /** Small, with something of everything: strings, arrays, numbers, two tensors. */
    static byte[] validFile() {
        return RawGguf.header(2, 6)
                .key("general.architecture", "llama")
                .key("llama.block_count", 1)
                .key("tokenizer.ggml.tokens", GgufValueType.ARRAY)
                .u32(8)
                .u64(3)
                .text("a")
                .text("")
                .text("ccc")
                .key("llama.attention.head_count_kv", GgufValueType.ARRAY)
                .u32(4)
                .u64(2)
                .u32(8)
                .u32(8)
                .key("general.alignment", 64)
                .key("eps", GgufValueType.F32)
                .u32(0x3f80_0000)
                .tensor("token_embd.weight", 8, 0, 32, 3)
                .tensor("output_norm.weight", 0, 128, 32)
                .zeros(400)
                .bytes();
    }

    /** The last byte of the last tensor is the last one needed. */
    private static byte[] exactFile() throws IOException {
        byte[] bytes = validFile();
        Path path = Files.write(Files.createTempFile("headroom", ".gguf"), bytes);
        try {
            return Arrays.copyOf(
                    bytes, (int) GgufFile.read(path).tensors().getLast().endOffset());
        } finally {
            Files.delete(path);
        }
    }

    @Test
    void everyTruncationIsRefused() throws IOException {
        byte[] bytes = exactFile();
        Path path = folder.resolve("cut.gguf");
        Files.write(path, bytes);
        assertThat(GgufFile.read(path).tensors()).hasSize(2);
        assertThat(GgufFile.read(path).shards().getFirst().headerBytes()).isEqualTo(HEADER_BYTES);
        // Cut shorter and shorter in place: files made anew would cost the file system more than the reader.
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            for (int length = bytes.length - 1; length >= 0; length--) {
                channel.truncate(length);
                long cut = length;
                assertThatExceptionOfType(ModelFileException.class)
                        .as("cut at %d", length)
                        .isThrownBy(() -> GgufFile.read(path))
                        .satisfies(e -> assertThat(e.position().orElseThrow()).isBetween(0L, cut));
            }
        }
    }

    /** Whatever a flipped bit makes of a file, it is read or refused; nothing else is thrown and nothing hangs. */
    @Test
    void flippedBytesNeverDoMoreThanRefuse() throws IOException {
        byte[] bytes = exactFile();
        Path path = folder.resolve("flip.gguf");
        SplittableRandom random = new SplittableRandom(20_251_120);
        int refused = 0;
        Files.write(path, bytes);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            for (int round = 0; round < 20_000; round++) {
                byte[] flipped = bytes.clone();
                for (int flips = random.nextInt(1, 4); flips > 0; flips--) {
                    // Flips in the data say nothing; they fall in the header.
                    int at = random.nextInt(HEADER_BYTES);
                    flipped[at] = random.nextBoolean()
                            ? (byte) (flipped[at] ^ (1 << random.nextInt(8)))
                            : (byte) random.nextInt();
                }
                channel.write(ByteBuffer.wrap(flipped, 0, HEADER_BYTES), 0);
                if (!isRead(path, "round " + round, flipped)) {
                    refused++;
                }
            }
        }
        assertThat(refused).isGreaterThan(5_000);
    }

    private static boolean isRead(Path path, String round, byte[] bytes) throws IOException {
        try {
            GgufFile file = GgufFile.read(path);
            for (GgufTensor tensor : file.tensors()) {
                assertThat(tensor.endOffset()).isLessThanOrEqualTo(bytes.length);
            }
            file.metadata()
                    .keys()
                    .forEach(key -> assertThat(file.metadata().value(key)).isPresent());
            return true;
        } catch (ModelFileException _) {
            return false;
        } catch (RuntimeException | Error e) {
            return fail(round + ": " + HexFormat.of().formatHex(bytes), e);
        }
    }

    @Test
    void textsFromTheFileCannotFloodAMessage() throws IOException {
        String key = "k".repeat(60_000);
        Path path = RawGguf.header(0, 2).key(key, 1).key(key, 1).write(folder, "flood.gguf");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(path))
                .satisfies(e ->
                        assertThat(e).message().hasSizeLessThan(path.toString().length() + 200));
    }
}
