package dev.headroom.memory;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.GenericMemoryPool.Pooled;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Long random histories, each step compared with a list that knows nothing of buckets. */
class GenericMemoryPoolModelTest {

    private static final int STEPS = 5_000;

    /** Idle buffers in the order they came back, and figures added up by hand. */
    private static final class Oracle {
        final int maxPooled;
        final List<Pooled<Integer>> idle = new ArrayList<>();
        final List<Pooled<Integer>> used = new ArrayList<>();
        final List<Integer> closed = new ArrayList<>();
        long peak;
        long hits;
        long misses;
        long ceilingMisses;
        long fallbacks;

        Oracle(int maxPooled) {
            this.maxPooled = maxPooled;
        }

        static double bucket(long byteSize) {
            return Math.ceil(Math.log(Math.max(byteSize, 1)) / Math.log(2) - 1e-12);
        }

        Optional<Pooled<Integer>> tryGet(long min) {
            List<Pooled<Integer>> fitting = idle.reversed().stream()
                    .filter(entry -> entry.byteSize() >= min)
                    .filter(entry ->
                            entry.byteSize() <= 2 * min || entry.byteSize() <= min + GenericMemoryPool.SPARE_BYTES)
                    .sorted(Comparator.comparingDouble(entry -> bucket(entry.byteSize())))
                    .toList();
            if (fitting.isEmpty()) {
                misses++;
                if (idle.stream().anyMatch(entry -> bucket(entry.byteSize()) > bucket(min))) {
                    ceilingMisses++;
                }
                return Optional.empty();
            }
            hits++;
            idle.remove(fitting.getFirst());
            use(fitting.getFirst());
            return Optional.of(fitting.getFirst());
        }

        void use(Pooled<Integer> entry) {
            used.add(entry);
            peak = Math.max(peak, sum(used));
        }

        void giveBack(Pooled<Integer> entry) {
            used.remove(entry);
            long inBucket = idle.stream()
                    .filter(other -> bucket(other.byteSize()) == bucket(entry.byteSize()))
                    .count();
            if (inBucket < maxPooled) {
                idle.add(entry);
            } else {
                closed.add(entry.buffer());
            }
        }

        long shrink() {
            long bytes = sum(idle);
            idle.forEach(entry -> closed.add(entry.buffer()));
            idle.clear();
            return bytes;
        }

        MemoryStats stats() {
            return new MemoryStats(sum(used) + sum(idle), sum(used), sum(idle), peak, hits, misses, fallbacks, 0);
        }

        static long sum(List<Pooled<Integer>> entries) {
            return entries.stream().mapToLong(Pooled::byteSize).sum();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 20260101})
    void everyStepAgreesWithANaiveOracle(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        Oracle oracle = new Oracle(random.nextInt(1, 9));
        List<Integer> closed = new ArrayList<>();
        GenericMemoryPool<Integer> pool = GenericMemoryPool.of(
                MemoryConfig.builder().maxPooled(oracle.maxPooled).build(), closed::add);
        int next = 1000; // beyond the numbers the JVM shares
        for (int step = 0; step < STEPS; step++) {
            int what = random.nextInt(100);
            if (what < 45) {
                long wanted = size(random);
                Optional<Pooled<Integer>> got = pool.tryGet(wanted);
                assertThat(got).as("step %s, %s bytes", step, wanted).isEqualTo(oracle.tryGet(wanted));
                if (got.isEmpty() && oracle.used.size() < 60) {
                    Pooled<Integer> fresh = new Pooled<>(next++, Math.max(1, wanted));
                    pool.recordAllocation(fresh.byteSize());
                    oracle.use(fresh);
                }
            } else if (what < 95 && !oracle.used.isEmpty()) {
                Pooled<Integer> back = oracle.used.get(random.nextInt(oracle.used.size()));
                pool.returnBuffer(back.buffer(), back.byteSize());
                oracle.giveBack(back);
            } else if (what < 98) {
                pool.recordCpuFallback();
                oracle.fallbacks++;
            } else if (what == 98 && random.nextInt(20) == 0) {
                assertThat(pool.shrink()).isEqualTo(oracle.shrink());
            }
            pool.validate();
            assertThat(pool.stats()).as("step %s", step).isEqualTo(oracle.stats());
            assertThat(pool.pooledCount()).isEqualTo(oracle.idle.size());
            assertThat(pool.ceilingMisses()).isEqualTo(oracle.ceilingMisses);
        }
        assertThat(closed).containsExactlyInAnyOrderElementsOf(oracle.closed);
        assertThat(pool.stats().poolHits()).as("the history was worth it").isGreaterThan(100);
        assertThat(pool.ceilingMisses()).isPositive();
    }

    /** Bytes to gibibytes, often at the edges of buckets. */
    private static long size(SplittableRandom random) {
        long power = 1L << random.nextInt(0, 31);
        return switch (random.nextInt(4)) {
            case 0 -> power;
            case 1 -> power + 1;
            case 2 -> power - 1;
            default -> power + random.nextLong(power);
        };
    }
}
