package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.MemoryBudget.Source;
import java.time.Duration;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MemoryBudgetTest {

    @ParameterizedTest
    @CsvSource({
        "10, 0, true",
        "10, 8, true",
        "10, 9, false",
        "9, 7, true", // floor(7.2)
        "9, 8, false",
        "4, 3, true", // floor(3.2)
        "4, 4, false",
        "0, 0, true",
        "0, 1, false",
        "25757220864, 20605776691, true", // 24 564 MiB
        "25757220864, 20605776692, false",
    })
    void whereNothingTellsFourFifthsOfTheTotalFit(long total, long required, boolean fits) {
        assertThat(MemoryBudget.unknown(total, "nobody").canFit(required)).isEqualTo(fits);
    }

    @ParameterizedTest
    @CsvSource({"5, 5, true", "5, 6, false", "0, 0, true", "0, 1, false", "10, 10, true"})
    void aKnownFreeFigureDecides(long free, long required, boolean fits) {
        assertThat(MemoryBudget.measured(10, free, "driver").canFit(required)).isEqualTo(fits);
        assertThat(MemoryBudget.derived(10, free, "sibling").canFit(required)).isEqualTo(fits);
    }

    @Test
    void sourcesAreNamed() {
        assertThat(MemoryBudget.measured(10, 5, "a").source()).isEqualTo(Source.MEASURED);
        assertThat(MemoryBudget.derived(10, 5, "a").source()).isEqualTo(Source.DERIVED);
        assertThat(MemoryBudget.unknown(10, "a").source()).isEqualTo(Source.UNKNOWN);
        assertThat(MemoryBudget.unknown(10, "a").freeBytes()).isEmpty();
        assertThat(Source.values()).extracting(Source::label).containsExactly("measured", "derived", "unknown");
    }

    @ParameterizedTest
    @CsvSource({"5, 5", "10, 10", "11, 10", "9223372036854775807, 10", "-1, 0", "-9223372036854775808, 0"})
    void aFreeFigureIsCutToWhatCanBe(long claimed, long free) {
        assertThat(MemoryBudget.measured(10, claimed, "driver").freeBytes()).hasValue(free);
    }

    @Test
    void contradictionsAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MemoryBudget.measured(-1, 0, "driver"))
                .withMessage("totalBytes is -1: must be 0 or more");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new MemoryBudget(10, OptionalLong.of(5), Source.UNKNOWN, "a", false, 0))
                .withMessage("a free figure and source unknown contradict each other");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new MemoryBudget(10, OptionalLong.empty(), Source.MEASURED, "a", false, 0))
                .withMessageMatching(".* source measured .*");
    }

    @Test
    void aCopyKeepsTheRest() {
        MemoryBudget budget = MemoryBudget.measured(10, 5, "driver").readAt(100);
        MemoryBudget lagging = budget.withLag();
        assertThat(budget.lagging()).isFalse();
        assertThat(lagging).isEqualTo(new MemoryBudget(10, OptionalLong.of(5), Source.MEASURED, "driver", true, 100));
        assertThat(lagging.readAt(200).lagging()).isTrue();
        assertThat(lagging.readAt(200).age(250)).isEqualTo(Duration.ofNanos(50));
    }

    @Test
    void agesSurviveAClockThatWraps() {
        assertThat(MemoryBudget.unknown(1, "a").readAt(Long.MAX_VALUE - 4).age(Long.MIN_VALUE + 5))
                .isEqualTo(Duration.ofNanos(10));
    }
}
