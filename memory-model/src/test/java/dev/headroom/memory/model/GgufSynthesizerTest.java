package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.DataType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgufSynthesizerTest {

    /** Small enough to be written whole; rows of 256 and 512, so that every type fits. */
    private static final ModelShape SMALL = new ModelShape(
            "small",
            "llama",
            2,
            128,
            256,
            512,
            8,
            4,
            32,
            300,
            10_000,
            1e-5,
            new ModelShape.Experts(4, 2),
            Set.of(ModelShape.Trait.ROPE_FACTORS));

    @TempDir
    Path folder;

    static Stream<Arguments> files() {
        return Stream.concat(
                ModelShape.known().stream().map(shape -> Arguments.of(shape.name(), DataType.Q4_K)),
                Stream.of("tinyllama-1.1b", "mixtral-8x7b")
                        .flatMap(name -> Stream.of(
                                        DataType.F32, DataType.F16, DataType.BF16, DataType.Q8_0, DataType.Q4_0)
                                .map(type -> Arguments.of(name, type))));
    }

    @ParameterizedTest
    @MethodSource("files")
    void everyKnownShapeReadsBack(String name, DataType type) throws IOException {
        Path path = folder.resolve("a.gguf");
        ModelShape shape = ModelShape.named(name);
        GgufSynthesizer synthesizer = GgufSynthesizer.of(shape, type, 7);
        synthesizer.writeSparse(path);
        GgufFile file = GgufFile.read(path);
        assertThat(Files.size(path)).isEqualTo(synthesizer.byteSize());
        assertThat(file.tensors()).isEqualTo(synthesizer.tensors()).hasSameSizeAs(shape.tensors());
        String arch = file.architecture().orElseThrow();
        assertThat(file.metadata().integer(arch + ".block_count")).hasValue(shape.layers());
        assertThat(file.metadata().integer(arch + ".embedding_length")).hasValue(shape.embeddingLength());
        assertThat(file.metadata().integer(arch + ".attention.head_count_kv")).hasValue(shape.headsKv());
        assertThat(file.metadata().arrayLength("tokenizer.ggml.tokens")).hasValue(shape.vocabularySize());
        assertThat(file.metadata().integer(GgufSynthesizer.SEED_KEY)).hasValue(7);
        for (GgufTensor tensor : file.tensors()) {
            boolean vector = tensor.dims().size() == 1 || tensor.name().contains("ffn_gate_inp");
            assertThat(tensor.type() == DataType.F32).as(tensor.name()).isEqualTo(vector || type == DataType.F32);
        }
    }

    @Test
    void theHeadLengthIsStatedWhereDivisionIsWrong() throws IOException {
        Path path = folder.resolve("a.gguf");
        GgufSynthesizer.of(ModelShape.named("qwen3-0.6b"), DataType.F16, 0).writeSparse(path);
        assertThat(GgufFile.read(path).metadata().integer("qwen3.attention.key_length"))
                .hasValue(128);
        GgufSynthesizer.of(ModelShape.named("mistral-7b"), DataType.F16, 0).writeSparse(path);
        assertThat(GgufFile.read(path).metadata().integer("llama.attention.key_length"))
                .isEmpty();
    }

    @Test
    void rowsThatAreNoMultipleOfTheBlockFallBackAndSaySo() {
        GgufSynthesizer synthesizer =
                GgufSynthesizer.of(ModelShape.named("qwen2.5-0.5b").withLayers(1), DataType.Q4_K, 0);
        assertThat(synthesizer.fallbacks())
                .extracting(Object::toString)
                .contains("blk.0.attn_q.weight is Q5_0: its rows are no multiple of 256, the block of Q4_K");
        assertThat(synthesizer.tensors())
                .filteredOn(tensor -> tensor.name().equals("blk.0.ffn_down.weight"))
                .extracting(GgufTensor::type)
                .containsExactly(DataType.Q4_K);
        assertThat(GgufSynthesizer.of(ModelShape.named("mistral-7b"), DataType.Q4_K, 0)
                        .fallbacks())
                .isEmpty();
    }

    @Test
    void otherTypesAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GgufSynthesizer.of(SMALL, DataType.IQ2_XXS, 0))
                .withMessage("weights can be [F32, F16, Q4_0, Q8_0, Q4_K, BF16], but not IQ2_XXS");
    }

    @Test
    void theSameSeedGivesTheSameBytes() throws IOException {
        Path one = folder.resolve("one.gguf");
        Path two = folder.resolve("two.gguf");
        GgufSynthesizer.of(SMALL, DataType.Q4_K, 5).write(one, WriteProgress.none());
        GgufSynthesizer.of(SMALL, DataType.Q4_K, 5).write(two, WriteProgress.none());
        assertThat(Files.mismatch(one, two)).isEqualTo(-1);
        GgufSynthesizer.of(SMALL, DataType.Q4_K, 6).write(two, WriteProgress.none());
        assertThat(Files.mismatch(one, two)).isPositive();
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K"})
    void contentsAreValidAndCanBeMadeAgain(DataType type) throws IOException {
        Path path = folder.resolve("a.gguf");
        GgufSynthesizer.of(SMALL, type, 5).write(path, WriteProgress.none());
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
        GgufFile file = GgufFile.read(path);
        SyntheticWeights weights = new SyntheticWeights(
                file.metadata().integer(GgufSynthesizer.SEED_KEY).orElseThrow());
        for (GgufTensor tensor : file.tensors()) {
            ByteBuffer data = bytes.slice((int) tensor.fileOffset(), (int) tensor.byteSize())
                    .order(ByteOrder.LITTLE_ENDIAN);
            assertValid(tensor, data);
            // Any part can be entered directly, whatever chunks the writer used.
            int offset = tensor.type().bytesPerBlock() * 8;
            if (tensor.byteSize() > offset) {
                ByteBuffer again =
                        ByteBuffer.allocate((int) tensor.byteSize() - offset).order(ByteOrder.LITTLE_ENDIAN);
                weights.fill(tensor, offset, again);
                assertThat(again.flip()).as(tensor.name()).isEqualTo(data.slice(offset, again.limit()));
            }
        }
    }

    private static void assertValid(GgufTensor tensor, ByteBuffer data) {
        int block = tensor.type().bytesPerBlock();
        for (int at = 0; at < data.limit(); at += block) {
            switch (tensor.type()) {
                case F32 -> {
                    float value = data.getFloat(at);
                    assertThat(Math.abs(value)).isLessThan(2);
                    if (tensor.dims().size() == 1) {
                        assertThat(value).isGreaterThanOrEqualTo(1);
                    }
                }
                case F16 ->
                    assertThat(Math.abs(Float.float16ToFloat(data.getShort(at))))
                            .isLessThan(2);
                case BF16 ->
                    assertThat(Math.abs(Float.intBitsToFloat(data.getShort(at) << 16)))
                            .isLessThan(2);
                case Q4_K -> {
                    assertScale(data.getShort(at));
                    assertScale(data.getShort(at + 2));
                }
                default -> assertScale(data.getShort(at));
            }
        }
    }

    private static void assertScale(short bits) {
        if (!(Float.float16ToFloat(bits) >= 0x1p-7f && Float.float16ToFloat(bits) < 0x1p-6f)) {
            throw new AssertionError("scale " + Float.float16ToFloat(bits));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q5_K", "Q6_K", "IQ4_NL", "F64", "I8", "I64"})
    void otherTypesHaveContentsToo(String label) {
        DataType type = DataType.parse(label);
        GgufTensor tensor = new GgufTensor("t", type, List.of(256L, 3L), 0, 0, type.byteSize(768));
        assertThat(SyntheticWeights.supports(type)).isTrue();
        ByteBuffer first = ByteBuffer.allocate((int) tensor.byteSize());
        ByteBuffer second = ByteBuffer.allocate((int) tensor.byteSize());
        new SyntheticWeights(1).fill(tensor, 0, first);
        new SyntheticWeights(2).fill(tensor, 0, second);
        assertThat(first.hasRemaining()).isFalse();
        assertThat(first.flip()).isNotEqualTo(second.flip());
        assertThat(SyntheticWeights.supports(DataType.IQ2_XXS)).isFalse();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new SyntheticWeights(1).fill(tensor, 4, ByteBuffer.allocate(8)));
    }
}
