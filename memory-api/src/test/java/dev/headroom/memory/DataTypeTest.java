package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class DataTypeTest {

    @ParameterizedTest
    @CsvSource({
        "0,F32,1,4",
        "1,F16,1,2",
        "2,Q4_0,32,18",
        "3,Q4_1,32,20",
        "6,Q5_0,32,22",
        "7,Q5_1,32,24",
        "8,Q8_0,32,34",
        "9,Q8_1,32,36",
        "10,Q2_K,256,84",
        "11,Q3_K,256,110",
        "12,Q4_K,256,144",
        "13,Q5_K,256,176",
        "14,Q6_K,256,210",
        "15,Q8_K,256,292",
        "16,IQ2_XXS,256,66",
        "17,IQ2_XS,256,74",
        "18,IQ3_XXS,256,98",
        "19,IQ1_S,256,50",
        "20,IQ4_NL,32,18",
        "21,IQ3_S,256,110",
        "22,IQ2_S,256,82",
        "23,IQ4_XS,256,136",
        "24,I8,1,1",
        "25,I16,1,2",
        "26,I32,1,4",
        "27,I64,1,8",
        "28,F64,1,8",
        "29,IQ1_M,256,56",
        "30,BF16,1,2",
        "34,TQ1_0,256,54",
        "35,TQ2_0,256,66",
        "39,MXFP4,32,17",
        "40,NVFP4,64,36",
        "41,Q1_0,128,18",
        "42,Q2_0,64,18"
    })
    void ggmlTypesHaveTheBlocksOfTheFormat(int id, DataType type, int values, int bytes) {
        assertThat(DataType.tryOfGgufId(id)).contains(type);
        assertThat(type.ggufId()).hasValue(id);
        assertThat(type.valuesPerBlock()).isEqualTo(values);
        assertThat(type.bytesPerBlock()).isEqualTo(bytes);
        assertThat(type.isBlockType()).isEqualTo(values > 1);
        assertThat(type.byteSize(0)).isZero();
        assertThat(type.byteSize(values)).isEqualTo(bytes);
        assertThat(type.byteSize(4096L * 4096)).isEqualTo(4096L * 4096 / values * bytes);
    }

    @Test
    void withdrawnPrivateAndAbsurdIdsNameNoType() {
        for (int id :
                List.of(4, 5, 31, 32, 33, 36, 37, 38, 43, 97, 133, 152, -1, Integer.MIN_VALUE, Integer.MAX_VALUE)) {
            assertThat(DataType.tryOfGgufId(id)).as("id %d", id).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource
    void idsAreUniqueAndLabelsAreFoundInAnyCase(DataType type) {
        type.ggufId().ifPresent(id -> assertThat(DataType.tryOfGgufId(id)).contains(type));
        assertThat(type.label()).isEqualTo(type.name());
        assertThat(DataType.parse(type.label().toLowerCase(Locale.ROOT))).isSameAs(type);
        Set<Integer> ids = new HashSet<>();
        Arrays.stream(DataType.values())
                .flatMapToInt(each -> each.ggufId().stream())
                .forEach(id -> assertThat(ids.add(id)).isTrue());
        assertThat(ids).hasSize(35);
    }

    @Test
    void unknownLabelListsTheKnownOnes() {
        assertThat(DataType.tryParse("q4_2")).isEmpty();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DataType.parse("q4_2"))
                .withMessageStartingWith("no data type \"q4_2\"; known are F32, F16, Q4_0, ");
    }

    @Test
    void sizesThatCutABlockAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DataType.Q4_K.byteSize(128))
                .withMessage("Q4_K stores 256 values per block, but 128 is no multiple of it");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> DataType.F32.byteSize(-1))
                .withMessage("elements must be at least 0, but is -1");
        assertThatIllegalArgumentException().isThrownBy(() -> DataType.F4.byteSize(3));
        assertThat(DataType.F6_E3M2.byteSize(8)).isEqualTo(6);
    }

    @Test
    void sizesThatWrapAreRefused() {
        assertThat(DataType.I8.byteSize(Long.MAX_VALUE)).isEqualTo(Long.MAX_VALUE);
        assertThatExceptionOfType(ArithmeticException.class).isThrownBy(() -> DataType.F16.byteSize(1L << 62));
        // 34 bytes per 32 values: grows although the element count itself still fits.
        assertThatExceptionOfType(ArithmeticException.class)
                .isThrownBy(() -> DataType.Q8_0.byteSize(Long.MAX_VALUE - 31));
    }
}
