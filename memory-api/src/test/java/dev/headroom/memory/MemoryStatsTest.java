package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MemoryStatsTest {
    private static final MemoryStats SOME = new MemoryStats(1000, 250, 750, 2000, 100, 10, 3, 7);

    private static MemoryStats of(long... f) {
        return new MemoryStats(f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]);
    }

    @Test
    void hasExactlyTheEightFigures() {
        assertThat(Arrays.stream(MemoryStats.class.getRecordComponents()).map(RecordComponent::getName))
                .containsExactly(
                        "totalAllocatedBytes",
                        "inUseBytes",
                        "pooledBytes",
                        "peakBytes",
                        "poolHits",
                        "poolMisses",
                        "cpuFallbacks",
                        "activeBuffers");
    }

    @Test
    void ratios() {
        assertThat(SOME.hitRate()).isEqualTo(100.0 / 110.0);
        assertThat(SOME.utilization()).isEqualTo(0.25);
        assertThat(SOME.efficiency()).isEqualTo(0.25);
    }

    @Test
    void ratiosOfNothing() {
        assertThat(MemoryStats.EMPTY.hitRate()).isEqualTo(0.0);
        assertThat(MemoryStats.EMPTY.utilization()).isEqualTo(0.0);
        assertThat(MemoryStats.EMPTY.efficiency()).isEqualTo(1.0);
    }

    @Test
    void hitRateSurvivesCountersWhoseSumOverflows() {
        assertThat(of(0, 0, 0, 0, Long.MAX_VALUE, Long.MAX_VALUE, 0, 0).hitRate())
                .isEqualTo(0.5);
    }

    @Test
    void mergeSumsAllButThePeak() {
        MemoryStats other = new MemoryStats(1, 2, 3, 4, 5, 6, 7, 8);
        MemoryStats merged = new MemoryStats(1001, 252, 753, 2000, 105, 16, 10, 15);
        assertThat(SOME.merge(other)).isEqualTo(merged);
        assertThat(other.merge(SOME)).isEqualTo(merged);
        assertThat(SOME.merge(MemoryStats.EMPTY)).isEqualTo(SOME);
    }

    @Test
    void mergeStaysAtTheLargestValue() {
        MemoryStats full = of(
                Long.MAX_VALUE,
                Long.MAX_VALUE,
                Long.MAX_VALUE,
                Long.MAX_VALUE,
                Long.MAX_VALUE,
                Long.MAX_VALUE,
                Long.MAX_VALUE,
                Long.MAX_VALUE);
        assertThat(full.merge(SOME)).isEqualTo(full);
    }

    @Test
    void minusGivesTheCountersInBetween() {
        MemoryStats earlier = new MemoryStats(5000, 4000, 1000, 1500, 90, 4, 1, 9);
        assertThat(SOME.minus(earlier)).isEqualTo(new MemoryStats(1000, 250, 750, 2000, 10, 6, 2, 7));
        assertThat(earlier.minus(SOME))
                .as("counters of another pool never become negative")
                .isEqualTo(new MemoryStats(5000, 4000, 1000, 1500, 0, 0, 0, 9));
    }

    @Test
    void text() {
        MemoryStats stats = new MemoryStats(512L << 20, 384L << 20, 128L << 20, (1L << 30) + (1L << 17), 100, 10, 2, 5);
        assertThat(stats)
                .hasToString("allocated 512.00 MB, in use 384.00 MB, pooled 128.00 MB, peak 1024.13 MB,"
                        + " hit rate 90.9 % (100 hits, 10 misses), 2 CPU fallbacks, 5 active buffers");
    }

    @Test
    void oneOfAThingIsNotSeveral() {
        assertThat(new MemoryStats(0, 0, 0, 0, 1, 1, 1, 1))
                .asString()
                .endsWith("(1 hit, 1 miss), 1 CPU fallback, 1 active buffer");
        assertThat(new MemoryStats(0, 0, 0, 0, 0, 0, 0, 0))
                .asString()
                .endsWith("(0 hits, 0 misses), 0 CPU fallbacks, 0 active buffers");
    }

    @Test
    void textIgnoresTheDefaultLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.GERMANY);
            assertThat(SOME.toString()).contains("allocated 0.00 MB", "hit rate 90.9 %");
        } finally {
            Locale.setDefault(before);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "0, totalAllocatedBytes",
        "1, inUseBytes",
        "2, pooledBytes",
        "3, peakBytes",
        "4, poolHits",
        "5, poolMisses",
        "6, cpuFallbacks",
        "7, activeBuffers",
    })
    void refusesNegativeFigures(int index, String name) {
        long[] figures = new long[8];
        figures[index] = -1;
        assertThatThrownBy(() -> of(figures))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(name + " is -1: allowed are 0 or more");
    }
}
