package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryConfig;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class GrowthPolicyTest {

    private static final long SEGMENT = MemoryConfig.defaults().growthBytes();

    @Test
    void a_small_request_takes_a_segment_and_a_large_one_itself() {
        assertThat(GrowthPolicy.preferred(1, 0, SEGMENT, Long.MAX_VALUE)).isEqualTo(SEGMENT);
        assertThat(GrowthPolicy.preferred(SEGMENT + 1, 0, SEGMENT, Long.MAX_VALUE))
                .isEqualTo(SEGMENT + 1);
        assertThat(GrowthPolicy.preferred(1, 0, SEGMENT, 5))
                .as("the device gives no more")
                .isEqualTo(5);
    }

    /** F3: what is taken beyond the need is bounded by a segment, or by a share of what is in use, far below the 1/16 that are allowed. */
    @Test
    void never_takes_much_more_than_needed() {
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < 100_000; i++) {
            long needed = 1 + random.nextLong(1L << random.nextInt(1, 41));
            long live = random.nextLong(1L << random.nextInt(1, 41));
            long largest = needed + random.nextLong(1L << random.nextInt(1, 41));
            long wish = GrowthPolicy.preferred(needed, live, SEGMENT, largest);
            assertThat(wish).isBetween(needed, largest);
            assertThat(wish - needed).isLessThanOrEqualTo(Math.max(SEGMENT, live / 256));
        }
    }

    @Test
    void pages_are_taken_ahead_by_the_share_up_to_a_segment() {
        assertThat(GrowthPolicy.preferredPages(5, 0, SEGMENT, Long.MAX_VALUE)).isEqualTo(5);
        assertThat(GrowthPolicy.preferredPages(5, 512 * 100, SEGMENT, Long.MAX_VALUE))
                .isEqualTo(100);
        assertThat(GrowthPolicy.preferredPages(5, 1L << 40, SEGMENT, Long.MAX_VALUE))
                .isEqualTo(SEGMENT);
        assertThat(GrowthPolicy.preferredPages(5, 1L << 40, SEGMENT, 7))
                .as("the device gives no more")
                .isEqualTo(7);
        assertThat(GrowthPolicy.preferredPages(5, 1L << 40, 0, Long.MAX_VALUE)).isEqualTo(5);
    }

    @Test
    void wishes_shrink_to_the_need_and_stop_there() {
        long wish = 1000;
        int rounds = 0;
        while (wish > 70) {
            long smaller = GrowthPolicy.smaller(wish, 70);
            assertThat(smaller).isBetween(70L, wish - 1);
            wish = smaller;
            rounds++;
        }
        assertThat(rounds).isEqualTo(4);
        assertThat(GrowthPolicy.smaller(70, 70)).isEqualTo(70);
    }

    @Test
    void rounding_up_saturates() {
        assertThat(GrowthPolicy.roundUp(0, 256)).isZero();
        assertThat(GrowthPolicy.roundUp(1, 256)).isEqualTo(256);
        assertThat(GrowthPolicy.roundUp(256, 256)).isEqualTo(256);
        assertThat(GrowthPolicy.roundUp(257, 256)).isEqualTo(512);
        assertThat(GrowthPolicy.roundUp(7, 1)).isEqualTo(7);
        assertThat(GrowthPolicy.roundUp(Long.MAX_VALUE, 256)).isEqualTo(Long.MAX_VALUE);
        assertThat(GrowthPolicy.roundUp(Long.MAX_VALUE - 255, 256)).isEqualTo(Long.MAX_VALUE - 255);
        assertThat(GrowthPolicy.roundUp(Long.MAX_VALUE - 254, 256)).isEqualTo(Long.MAX_VALUE);
    }
}
