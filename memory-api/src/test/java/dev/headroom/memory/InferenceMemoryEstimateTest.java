package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InferenceMemoryEstimateTest {
    private static final long[] MISTRAL = {4096, 14336, 32, 32000, 32, 8, 4096, 4};

    private static InferenceMemoryEstimate estimate(long... p) {
        return InferenceMemoryEstimate.of(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
    }

    private static InferenceMemoryEstimate mistral(long bytesPerValue) {
        return InferenceMemoryEstimate.of(4096, 14336, 32, 32000, 32, 8, 4096, bytesPerValue);
    }

    private static long[] mistralWith(int index, long value) {
        long[] parameters = Arrays.copyOf(MISTRAL, MISTRAL.length);
        parameters[index] = value;
        return parameters;
    }

    @ParameterizedTest
    @CsvSource({
        "4, 28966928384, 1073741824, 262144, 30040932352",
        "2, 14483464192, 536870912, 131072, 15020466176",
    })
    void mistral7b(long bytesPerValue, long model, long kvCache, long activations, long total) {
        InferenceMemoryEstimate estimate = mistral(bytesPerValue);
        assertThat(estimate.parametersPerLayer()).isEqualTo(218_112_000L);
        assertThat(estimate.parameters()).isEqualTo(7_241_732_096L);
        assertThat(estimate.modelBytes()).isEqualTo(model);
        assertThat(estimate.kvCacheBytes()).isEqualTo(kvCache);
        assertThat(estimate.activationBytes()).isEqualTo(activations);
        assertThat(estimate.overheadBytes()).isZero();
        assertThat(estimate.totalBytes()).isEqualTo(total);
    }

    @Test
    void tinyLlama() {
        InferenceMemoryEstimate estimate = InferenceMemoryEstimate.of(2048, 5632, 22, 32000, 32, 4, 2048, 2);
        assertThat(estimate.parameters()).isEqualTo(1_100_048_384L);
        assertThat(estimate.modelBytes()).isEqualTo(2_200_096_768L);
        assertThat(estimate.kvCacheBytes()).isEqualTo(46_137_344L);
        assertThat(estimate.activationBytes()).isEqualTo(53_248L);
        assertThat(estimate.totalBytes()).isEqualTo(2_246_287_360L);
    }

    @Test
    void unitsAre1024Based() {
        InferenceMemoryEstimate estimate = mistral(4);
        assertThat(estimate.modelMb()).isEqualTo(28_966_928_384.0 / 1024 / 1024);
        assertThat(estimate.kvCacheMb()).isEqualTo(1024.0);
        assertThat(estimate.activationMb()).isEqualTo(0.25);
        assertThat(estimate.totalMb()).isEqualTo(30_040_932_352.0 / 1024 / 1024);
        assertThat(estimate.totalGb()).isEqualTo(30_040_932_352.0 / 1024 / 1024 / 1024);
        assertThat(estimate.totalGb()).isBetween(20.0, 40.0);
    }

    @Test
    void text() {
        assertThat(mistral(4)).hasToString("27.98 GB total (26.98 GB model, 1.00 GB KV cache, 0.25 MB activations)");
        assertThat(mistral(2))
                .as("0.125 MB rounds up")
                .hasToString("13.99 GB total (13.49 GB model, 0.50 GB KV cache, 0.13 MB activations)");
        assertThat(mistral(4).withContextBytes(512L << 20))
                .hasToString("28.48 GB total (26.98 GB model, 1.00 GB KV cache, 0.25 MB activations,"
                        + " 512.00 MB overhead)");
    }

    @Test
    void textIgnoresTheDefaultLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.GERMANY);
            assertThat(mistral(4))
                    .hasToString("27.98 GB total (26.98 GB model, 1.00 GB KV cache, 0.25 MB activations)");
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void sequencesMultiplyCacheAndActivations() {
        InferenceMemoryEstimate four = mistral(4).withConcurrentSequences(4);
        assertThat(four.modelBytes()).isEqualTo(28_966_928_384L);
        assertThat(four.kvCacheBytes()).isEqualTo(4L << 30);
        assertThat(four.activationBytes()).isEqualTo(1L << 20);
        assertThat(four.totalBytes()).isEqualTo(28_966_928_384L + (4L << 30) + (1L << 20));
    }

    @Test
    void overheadTermsAdd() {
        InferenceMemoryEstimate estimate = mistral(4)
                .withContextBytes(1000)
                .withWorkspaceBytes(248)
                .withFragmentationPercent(10)
                .withConcurrentSequences(1);
        long subject = 30_040_932_352L + 248; // a whole multiple of 100, the context is not part of it
        assertThat(estimate.overheadBytes()).isEqualTo(1000 + 248 + subject / 10);
        assertThat(estimate.totalBytes()).isEqualTo(30_040_932_352L + 1000 + 248 + subject / 10);
    }

    @Test
    void fragmentationRoundsUp() {
        // 1 % of 30 040 932 352 is 300 409 323.52
        assertThat(mistral(4).withFragmentationPercent(1).overheadBytes()).isEqualTo(300_409_324L);
        assertThat(mistral(4).withFragmentationPercent(100).overheadBytes()).isEqualTo(30_040_932_352L);
    }

    @Test
    void forwardArena() {
        // 1.1 x (2 x 4096 x 4 + 2 x 14336 x 4 + 32 x 4096 x 4) = 738 918.4
        assertThat(mistral(4).forwardArenaBytes()).isEqualTo(738_918L);
        assertThat(mistral(2).forwardArenaBytes())
                .as("scratch values have 4 bytes")
                .isEqualTo(738_918L);
        assertThat(InferenceMemoryEstimate.FORWARD_ARENA_ALIGNMENT).isEqualTo(64);
    }

    @ParameterizedTest
    @CsvSource({
        "0, hidden",
        "1, intermediate",
        "2, layers",
        "3, vocab",
        "4, heads",
        "5, kvHeads",
        "6, maxSeqLen",
        "7, bytesPerValue",
    })
    void refusesValuesBelowOne(int index, String name) {
        for (long value : new long[] {0, -1, Long.MIN_VALUE}) {
            assertThatThrownBy(() -> estimate(mistralWith(index, value)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage(name + " is " + value + ": allowed are 1 or more");
        }
    }

    @Test
    void refusesHeadsThatDoNotDivide() {
        assertThatThrownBy(() -> estimate(mistralWith(4, 33)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("heads is 33: allowed are divisors of hidden, which is 4096");
        assertThatThrownBy(() -> estimate(mistralWith(5, 3)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("kvHeads is 3: allowed are divisors of heads, which is 32");
        assertThatThrownBy(() -> estimate(mistralWith(5, 64)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("kvHeads is 64: allowed are divisors of heads, which is 32");
    }

    @ParameterizedTest
    @CsvSource({
        "0, parametersPerLayer", // 2^62 is a multiple of 32
        "1, parametersPerLayer",
        "2, parameters",
        "3, parameters",
        "6, kvCacheBytes",
        "7, modelBytes",
    })
    void overflowNamesTheFigure(int index, String figure) {
        assertThatThrownBy(() -> estimate(mistralWith(index, 1L << 62)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith(figure + " is too large: allowed are up to 9223372036854775807, with hidden ")
                .hasMessageContaining(" " + (1L << 62))
                .hasCauseInstanceOf(ArithmeticException.class);
    }

    @Test
    void overflowOfTheSumNamesTheTotal() {
        assertThatThrownBy(() -> mistral(4).withContextBytes(Long.MAX_VALUE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("totalBytes is too large: allowed are up to 9223372036854775807, with hidden 4096,"
                        + " intermediate 14336, layers 32, vocab 32000, heads 32, kvHeads 8, maxSeqLen 4096,"
                        + " bytesPerValue 4, sequences 1, contextBytes 9223372036854775807, workspaceBytes 0,"
                        + " fragmentationPercent 0");
        long spare = Long.MAX_VALUE - 30_040_932_352L;
        assertThat(mistral(4).withContextBytes(spare).totalBytes()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void refusesExtraTermsOutOfRange() {
        InferenceMemoryEstimate mistral = mistral(4);
        assertThatThrownBy(() -> mistral.withConcurrentSequences(0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("sequences is 0: allowed are 1 or more");
        assertThatThrownBy(() -> mistral.withContextBytes(-1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("contextBytes is -1: allowed are 0 or more");
        assertThatThrownBy(() -> mistral.withWorkspaceBytes(-1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("workspaceBytes is -1: allowed are 0 or more");
        assertThatThrownBy(() -> mistral.withFragmentationPercent(101))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("percent is 101: allowed are 0 to 100");
        assertThatThrownBy(() -> mistral.withFragmentationPercent(-1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("percent is -1: allowed are 0 to 100");
    }

    @Test
    void equalNumbersMakeEqualEstimates() {
        assertThat(mistral(4)).isEqualTo(mistral(4)).hasSameHashCodeAs(mistral(4));
        assertThat(mistral(4)).isNotEqualTo(mistral(2)).isNotEqualTo(mistral(4).withContextBytes(1));
        assertThat(mistral(4).withContextBytes(1).withContextBytes(0)).isEqualTo(mistral(4));
        assertThat(mistral(4).equals(null)).isFalse();
    }
}
