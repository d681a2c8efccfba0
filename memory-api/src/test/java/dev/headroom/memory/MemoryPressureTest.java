package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MemoryPressureTest {
    @ParameterizedTest
    @CsvSource({
        "0.0, LOW",
        "0.60, MEDIUM",
        "0.80, HIGH",
        "0.95, CRITICAL",
        "1.0, CRITICAL",
        "1.5, CRITICAL",
        "-0.1, LOW",
        "Infinity, CRITICAL",
        "-Infinity, LOW",
    })
    void thresholdsBelongToTheStepAbove(double utilization, MemoryPressure expected) {
        assertThat(MemoryPressure.of(utilization)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({"0.60, LOW", "0.80, MEDIUM", "0.95, HIGH"})
    void oneUlpBelowAThresholdIsTheStepBelow(double threshold, MemoryPressure expected) {
        assertThat(MemoryPressure.of(Math.nextDown(threshold))).isEqualTo(expected);
    }

    @Test
    void refusesNaN() {
        assertThatThrownBy(() -> MemoryPressure.of(0.0 / 0.0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("utilization is NaN: allowed is the used share, 0.0 to 1.0");
    }

    @ParameterizedTest
    @CsvSource({
        "100, 100, LOW",
        "41, 100, LOW",
        "40, 100, MEDIUM",
        "21, 100, MEDIUM",
        "20, 100, HIGH",
        "6, 100, HIGH",
        "5, 100, CRITICAL",
        "0, 100, CRITICAL",
        "150, 100, LOW",
        "0, 0, LOW",
        "7, 0, LOW",
        "4294967296, 85899345920, CRITICAL",
        "4294967297, 85899345920, HIGH",
        "9223372036854775807, 9223372036854775807, LOW",
        "0, 9223372036854775807, CRITICAL",
    })
    void ofFree(long free, long total, MemoryPressure expected) {
        assertThat(MemoryPressure.ofFree(free, total)).isEqualTo(expected);
    }

    /** No rounding error may put a memory that is exactly on a threshold below it. */
    @Test
    void exactSharesMeetTheirThresholdForEveryTotal() {
        for (long unit = 1; unit <= 100_000; unit++) {
            assertThat(MemoryPressure.ofFree(8 * unit, 20 * unit)).isEqualTo(MemoryPressure.MEDIUM);
            assertThat(MemoryPressure.ofFree(4 * unit, 20 * unit)).isEqualTo(MemoryPressure.HIGH);
            assertThat(MemoryPressure.ofFree(unit, 20 * unit)).isEqualTo(MemoryPressure.CRITICAL);
        }
    }

    @Test
    void ofFreeRefusesNegativeFigures() {
        assertThatThrownBy(() -> MemoryPressure.ofFree(-1, 100))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("freeBytes is -1: allowed are 0 or more");
        assertThatThrownBy(() -> MemoryPressure.ofFree(0, -1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("totalBytes is -1: allowed are 0 or more");
    }

    @ParameterizedTest
    @CsvSource({"LOW, false, false", "MEDIUM, false, false", "HIGH, true, false", "CRITICAL, true, true"})
    void advice(MemoryPressure pressure, boolean shouldFree, boolean shouldDeny) {
        assertThat(pressure.shouldFree()).isEqualTo(shouldFree);
        assertThat(pressure.shouldDeny()).isEqualTo(shouldDeny);
    }
}
