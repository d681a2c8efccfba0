package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class GgufFileTest {

    @TempDir
    Path folder;

    static Stream<Arguments> forms() {
        return Stream.of(2, 3)
                .flatMap(version -> Stream.of(ByteOrder.LITTLE_ENDIAN, ByteOrder.BIG_ENDIAN)
                        .flatMap(order -> Stream.of(1, 32, 4096, 1 << 20)
                                .map(alignment -> Arguments.of(version, order, alignment))));
    }

    @ParameterizedTest
    @MethodSource("forms")
    void everyTypeAndValueComesBack(int version, ByteOrder order, int alignment) throws IOException {
        List<DataType> types = Arrays.stream(DataType.values())
                .filter(type -> type.ggufId().isPresent())
                .toList();
        GgufWriter.Builder builder = GgufWriter.builder()
                .version(version)
                .order(order)
                .alignment(alignment)
                .put("u8", new GgufValue.Whole(GgufValueType.U8, 255))
                .put("i8", new GgufValue.Whole(GgufValueType.I8, -128))
                .put("u16", new GgufValue.Whole(GgufValueType.U16, 65_535))
                .put("i16", new GgufValue.Whole(GgufValueType.I16, -32_768))
                .put("u32", new GgufValue.Whole(GgufValueType.U32, 0xffff_ffffL))
                .put("i32", new GgufValue.Whole(GgufValueType.I32, Integer.MIN_VALUE))
                .put("u64", new GgufValue.Whole(GgufValueType.U64, -1))
                .put("i64", new GgufValue.Whole(GgufValueType.I64, Long.MIN_VALUE))
                .put("f32", new GgufValue.Real(GgufValueType.F32, 0.5))
                .put("f64", new GgufValue.Real(GgufValueType.F64, Math.PI))
                .put("flag", new GgufValue.Flag(true))
                .put("text", new GgufValue.Text("grüße"))
                .put("list", new GgufValue.WholeList(GgufValueType.I16, List.of(8L, 0L, -1L)))
                .put("flags", new GgufValue.WholeList(GgufValueType.BOOL, List.of(1L, 0L)))
                .put("reals", new GgufValue.RealList(GgufValueType.F32, List.of(1.5, -2.0)))
                .put("long list", new GgufValue.WholeList(GgufValueType.I32, Collections.nCopies(20_000, 7L)))
                .put("long text", new GgufValue.Text("x".repeat(100_000)))
                .putTexts("texts", 3, i -> "token " + i);
        for (DataType type : types) {
            builder.tensor(type.label() + ".weight", type, type.valuesPerBlock(), 3, 2, 1);
        }
        GgufWriter writer = builder.build();
        Path path = folder.resolve("all.gguf");
        writer.write(path, (tensor, _, target) -> zero(target), WriteProgress.none());
        GgufFile file = GgufFile.read(path);

        assertThat(Files.size(path)).isEqualTo(writer.byteSize());
        assertThat(file.tensors()).isEqualTo(writer.tensors()).hasSize(types.size());
        for (DataType type : types) {
            GgufTensor tensor = file.tensor(type.label() + ".weight").orElseThrow();
            assertThat(tensor.type()).isEqualTo(type);
            assertThat(tensor.dims()).containsExactly((long) type.valuesPerBlock(), 3L, 2L, 1L);
            assertThat(tensor.byteSize()).isEqualTo(6L * type.bytesPerBlock());
            assertThat(tensor.elements()).isEqualTo(6L * type.valuesPerBlock());
            assertThat(tensor.fileOffset() % alignment).isZero();
        }
        assertThat(file.tensor("absent")).isEmpty();
        assertThat(file.tensorBytes())
                .isEqualTo(types.stream()
                        .mapToLong(type -> 6L * type.bytesPerBlock())
                        .sum());
        GgufShard shard = file.shards().getFirst();
        assertThat(shard.version()).isEqualTo(version);
        assertThat(shard.byteOrder()).isEqualTo(order);
        assertThat(shard.alignment()).isEqualTo(alignment);

        GgufMetadata metadata = file.metadata();
        assertThat(metadata.keys())
                .startsWith("u8", "i8")
                .hasSize(alignment == 32 ? 18 : 19)
                .contains("texts");
        assertThat(metadata.integer("u8")).hasValue(255);
        assertThat(metadata.integer("i8")).hasValue(-128);
        assertThat(metadata.integer("u16")).hasValue(65_535);
        assertThat(metadata.integer("i16")).hasValue(-32_768);
        assertThat(metadata.integer("u32")).hasValue(0xffff_ffffL);
        assertThat(metadata.integer("i32")).hasValue(Integer.MIN_VALUE);
        assertThat(metadata.integer("i64")).hasValue(Long.MIN_VALUE);
        assertThat(metadata.value("u64")).contains(new GgufValue.Whole(GgufValueType.U64, -1));
        assertThat(metadata.real("f32")).hasValue(0.5);
        assertThat(metadata.real("f64")).hasValue(Math.PI);
        assertThat(metadata.real("u8")).hasValue(255);
        assertThat(metadata.flag("flag")).contains(true);
        assertThat(metadata.text("text")).contains("grüße");
        assertThat(metadata.perLayer("list", 3)).contains(List.of(8L, 0L, -1L));
        assertThat(metadata.perLayer("u8", 2)).contains(List.of(255L, 255L));
        assertThat(metadata.perLayer("absent", 2)).isEmpty();
        assertThat(metadata.value("flags")).contains(new GgufValue.WholeList(GgufValueType.BOOL, List.of(1L, 0L)));
        assertThat(metadata.value("reals")).contains(new GgufValue.RealList(GgufValueType.F32, List.of(1.5, -2.0)));
        assertThat(metadata.value("long list"))
                .contains(new GgufValue.Omitted(GgufValueType.ARRAY, GgufValueType.I32, 20_000));
        assertThat(metadata.value("long text"))
                .contains(new GgufValue.Omitted(GgufValueType.STRING, GgufValueType.U8, 100_000));
        assertThat(metadata.arrayLength("long list")).hasValue(20_000);
        assertThat(metadata.arrayLength("texts")).hasValue(3);
        assertThat(metadata.value("absent")).isEmpty();
        assertThat(metadata.integer("absent")).isEmpty();
    }

    private static void zero(ByteBuffer target) {
        target.put(new byte[target.remaining()]);
    }

    @Test
    void aValueOfTheWrongKindNamesItsPosition() throws IOException {
        RawGguf raw = RawGguf.header(0, 2).key("name", "x");
        int position = raw.size() + 8 + "heads".length() + 4;
        raw.key("heads", GgufValueType.ARRAY).u32(4).u64(2).u32(8).u32(8);
        Path path = raw.write(folder, "a.gguf");
        GgufMetadata metadata = GgufFile.read(path).metadata();
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> metadata.integer("heads"))
                .withMessage(path + " at byte " + position
                        + ": expected a whole number under \"heads\", found an array of 2 U32");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> metadata.perLayer("heads", 3))
                .withMessageContaining(
                        "expected a whole number or an array of 3 of them under \"heads\", found an array of 2 U32");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> metadata.real("name"))
                .withMessageContaining("expected a number under \"name\", found the text \"x\"");
        assertThatExceptionOfType(ModelFileException.class).isThrownBy(() -> metadata.flag("name"));
        assertThatExceptionOfType(ModelFileException.class).isThrownBy(() -> metadata.text("heads"));
        assertThatExceptionOfType(ModelFileException.class).isThrownBy(() -> metadata.arrayLength("name"));
    }

    @Test
    void aHugeUnsignedNumberIsNoSize() throws IOException {
        Path path = RawGguf.header(0, 1).key("n", GgufValueType.U64).u64(-1).write(folder, "a.gguf");
        GgufMetadata metadata = GgufFile.read(path).metadata();
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> metadata.integer("n"))
                .withMessageEndingWith("expected a number of at most 9223372036854775807 under \"n\", "
                        + "found 18446744073709551615");
    }

    @Test
    void changesAreNoticed() throws IOException {
        Path path = RawGguf.header(1, 0).tensor("t", 0, 0, 8).data(32).write(folder, "a.gguf");
        GgufFile file = GgufFile.read(path);
        file.verifyUnchanged();

        Files.write(path, new byte[1], StandardOpenOption.APPEND);
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(file::verifyUnchanged)
                .withMessageContaining("expected the file that was read (");

        GgufFile again = GgufFile.read(path);
        Path twin = Files.copy(path, folder.resolve("twin"), StandardCopyOption.COPY_ATTRIBUTES);
        Files.move(twin, path, StandardCopyOption.REPLACE_EXISTING);
        assertThatExceptionOfType(ModelFileException.class).isThrownBy(again::verifyUnchanged);

        GgufFile last = GgufFile.read(path);
        Files.delete(path);
        assertThatExceptionOfType(NoSuchFileException.class).isThrownBy(last::verifyUnchanged);
        assertThatExceptionOfType(NoSuchFileException.class).isThrownBy(() -> GgufFile.read(path));
    }

    @Test
    void aFolderIsNoFile() {
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(folder))
                .withMessage(folder + ": expected a regular file, found a directory");
    }

    private void shard(int number, int count, RawGguf raw) throws IOException {
        raw.write(folder, String.format("m-%05d-of-%05d.gguf", number, count));
    }

    private static RawGguf splitHeader(int no, int count, int tensorsCount) {
        return RawGguf.header(1, 3)
                .key("split.no", no)
                .key("split.count", count)
                .key("split.tensors.count", tensorsCount);
    }

    private void threeShards() throws IOException {
        for (int i = 0; i < 3; i++) {
            shard(
                    i + 1,
                    3,
                    splitHeader(i, 3, 3).tensor("t" + i, 0, 0, 8L * (i + 1)).data(32 * (i + 1)));
        }
    }

    @Test
    void aSplitModelIsOneWhicheverShardIsNamed() throws IOException {
        threeShards();
        for (int number = 1; number <= 3; number++) {
            GgufFile file = GgufFile.read(folder.resolve("m-0000" + number + "-of-00003.gguf"));
            assertThat(file.shards()).hasSize(3);
            assertThat(file.tensors()).extracting(GgufTensor::name).containsExactly("t0", "t1", "t2");
            assertThat(file.tensors()).extracting(GgufTensor::shard).containsExactly(0, 1, 2);
            assertThat(file.tensorBytes()).isEqualTo(32 + 64 + 96);
            assertThat(file.metadata().integer("split.no")).hasValue(0);
            file.verifyUnchanged();
        }
    }

    @Test
    void missingShardsAreNamed() throws IOException {
        threeShards();
        Files.delete(folder.resolve("m-00001-of-00003.gguf"));
        Path path = folder.resolve("m-00002-of-00003.gguf");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(path))
                .withMessage(path + ": expected all 3 shards in one folder, found no m-00001-of-00003.gguf\n"
                        + "put the missing shards beside this one");
    }

    @Test
    void shardsThatContradictEachOtherAreRefused() throws IOException {
        threeShards();
        Path first = folder.resolve("m-00001-of-00003.gguf");
        shard(2, 3, splitHeader(2, 3, 3).tensor("t1", 0, 0, 8).data(32));
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(first))
                .withMessageStartingWith(folder.resolve("m-00002-of-00003.gguf") + " at byte ")
                .withMessageEndingWith("expected 1 (the number in the file name less one) under \"split.no\", found 2");
        shard(2, 3, splitHeader(1, 3, 4).tensor("t1", 0, 0, 8).data(32));
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(first))
                .withMessageEndingWith("expected 3 (the tensors of all shards) under \"split.tensors.count\", found 4");
        shard(2, 3, splitHeader(1, 3, 3).tensor("t0", 0, 0, 8).data(32));
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(first))
                .withMessageEndingWith("expected unique tensor names, found \"t0\" a second time");
        shard(2, 3, RawGguf.header(0, 0));
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(first))
                .withMessageEndingWith("expected the key \"split.no\" in a shard, found none");
    }

    @Test
    void namesThatContradictTheKeysAreRefused() throws IOException {
        Path renamed = splitHeader(0, 3, 3).tensor("t", 0, 0, 8).data(32).write(folder, "renamed.gguf");
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(renamed))
                .withMessageContaining("expected a name that ends in -00001-of-00003.gguf or the like");
        shard(1, 2, splitHeader(0, 3, 3).tensor("t", 0, 0, 8).data(32));
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(folder.resolve("m-00001-of-00002.gguf")))
                .withMessageEndingWith("expected 2, as the file name says, under \"split.count\", found 3");
        shard(4, 3, splitHeader(0, 3, 3).tensor("t", 0, 0, 8).data(32));
        assertThatExceptionOfType(ModelFileException.class)
                .isThrownBy(() -> GgufFile.read(folder.resolve("m-00004-of-00003.gguf")))
                .withMessageEndingWith("expected a shard number from 1 to 3 in the name, found 4");
    }

    @Test
    void aWholeModelMayBearTheNameOfAShard() throws IOException {
        shard(2, 3, RawGguf.header(1, 0).tensor("t", 0, 0, 8).data(32));
        GgufFile file = GgufFile.read(folder.resolve("m-00002-of-00003.gguf"));
        assertThat(file.shards()).hasSize(1);
        assertThat(file.tensors().getFirst().shard()).isZero();
    }
}
