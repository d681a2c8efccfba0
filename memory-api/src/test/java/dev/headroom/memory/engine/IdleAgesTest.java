package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class IdleAgesTest {

    private static final long PAGE = 4096;

    private static List<String> due(IdleAges ages, long offset, long size, long now, long idleFor) {
        List<String> stretches = new ArrayList<>();
        ages.forEachDue(
                offset, size, new IdleAges.Due(now, idleFor), (from, bytes) -> stretches.add(from + "+" + bytes));
        return stretches;
    }

    @ParameterizedTest
    @ValueSource(longs = {0, Long.MAX_VALUE - 50, Long.MIN_VALUE, -60})
    void anAgeIsADifferenceWhereverTheClockStands(long start) {
        IdleAges ages = IdleAges.ofBlock(start);
        assertThat(due(ages, 0, 100, start + 99, 100)).isEmpty();
        assertThat(due(ages, 0, 100, start + 100, 100)).containsExactly("0+100");
        assertThat(ages.longestNanos(0, 100, start + 70)).isEqualTo(70);
        ages.touch(10, 20, start + 100);
        assertThat(due(ages, 0, 100, start + 199, 100)).isEmpty();
        assertThat(due(ages, 0, 100, start + 200, 100)).containsExactly("0+100");
    }

    @Test
    void pagesOfARangeAgeByThemselves() {
        IdleAges ages = IdleAges.ofRange(10 * PAGE, PAGE, 0);
        ages.touch(3 * PAGE + 1, 1, 50);
        ages.touch(5 * PAGE, 2 * PAGE, 50);
        assertThat(due(ages, 0, 10 * PAGE, 100, 100))
                .containsExactly("0+" + 3 * PAGE, 4 * PAGE + "+" + PAGE, 7 * PAGE + "+" + 3 * PAGE);
        assertThat(due(ages, PAGE, 3 * PAGE, 100, 100)).containsExactly(PAGE + "+" + 2 * PAGE);
        assertThat(due(ages, 3 * PAGE, PAGE, 100, 100)).isEmpty();
        assertThat(due(ages, 0, 10 * PAGE, 150, 100)).containsExactly("0+" + 10 * PAGE);
        assertThat(ages.longestNanos(3 * PAGE, PAGE, 60)).isEqualTo(10);
        assertThat(ages.longestNanos(3 * PAGE, 2 * PAGE, 60)).isEqualTo(60);
    }

    @Test
    void ofVeryManyPagesTheYoungestCountsForItsNeighbours() {
        IdleAges ages = IdleAges.ofRange(100_000 * PAGE, PAGE, 0);
        ages.touch(40 * PAGE, PAGE, 50);
        List<String> old = due(ages, 0, 100_000 * PAGE, 100, 100);
        assertThat(old).containsExactly("0+" + 32 * PAGE, 64 * PAGE + "+" + 99_936 * PAGE);
    }

    @Test
    void whatWasNotTimedCountsFromTheNextLook() {
        IdleAges ages = IdleAges.ofRange(10 * PAGE, PAGE, 0);
        ages.touch(PAGE, PAGE);
        ages.touch(3 * PAGE, PAGE);
        assertThat(due(ages, 0, 10 * PAGE, 1000, 100))
                .as("what lies between counts as the rest")
                .containsExactly("0+" + PAGE, 4 * PAGE + "+" + 6 * PAGE);
        assertThat(due(ages, PAGE, PAGE, 1099, 100)).isEmpty();
        assertThat(due(ages, PAGE, PAGE, 1100, 100)).hasSize(1);
    }

    @Test
    void aTimeThatCameLaterReplacesTheUnknownOne() {
        IdleAges ages = IdleAges.ofBlock(0);
        ages.touch(10, 20);
        ages.touch(10, 20, 40);
        assertThat(ages.longestNanos(0, 100, 1000)).isEqualTo(960);
        ages.touch(10, 20);
        ages.touch(40, 20);
        ages.touch(10, 20, 40);
        assertThat(ages.longestNanos(0, 100, 1000))
                .as("elsewhere it is still unknown")
                .isZero();
    }

    @Test
    void ofWhateverAgeIsNoLookAtTheTimes() {
        IdleAges ages = IdleAges.ofBlock(0);
        ages.touch(0, 1);
        List<Long> any = new ArrayList<>();
        ages.forEachDue(0, 100, IdleAges.Due.ANY, (_, bytes) -> any.add(bytes));
        assertThat(any).containsExactly(100L);
        assertThat(ages.longestNanos(0, 100, 1000)).isZero();
        assertThat(ages.longestNanos(0, 100, 1500)).isEqualTo(500);
    }
}
