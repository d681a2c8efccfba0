package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MixtureOfExpertsEstimateTest {
    private static final long[] MIXTRAL = {4096, 14336, 14336, 32, 0, 8, 0, 32000, 32, 8, 2};
    private static final long[] DEEPSEEK_LITE = {2048, 10944, 1408, 27, 1, 64, 2, 102400, 16, 16, 2};

    private static MixtureOfExpertsEstimate estimate(long... p) {
        return MixtureOfExpertsEstimate.of(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10]);
    }

    private static long[] mixtralWith(int index, long value) {
        long[] parameters = Arrays.copyOf(MIXTRAL, MIXTRAL.length);
        parameters[index] = value;
        return parameters;
    }

    @Test
    void eightExpertsWithTheDefaultUseAllOfThem() {
        MixtureOfExpertsEstimate mixtral = estimate(MIXTRAL);
        assertThat(mixtral.topK()).isEqualTo(8);
        assertThat(mixtral.parameters()).isEqualTo(46_702_792_704L);
        assertThat(mixtral.modelBytes()).isEqualTo(93_405_585_408L);
        assertThat(mixtral.activeParameters()).isEqualTo(46_702_792_704L);
        assertThat(mixtral.activeBytes()).isEqualTo(93_405_585_408L);
        assertThat(mixtral.denseLayers()).isZero();
        assertThat(mixtral.moeLayers()).isEqualTo(32);
    }

    @Test
    void denseFirstLayerAndSharedExperts() {
        MixtureOfExpertsEstimate estimate = estimate(DEEPSEEK_LITE);
        assertThat(estimate.parameters()).isEqualTo(15_787_866_112L);
        assertThat(estimate.modelBytes()).isEqualTo(31_575_732_224L);
        assertThat(estimate.activeParameters()).isEqualTo(3_192_371_200L);
        assertThat(estimate.activeBytes()).isEqualTo(6_384_742_400L);
        assertThat(estimate.denseLayers()).isEqualTo(1);
        assertThat(estimate.moeLayers()).isEqualTo(26);
    }

    @Test
    void topKChangesOnlyTheActiveShare() {
        MixtureOfExpertsEstimate two = estimate(MIXTRAL).withTopK(2);
        assertThat(two.topK()).isEqualTo(2);
        assertThat(two.parameters()).isEqualTo(46_702_792_704L);
        // six experts of 3 x 14336 x 4096 fewer in each of 32 layers
        assertThat(two.activeParameters()).isEqualTo(46_702_792_704L - 32 * 6 * 176_160_768L);
    }

    @Test
    void fewerExpertsThanTheDefaultAreAllUsed() {
        MixtureOfExpertsEstimate four = estimate(mixtralWith(5, 4));
        assertThat(four.topK()).isEqualTo(4);
        assertThat(four.activeParameters()).isEqualTo(four.parameters());
    }

    @Test
    void onlyDenseLayersIsTheDenseModel() {
        MixtureOfExpertsEstimate dense = estimate(mixtralWith(4, 32));
        assertThat(dense.moeLayers()).isZero();
        assertThat(dense.parameters())
                .isEqualTo(dense.activeParameters())
                .isEqualTo(InferenceMemoryEstimate.of(4096, 14336, 32, 32000, 32, 8, 4096, 2)
                        .parameters());
    }

    @Test
    void kvCacheIsThatOfTheDenseModel() {
        assertThat(estimate(MIXTRAL).kvCacheBytes(4096)).isEqualTo(536_870_912L);
        assertThatThrownBy(() -> estimate(MIXTRAL).kvCacheBytes(0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("maxSeqLen is 0: allowed are 1 or more");
        assertThatThrownBy(() -> estimate(MIXTRAL).kvCacheBytes(Long.MAX_VALUE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("kvCacheBytes for maxSeqLen 9223372036854775807 is too large: ");
    }

    @Test
    void text() {
        assertThat(estimate(DEEPSEEK_LITE))
                .hasToString("29.41 GB model, 5.95 GB active per token (15787866112 parameters, 3192371200 active,"
                        + " 1 dense and 26 MoE layers, 8 of 64 experts)");
    }

    @ParameterizedTest
    @CsvSource({
        "0, hidden",
        "1, intermediate",
        "2, moeIntermediate",
        "3, layers",
        "5, experts",
        "7, vocab",
        "8, heads",
        "9, kvHeads",
        "10, bytesPerValue",
    })
    void refusesValuesBelowOne(int index, String name) {
        for (long value : new long[] {0, -1, Long.MIN_VALUE}) {
            assertThatThrownBy(() -> estimate(mixtralWith(index, value)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage(name + " is " + value + ": allowed are 1 or more");
        }
    }

    @Test
    void refusesOtherValuesOutOfRange() {
        assertThatThrownBy(() -> estimate(mixtralWith(4, 33)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("firstMoeLayer is 33: allowed are 0 to 32");
        assertThatThrownBy(() -> estimate(mixtralWith(4, -1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("firstMoeLayer is -1: allowed are 0 to 32");
        assertThatThrownBy(() -> estimate(mixtralWith(6, -1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("sharedExperts is -1: allowed are 0 or more");
        assertThatThrownBy(() -> estimate(MIXTRAL).withTopK(9))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("topK is 9: allowed are 1 to 8");
        assertThatThrownBy(() -> estimate(MIXTRAL).withTopK(0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("topK is 0: allowed are 1 to 8");
    }

    @Test
    void overflowNamesTheFigure() {
        assertThatThrownBy(() -> estimate(mixtralWith(5, 1L << 62)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("parameters is too large: allowed are up to 9223372036854775807, with hidden");
        assertThatThrownBy(() -> estimate(mixtralWith(10, 1L << 62)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("modelBytes is too large: ");
    }

    @Test
    void equalNumbersMakeEqualEstimates() {
        assertThat(estimate(MIXTRAL)).isEqualTo(estimate(MIXTRAL)).hasSameHashCodeAs(estimate(MIXTRAL));
        assertThat(estimate(MIXTRAL)).isNotEqualTo(estimate(MIXTRAL).withTopK(2));
    }
}
