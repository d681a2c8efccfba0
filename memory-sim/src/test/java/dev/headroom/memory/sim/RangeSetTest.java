package dev.headroom.memory.sim;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class RangeSetTest {

    @Test
    void a_set_of_ranges_agrees_with_a_set_of_bytes() {
        SplittableRandom random = new SplittableRandom(42);
        RangeSet ranges = new RangeSet();
        BitSet bytes = new BitSet();
        for (int step = 0; step < 20_000; step++) {
            int start = random.nextInt(200);
            int end = start + 1 + random.nextInt(30);
            int before = bytes.cardinality();
            if (random.nextBoolean()) {
                bytes.set(start, end);
                assertThat(ranges.add(start, end)).isEqualTo(bytes.cardinality() - before);
            } else {
                bytes.clear(start, end);
                assertThat(ranges.remove(start, end)).isEqualTo(before - bytes.cardinality());
            }
            assertThat(ranges.size()).isEqualTo(bytes.cardinality());
            int from = random.nextInt(200);
            int to = from + 1 + random.nextInt(60);
            BitSet part = bytes.get(from, to);
            assertThat(ranges.containsAll(from, to)).isEqualTo(part.cardinality() == to - from);
            assertThat(ranges.intersects(from, to)).isEqualTo(!part.isEmpty());
            assertThat(ranges.within(from, to).stream()
                            .mapToLong(range -> range.end() - range.start())
                            .sum())
                    .isEqualTo(part.cardinality());
            assertThat(ranges.gaps(from, to).stream()
                            .mapToLong(range -> range.end() - range.start())
                            .sum())
                    .isEqualTo(to - from - part.cardinality());
        }
    }
}
