package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class MoveCreditTest {

    private static final long MUCH = 1L << 40;

    private final MoveCredit credit = new MoveCredit();

    @Test
    void whatWasTakenAnewMayBeMovedOnce() {
        assertThat(credit.left(0, MUCH, 0)).isZero();
        credit.grew(100);
        assertThat(credit.left(0, MUCH, 0)).isEqualTo(100);
        credit.moved(70);
        assertThat(credit.left(0, MUCH, 0)).isEqualTo(30);
        credit.moved(32); // the last piece is a whole one
        assertThat(credit.left(0, MUCH, 0)).isZero();
        credit.grew(5);
        assertThat(credit.left(0, MUCH, 0)).as("and is paid back").isEqualTo(3);
    }

    @Test
    void oneByteForManyThatAreAllocated() {
        assertThat(credit.left(255, MUCH, 0)).isZero();
        assertThat(credit.left(256, MUCH, 0)).as("the rest is not lost").isEqualTo(1);
        assertThat(credit.left(256, MUCH, 0)).isEqualTo(1);
        assertThat(credit.left(256 * 1000 + 255, MUCH, 0)).isEqualTo(1000);
    }

    @Test
    void moreWhereMuchIsFree() {
        assertThat(credit.left(160, 500, 100)).as("a fifth").isZero();
        assertThat(credit.left(160, 500, 101)).isEqualTo(10);
    }

    @Test
    void noMoreThanIsHeld() {
        assertThat(credit.left(256 * 1000, 300, 0)).isEqualTo(300);
        assertThat(credit.left(256 * 1000, MUCH, 0))
                .as("what was too much is gone")
                .isEqualTo(300);
    }

    /** Whatever a program does, what is moved is bounded by what was taken anew and a sixteenth of what was allocated. */
    @Test
    void theBoundHoldsWhateverHappens() {
        for (long seed = 0; seed < 100; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            MoveCredit some = new MoveCredit();
            long allocated = 0;
            long grown = 0;
            long moved = 0;
            for (int i = 0; i < 1000; i++) {
                allocated += random.nextLong(1 << 20);
                long wanted = random.nextLong(1 << 20);
                long part = Math.min(wanted, some.left(allocated, Math.max(1, grown), random.nextLong(1 << 20)));
                some.moved(part);
                some.grew(wanted - part);
                moved += part;
                grown += wanted - part;
                assertThat(moved).isLessThanOrEqualTo(grown + allocated / 16);
            }
            assertThat(moved).isPositive();
        }
    }
}
