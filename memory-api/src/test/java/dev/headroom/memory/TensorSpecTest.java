package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TensorSpecTest {

    @Test
    void theSizeIsTheProductOfTheShapeTimesTheType() {
        assertThat(TensorSpec.of(DataType.F32, 128, 256).byteSize()).isEqualTo(131_072);
        assertThat(TensorSpec.of(DataType.F32, 1, 512).byteSize()).isEqualTo(2_048);
        assertThat(TensorSpec.of(DataType.F32, 512, 256).byteSize()).isEqualTo(524_288);
        assertThat(TensorSpec.of(DataType.F32, 512, 512).byteSize())
                .as("exactly 1 MiB")
                .isEqualTo(1 << 20);
        assertThat(TensorSpec.of(DataType.F16, 128, 256).byteSize()).isEqualTo(65_536);
        assertThat(TensorSpec.of(DataType.Q8_0, 128, 256).byteSize()).isEqualTo(128 * 256 / 32 * 34);
        assertThat(TensorSpec.of(DataType.Q4_K, 4096, 11008).byteSize()).isEqualTo(4096L * 11008 / 256 * 144);
    }

    @Test
    void countsAndRows() {
        TensorSpec spec = TensorSpec.of(DataType.Q4_0, 3, 5, 64);
        assertThat(spec.elementCount()).isEqualTo(960);
        assertThat(spec.rowLength()).isEqualTo(64);
        assertThat(spec.rowByteSize()).isEqualTo(36);
        assertThat(spec.rowCount()).isEqualTo(15);
    }

    @Test
    void stridesAreThoseOfRowsWithoutGaps() {
        assertThat(TensorSpec.of(DataType.F32, 3, 5, 7).byteStrides()).contains(List.of(140L, 28L, 4L));
        assertThat(TensorSpec.of(DataType.I8, 9).byteStrides()).contains(List.of(1L));
        assertThat(TensorSpec.of(DataType.F64).byteStrides()).contains(List.of());
        assertThat(TensorSpec.of(DataType.Q8_0, 4, 32).byteStrides())
                .as("a value in a block has no address")
                .isEmpty();
    }

    @Test
    void aShapeWithoutExtentsIsOneValue() {
        TensorSpec scalar = TensorSpec.of(DataType.F64);
        assertThat(scalar.elementCount()).isEqualTo(1);
        assertThat(scalar.byteSize()).isEqualTo(8);
        assertThat(scalar).hasToString("F64 []");
    }

    @Test
    void anExtentOfZeroIsATensorWithoutValues() {
        for (TensorSpec spec : List.of(TensorSpec.of(DataType.F32, 0, 4), TensorSpec.of(DataType.F32, 4, 0))) {
            assertThat(spec.elementCount()).isZero();
            assertThat(spec.byteSize()).isZero();
        }
        assertThat(TensorSpec.of(DataType.Q4_K, 0).byteSize()).isZero();
    }

    @Test
    void aNameIsOptionalAndPartOfTheText() {
        TensorSpec spec = TensorSpec.of(DataType.F32, 128, 256);
        assertThat(spec.name()).isEmpty();
        assertThat(spec).hasToString("F32 [128, 256]");
        assertThat(spec.named("bias")).hasToString("'bias' F32 [128, 256]");
        assertThat(spec.named("bias"))
                .isEqualTo(new TensorSpec(Optional.of("bias"), List.of(128L, 256L), DataType.F32));
    }

    @Test
    void theShapeIsCopied() {
        long[] shape = {2, 3};
        TensorSpec spec = TensorSpec.of(DataType.F32, shape);
        shape[0] = 100;
        assertThat(spec.shape()).containsExactly(2L, 3L);
        assertThatExceptionOfType(UnsupportedOperationException.class)
                .isThrownBy(() -> spec.shape().set(0, 9L));
    }

    @Test
    void negativeExtentsAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> TensorSpec.of(DataType.F32, 4, -1))
                .withMessage("F32 [4, -1] has the extent -1: allowed are 0 or more");
    }

    @Test
    void rowsThatCutABlockAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new TensorSpec(Optional.of("w"), List.of(256L, 100L), DataType.Q4_K))
                .withMessage("'w' Q4_K [256, 100] has rows of 100 values: Q4_K needs a multiple of 256");
        assertThatIllegalArgumentException()
                .as("a single value is no block")
                .isThrownBy(() -> TensorSpec.of(DataType.Q8_0))
                .withMessage("Q8_0 [] has rows of 1 values: Q8_0 needs a multiple of 32");
    }

    @Test
    void sizesThatWrapAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> TensorSpec.of(DataType.F32, 1L << 31, 1L << 31))
                .withMessage("F32 [2147483648, 2147483648] is too large: its size does not fit into 63 bits")
                .withCauseInstanceOf(ArithmeticException.class);
        assertThatIllegalArgumentException()
                .as("the product wraps to 0")
                .isThrownBy(() -> TensorSpec.of(DataType.I8, 1L << 32, 1L << 32));
        assertThatIllegalArgumentException()
                .as("the count wraps, the bytes alone would not")
                .isThrownBy(() -> TensorSpec.of(DataType.IQ1_S, 1L << 32, 1L << 31));
        assertThatIllegalArgumentException()
                .as("a zero hides nothing, wherever it stands")
                .isThrownBy(() -> TensorSpec.of(DataType.I8, 0, 1L << 32, 1L << 32));
        assertThatIllegalArgumentException().isThrownBy(() -> TensorSpec.of(DataType.I8, 1L << 32, 1L << 32, 0));
        assertThat(TensorSpec.of(DataType.I8, Long.MAX_VALUE).byteSize()).isEqualTo(Long.MAX_VALUE);
    }

    @ParameterizedTest
    @EnumSource
    void everyTypeHasASize(DataType type) {
        long row = 4L * type.valuesPerBlock();
        assertThat(TensorSpec.of(type, 3, row).byteSize()).isEqualTo(3L * 4 * type.bytesPerBlock());
    }
}
