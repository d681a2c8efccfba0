package dev.headroom.memory.model;

import static dev.headroom.memory.model.RawSafetensors.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Safetensors files made to break readers. Each must be refused at once, with the position and the reason. */
@Timeout(20)
class HostileSafetensorsTest {

    @TempDir
    Path folder;

    private static Arguments json(String name, String json, int data, String message) {
        return Arguments.of(name, RawSafetensors.bytes(json, data), message);
    }

    private static Arguments raw(String name, long length, String header, String message) {
        return Arguments.of(
                name, RawSafetensors.bytes(length, header.getBytes(StandardCharsets.ISO_8859_1), 0), message);
    }

    static Stream<Arguments> hostile() {
        return Stream.of(
                // The header itself.
                Arguments.of(
                        "empty",
                        new byte[0],
                        "at byte 0: expected a header length of 8 bytes, found an empty file\n"
                                + "this is not a safetensors file"),
                Arguments.of(
                        "lfs",
                        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
                                .getBytes(StandardCharsets.US_ASCII),
                        "at byte 0: expected a header length of 8 bytes, found a git-lfs pointer to a file of 12 bytes\n"
                                + "run \"git lfs pull\" in the repository the file came from"),
                Arguments.of(
                        "gguf",
                        RawGguf.header(0, 0).bytes(),
                        "at byte 0: expected a header length of 8 bytes, found a GGUF file\n"
                                + "this is not a safetensors file"),
                raw(
                        "2^64 - 1 bytes",
                        -1,
                        "{}",
                        "at byte 0: expected a header of 2 to 100000000 bytes, found one of 18446744073709551615\n"
                                + "this is not a safetensors file"),
                raw(
                        "above the limit",
                        100_000_001,
                        "{}",
                        "at byte 0: expected a header of 2 to 100000000 bytes, found one of 100000001\n"
                                + "this is not a safetensors file"),
                raw(
                        "longer than the file",
                        3,
                        "{}",
                        "at byte 0: expected a header that fits in the 2 bytes left, found one of 3"),
                raw(
                        "no object",
                        2,
                        "[]",
                        "at byte 8: expected a header that starts with \"{\", found \"[\"\n"
                                + "this is not a safetensors file"),
                raw(
                        "white space first",
                        3,
                        " {}",
                        "at byte 8: expected a header that starts with \"{\", "
                                + "found \" \"\nthis is not a safetensors file"),
                raw(
                        "two documents",
                        4,
                        "{}{}",
                        "at byte 10: expected the end of the JSON text, found an object behind it"),
                raw("not UTF-8", 11, "{\"\u00c3(\":{}}  ", "at byte 10: expected text in UTF-8, found other bytes"),
                raw("overlong UTF-8", 11, "{\"\u00c1\u0081\":{}}  ", "expected text in UTF-8, found other bytes"),
                raw("UTF-16", 8, "{\0}\0 \0 \0", null),

                // JSON that is deep, big or odd.
                json("deep", "{\"a\":" + "[".repeat(50_000), 0, null),
                json("deep in a tensor", "{\"a\":{\"shape\":" + "[".repeat(50_000), 0, null),
                json("a number of a megabyte", "{\"a\":{\"shape\":[" + "9".repeat(1 << 20), 0, null),
                json("a name of a megabyte", "{\"" + "n".repeat(1 << 20) + "\":{}}", 0, null),
                json(
                        "a fraction",
                        "{" + entry("a", "U8", "[1.0]", 0, 1) + "}",
                        1,
                        "at byte 36: expected an extent of \"a\", a whole number, found 1.0"),
                json(
                        "1e400",
                        "{" + entry("a", "U8", "[1e400]", 0, 1) + "}",
                        1,
                        "at byte 36: expected an extent of \"a\", a whole number, found 1e400"),
                json(
                        "2^63",
                        "{" + entry("a", "U8", "[9223372036854775808]", 0, 1) + "}",
                        1,
                        "at byte 36: expected an extent of \"a\" from 0 to 9223372036854775807, "
                                + "found 9223372036854775808"),
                json(
                        "negative",
                        "{" + entry("a", "U8", "[-1]", 0, 1) + "}",
                        1,
                        "at byte 36: expected an extent of \"a\" from 0 to 9223372036854775807, found -1"),
                json("not a number", "{" + entry("a", "U8", "[NaN]", 0, 1) + "}", 1, null),
                json("a comment", "{/**/}", 0, null),

                // Keys and types.
                json(
                        "a name twice",
                        "{" + entry("a", "U8", "[1]", 0, 1) + "," + entry("a", "U8", "[1]", 1, 2) + "}",
                        2,
                        "expected unique tensor names, found \"a\" a second time"),
                json(
                        "an escaped name twice",
                        "{" + entry("a", "U8", "[1]", 0, 1) + "," + entry("\\u0061", "U8", "[1]", 1, 2) + "}",
                        2,
                        "expected unique tensor names, found \"a\" a second time"),
                json(
                        "a key twice",
                        "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}",
                        0,
                        "at byte 27: expected unique keys in \"a\", found \"dtype\" a second time"),
                json(
                        "a key of no meaning",
                        "{\"a\":{\"dtype\":\"U8\",\"offsets\":1}}",
                        0,
                        "at byte 27: expected dtype, shape and data_offsets of \"a\", found \"offsets\""),
                json(
                        "metadata twice",
                        "{\"__metadata__\":{},\"__metadata__\":{}}",
                        0,
                        "at byte 27: expected unique names, found \"__metadata__\" a second time"),
                json(
                        "metadata that is no text",
                        "{\"__metadata__\":{\"a\":1}}",
                        0,
                        "at byte 29: expected a text in \"__metadata__\", found 1"),
                json(
                        "a metadata key twice",
                        "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}",
                        0,
                        "at byte 32: expected unique keys in \"__metadata__\", found \"a\" a second time"),
                json(
                        "a type of GGUF alone",
                        "{" + entry("a", "Q4_0", "[32]", 0, 18) + "}",
                        18,
                        "at byte 22: expected a known dtype of \"a\", found the text \"Q4_0\""),
                json(
                        "a type in small letters",
                        "{" + entry("a", "u8", "[1]", 0, 1) + "}",
                        1,
                        "at byte 22: expected a known dtype of \"a\", found the text \"u8\""),
                json(
                        "half a tensor",
                        "{\"a\":{\"dtype\":\"U8\"}}",
                        0,
                        "at byte 26: expected dtype, shape and data_offsets of \"a\", found the end of the object"),
                json(
                        "a tensor that is a number",
                        "{\"a\":1}",
                        0,
                        "at byte 13: expected an object for the tensor \"a\", found 1"),
                json(
                        "three offsets",
                        "{\"a\":{\"data_offsets\":[0,1,2]}}",
                        0,
                        "at byte 34: expected two data_offsets of \"a\", found 2"),
                json(
                        "half a byte",
                        "{" + entry("a", "F4", "[3]", 0, 2) + "}",
                        2,
                        "expected values of \"a\" that fill whole bytes, found F4 with shape [3]"),

                // Sizes and places.
                json(
                        "a product that wraps",
                        "{" + entry("a", "U8", "[4294967296,4294967296]", 0, 0) + "}",
                        0,
                        "expected a tensor \"a\" of less than 2^63 bytes, found U8 with shape [4294967296, 4294967296]"),
                json(
                        "a size that wraps",
                        "{" + entry("a", "F64", "[1152921504606846976]", 0, 0) + "}",
                        0,
                        "expected a tensor \"a\" of less than 2^63 bytes, found F64 with shape [1152921504606846976]"),
                json(
                        "fewer bytes than values",
                        "{" + entry("a", "F32", "[2]", 0, 4) + "}",
                        4,
                        "expected 8 bytes for \"a\", F32 with shape [2], found 4 from 0 to 4"),
                json(
                        "behind the end",
                        "{" + entry("a", "F32", "[1]", 0, 4) + "}",
                        3,
                        "expected the data of \"a\" inside the 3 bytes behind the header, found bytes 0 to 4"),
                json(
                        "backwards",
                        "{" + entry("a", "F32", "[1]", 4, 0) + "}",
                        4,
                        "expected the data of \"a\" inside the 4 bytes behind the header, found bytes 4 to 0"),
                json(
                        "a hole",
                        "{" + entry("a", "U8", "[1]", 1, 2) + "}",
                        2,
                        "expected the data of \"a\" from byte 61 on, right behind the tensor before it, "
                                + "found a hole of 1 bytes"),
                json(
                        "an overlap",
                        "{" + entry("a", "U8", "[2]", 0, 2) + "," + entry("b", "U8", "[2]", 1, 3) + "}",
                        3,
                        "right behind the tensor before it, found a second use of 1 bytes"),
                json(
                        "bytes nobody claims",
                        "{" + entry("a", "U8", "[1]", 0, 1) + "}",
                        6,
                        "at byte 62: expected the end of the file behind the last tensor, found 5 bytes more"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("hostile")
    void isRefused(String name, byte[] bytes, String message) throws IOException {
        Path path = Files.write(folder.resolve("hostile.safetensors"), bytes);
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> SafetensorsFile.read(path))
                .satisfies(e -> assertThat(e.path()).isEqualTo(path))
                .satisfies(e ->
                        assertThat(e).message().hasSizeLessThan(path.toString().length() + 300))
                .withMessageEndingWith(message == null ? "" : message);
    }

    @Test
    void flippedBytesNeverDoMoreThanRefuse() throws IOException {
        String json = "{\"__metadata__\":{\"k\":\"v\"}," + entry("a", "F32", "[2,3]", 0, 24) + ","
                + entry("b", "I8", "[5]", 24, 29) + "}";
        byte[] bytes = RawSafetensors.bytes(json, 29);
        int headerBytes = 8 + json.length();
        Path path = Files.write(folder.resolve("flip.safetensors"), bytes);
        SplittableRandom random = new SplittableRandom(20_251_121);
        int refused = 0;
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            for (int round = 0; round < 5_000; round++) {
                byte[] flipped = bytes.clone();
                for (int flips = random.nextInt(1, 4); flips > 0; flips--) {
                    int at = random.nextInt(headerBytes);
                    flipped[at] = random.nextBoolean()
                            ? (byte) (flipped[at] ^ (1 << random.nextInt(8)))
                            : (byte) random.nextInt();
                }
                channel.write(ByteBuffer.wrap(flipped, 0, headerBytes), 0);
                try {
                    assertThat(SafetensorsFile.read(path).tensorBytes()).isEqualTo(29);
                } catch (ModelFileException _) {
                    refused++;
                } catch (RuntimeException | Error e) {
                    fail("round " + round + ": " + HexFormat.of().formatHex(flipped), e);
                }
            }
        }
        assertThat(refused).isGreaterThan(3_000);
    }

    /** Header bloat: what is measured is all that the reading thread allocates, garbage included. */
    @Test
    void aHundredThousandTensorsCostLittle() throws IOException {
        StringBuilder json = new StringBuilder("{");
        for (int i = 0; i < 100_000; i++) {
            json.append(i == 0 ? "" : ",").append(entry("t" + (99_999 - i), "U8", "[1]", i, i + 1));
        }
        Path path = RawSafetensors.write(
                folder.resolve("many.safetensors"), json.append('}').toString(), 100_000);
        assertThat(SafetensorsFile.read(path).tensors()).hasSize(100_000);
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        SafetensorsFile file = SafetensorsFile.read(path);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        System.out.printf(
                "header %d bytes, heap %.2f times that%n", file.headerBytes(), (double) allocated / file.headerBytes());
        assertThat(allocated).isLessThanOrEqualTo(8 * file.headerBytes() + (256 << 10));
    }

    /** What is held on to, not what passes through: the names, and one number for each. */
    @Test
    void anIndexOfAHundredThousandTensorsCostsLittle() throws IOException {
        StringBuilder json = new StringBuilder("{\"weight_map\":{");
        for (int i = 0; i < 100_000; i++) {
            json.append(i == 0 ? "" : ",")
                    .append("\"t")
                    .append(i)
                    .append("\":\"")
                    .append(i % 100)
                    .append(".safetensors\"");
        }
        Path path =
                Files.writeString(folder.resolve("i.json"), json.append("}}").toString());
        assertThat(SafetensorsIndex.read(path).shards()).hasSize(100);
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        SafetensorsIndex index = SafetensorsIndex.read(path);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        System.out.printf(
                "index %d bytes, heap %.2f times that%n", Files.size(path), (double) allocated / Files.size(path));
        assertThat(index.tensorCount()).isEqualTo(100_000);
        assertThat(allocated).isLessThanOrEqualTo(8 * Files.size(path) + (256 << 10));
    }
}
