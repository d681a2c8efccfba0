package dev.headroom.memory.engine;

import static dev.headroom.memory.MemoryPressure.CRITICAL;
import static dev.headroom.memory.MemoryPressure.HIGH;
import static dev.headroom.memory.MemoryPressure.LOW;
import static dev.headroom.memory.MemoryPressure.MEDIUM;
import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryPressure;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class PressureGaugeTest {

    private final List<String> changes = new ArrayList<>();
    private final PressureGauge gauge =
            new PressureGauge((before, now, used) -> changes.add(before + " " + now + " " + used));

    /** Threshold, and the last share at which the level is kept on the way down. */
    @ParameterizedTest
    @CsvSource({"MEDIUM, LOW, 0.60, 0.55", "HIGH, MEDIUM, 0.80, 0.75", "CRITICAL, HIGH, 0.95, 0.90"})
    void a_level_begins_at_its_threshold_and_ends_below_the_margin(
            MemoryPressure level, MemoryPressure below, double threshold, double kept) {
        assertThat(PressureGauge.next(below, Math.nextDown(threshold))).isEqualTo(below);
        assertThat(PressureGauge.next(below, threshold)).isEqualTo(level);
        assertThat(PressureGauge.next(level, kept)).isEqualTo(level);
        assertThat(PressureGauge.next(level, kept - 1e-9)).isEqualTo(below);
    }

    @ParameterizedTest
    @EnumSource
    void several_levels_are_passed_at_once(MemoryPressure from) {
        assertThat(PressureGauge.next(from, 0)).isEqualTo(LOW);
        assertThat(PressureGauge.next(from, 1)).isEqualTo(CRITICAL);
    }

    @Test
    void shares_beyond_the_ends_are_empty_and_full() {
        assertThat(PressureGauge.next(HIGH, -3)).isEqualTo(LOW);
        assertThat(PressureGauge.next(LOW, 7)).isEqualTo(CRITICAL);
    }

    @Test
    void what_trembles_around_a_threshold_is_told_once() {
        for (int i = 0; i < 100; i++) {
            gauge.observe(i % 2 == 0 ? 0.801 : 0.799);
        }
        assertThat(changes).containsExactly("LOW HIGH 0.801");
        assertThat(gauge.level()).isEqualTo(HIGH);
        gauge.observe(0.70);
        gauge.observe(0.54);
        assertThat(changes).containsExactly("LOW HIGH 0.801", "HIGH MEDIUM 0.7", "MEDIUM LOW 0.54");
    }

    /** Never below what the figure alone says, never more than the margin above it. */
    @Test
    void the_level_lies_between_the_figure_and_the_margin_above_it() {
        SplittableRandom dice = new SplittableRandom(7);
        MemoryPressure level = MEDIUM;
        for (int i = 0; i < 100_000; i++) {
            double used = dice.nextDouble(-0.1, 1.1);
            level = PressureGauge.next(level, used);
            assertThat(level).isBetween(MemoryPressure.of(used), MemoryPressure.of(used + PressureGauge.MARGIN));
        }
    }
}
