package dev.headroom.memory.model;

import static dev.headroom.memory.model.RawSafetensors.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsFileTest {

    @TempDir
    Path folder;

    private Path file(String json, int data) throws IOException {
        return RawSafetensors.write(folder.resolve("model.safetensors"), json, data);
    }

    @Test
    void tensorsAreFoundWhereTheyLie() throws IOException {
        String json = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("b", "BF16", "[3,2]", 4, 16) + ","
                + entry("a", "F32", "[]", 0, 4) + "," + entry("empty", "I64", "[0,7]", 16, 16) + ","
                + entry("half", "F4", "[4]", 16, 18) + "}  ";
        SafetensorsFile file = SafetensorsFile.read(file(json, 18));
        long data = 8 + json.length();
        assertThat(file.tensors()).extracting(SafetensorsTensor::name).containsExactly("a", "b", "empty", "half");
        SafetensorsTensor b = file.tensor("b").orElseThrow();
        assertThat(b.type()).isEqualTo(DataType.BF16);
        assertThat(b.shape()).containsExactly(3L, 2L);
        assertThat(b.fileOffset()).isEqualTo(data + 4);
        assertThat(b.byteSize()).isEqualTo(12);
        assertThat(b.elements()).isEqualTo(6);
        assertThat(file.tensor("a").orElseThrow().elements()).isEqualTo(1);
        assertThat(file.tensor("c")).isEmpty();
        assertThat(file.tensorBytes()).isEqualTo(18);
        assertThat(file.headerBytes()).isEqualTo(data);
    }

    @Test
    void namesMayBeAnyUnicode() throws IOException {
        SafetensorsFile file =
                SafetensorsFile.read(file("{" + entry("\u00e9\ud83d\ude00\\u00e9", "U8", "[1]", 0, 1) + "}", 1));
        assertThat(file.tensor("\u00e9\ud83d\ude00\u00e9")).isPresent();
    }

    @Test
    void anIndexJoinsFiles() throws IOException {
        RawSafetensors.write(folder.resolve("x-1.safetensors"), "{" + entry("a", "F32", "[2]", 0, 8) + "}", 8);
        RawSafetensors.write(folder.resolve("x-2.safetensors"), "{" + entry("b", "F16", "[2]", 0, 4) + "}", 4);
        Path index = Files.writeString(
                folder.resolve("model.safetensors.index.json"),
                "{\"metadata\":{\"total_size\":12,\"x\":[1e400]},\"extra\":{\"deep\":[{}]},"
                        + "\"weight_map\":{\"b\":\"x-2.safetensors\",\"a\":\"x-1.safetensors\"}}");
        SafetensorsFile file = SafetensorsFile.read(index);
        assertThat(file.files()).containsExactly(folder.resolve("x-2.safetensors"), folder.resolve("x-1.safetensors"));
        assertThat(file.tensorBytes()).isEqualTo(12);
        assertThat(file.tensor("a").orElseThrow().shard()).isEqualTo(1);
    }

    static Stream<Arguments> badMaps() {
        return Stream.of(
                Arguments.of(
                        "\"a\":\"../x.safetensors\"",
                        "expected the plain name of a .safetensors or .bin file in the same folder, "
                                + "found the text \"../x.safetensors\""),
                Arguments.of("\"a\":\"/x.safetensors\"", "found the text \"/x.safetensors\""),
                Arguments.of("\"a\":\"d\\\\x.safetensors\"", "found the text \"d\\x.safetensors\""),
                Arguments.of("\"a\":\"..\"", "found the text \"..\""),
                Arguments.of("\"a\":\"C:x.safetensors\"", "found the text \"C:x.safetensors\""),
                Arguments.of("\"a\":\"x\\u0000.safetensors\"", "found the text \"x\\u0000.safetensors\""),
                Arguments.of("\"a\":\"x.pt\"", "found the text \"x.pt\""),
                Arguments.of("\"a\":7", "expected the file of \"a\", found 7"),
                Arguments.of(
                        "\"a\":\"x.safetensors\",\"a\":\"x.safetensors\"",
                        "expected unique tensor names, found \"a\" a second time"),
                Arguments.of(
                        "\"a\":\"gone.safetensors\"",
                        "expected all 1 files in its folder, found no gone.safetensors\n"
                                + "put the missing files beside the index"),
                Arguments.of(
                        "\"b\":\"x.safetensors\"",
                        "expected only tensors that model.safetensors.index.json places in this file, "
                                + "found \"a\""),
                Arguments.of(
                        "\"a\":\"x.safetensors\",\"b\":\"x.safetensors\"",
                        "expected every tensor in the file it names, " + "found no \"b\" there"),
                Arguments.of(
                        "\"a\":\"x.bin\"",
                        "expected safetensors files under \"weight_map\", "
                                + "found PyTorch files, which cannot be read here"),
                Arguments.of(
                        "\"a\":\"x.safetensors\",\"b\":\"x.bin\"",
                        "expected files of one format, found the text \"x.bin\""));
    }

    @ParameterizedTest
    @MethodSource("badMaps")
    void badIndexesAreRefused(String map, String message) throws IOException {
        RawSafetensors.write(folder.resolve("x.safetensors"), "{" + entry("a", "F32", "[2]", 0, 8) + "}", 8);
        Path index = Files.writeString(
                folder.resolve("model.safetensors.index.json"), "{\"metadata\":{},\"weight_map\":{" + map + "}}");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> SafetensorsFile.read(index))
                .withMessageEndingWith(message);
    }

    @Test
    void twoDocumentsInOneIndexAreRefused() throws IOException {
        Path index = Files.writeString(
                folder.resolve("i.json"), "{\"weight_map\":{\"a\":\"x.safetensors\"}}\n{\"weight_map\":{}}");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> SafetensorsFile.read(index))
                .withMessageEndingWith("at byte 37: expected the end of the JSON text, found an object behind it");
    }

    @Test
    void aChangedFileIsNoticed() throws IOException {
        Path path = file("{" + entry("a", "U8", "[1]", 0, 1) + "}", 1);
        SafetensorsFile file = SafetensorsFile.read(path);
        file.verifyUnchanged();
        Files.write(path, new byte[1], StandardOpenOption.APPEND);
        assertThatExceptionOfType(ModelFileException.class).isThrownBy(file::verifyUnchanged);
    }

    @Test
    void aMissingFileIsNoModelFileException() {
        assertThatExceptionOfType(NoSuchFileException.class)
                .isThrownBy(() -> SafetensorsFile.read(folder.resolve("none.safetensors")));
    }

    @Test
    void everyTruncationIsRefused() throws IOException {
        byte[] bytes = RawSafetensors.bytes(
                "{\"__metadata__\":{\"k\":\"v\"}," + entry("a", "F32", "[2,3]", 0, 24) + ","
                        + entry("b", "I8", "[5]", 24, 29) + "}   ",
                29);
        Path path = Files.write(folder.resolve("cut.safetensors"), bytes);
        assertThat(SafetensorsFile.read(path).tensors()).hasSize(2);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            for (int length = bytes.length - 1; length >= 0; length--) {
                channel.truncate(length);
                long cut = length;
                assertThatExceptionOfType(ModelFileException.class)
                        .as("cut at %d", length)
                        .isThrownBy(() -> SafetensorsFile.read(path))
                        .satisfies(e -> assertThat(e.position().orElseThrow()).isBetween(0L, cut));
            }
        }
    }

    @Test
    void everyTruncationOfAnIndexIsRefused() throws IOException {
        RawSafetensors.write(folder.resolve("x.safetensors"), "{" + entry("a", "F32", "[2]", 0, 8) + "}", 8);
        String text = "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"x.safetensors\"}}";
        for (int length = text.length() - 1; length >= 0; length--) {
            Path index = Files.writeString(folder.resolve("i.json"), text.substring(0, length));
            long cut = length;
            assertThatExceptionOfType(ModelFileException.class)
                    .as("cut at %d", length)
                    .isThrownBy(() -> SafetensorsFile.read(index))
                    .satisfies(e -> assertThat(e.position().orElseThrow()).isBetween(0L, cut));
        }
    }
}
