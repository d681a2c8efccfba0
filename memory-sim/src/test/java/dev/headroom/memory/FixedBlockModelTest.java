package dev.headroom.memory;

import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.sim.SimulatedBackend;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Random steps against a set of numbers. */
class FixedBlockModelTest {

    private static final int STEPS = 15_000;
    private static final int VALIDATE_EVERY = 50;

    private final List<Integer> inUse = new ArrayList<>();
    private final Set<Integer> taken = new HashSet<>();
    private final Map<CompletableFuture<Void>, int[]> waiting = new HashMap<>();

    @ParameterizedTest
    @CsvSource({"1, 32, 8", "2, 64, 7", "3, 128, 20", "4, 2048, 3", "5, 32, 130"})
    void agreesWithTheModel(long seed, int perSlab, int slabs) {
        SplittableRandom random = new SplittableRandom(seed);
        SimulatedBackend cuda = backend("cuda", card("RTX", 64 * MIB));
        MemoryConfig config = whole().toBuilder().waitTimeout(Duration.ZERO).build();
        try (GpuMemory memory = open(config, cuda)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            int most = perSlab * slabs;
            FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(512), perSlab, most);
            for (int step = 0; step < STEPS; step++) {
                // Fills up for a while, and then runs empty.
                int bias = step / 1500 % 2 == 0 ? 60 : 40;
                step(blocks, random, bias, most);
                if (step % VALIDATE_EVERY == 0) {
                    check(blocks, pool, step);
                }
            }
            int[] rest = numbers(inUse);
            blocks.free(rest, 0, rest.length);
            waiting.keySet().forEach(use -> use.complete(null));
            long held = pool.stats().inUseBytes();
            assertThat(blocks.shrink()).isEqualTo(held);
            assertThat(pool.stats().inUseBytes()).isZero();
            blocks.close();
        }
        cuda.requireNoViolations();
        assertThat(cuda.device(0).ledger().isEmpty()).isTrue();
    }

    private void step(FixedBlockPool blocks, SplittableRandom random, int bias, int most) {
        int what = random.nextInt(100);
        if (what < bias) {
            allocate(blocks, random.nextInt(4) == 0 ? random.nextInt(most / 4 + 1) : 1, most);
        } else if (what < 90) {
            free(blocks, random);
        } else if (what < 94) {
            freeAfter(blocks, random);
        } else if (what < 97 && !waiting.isEmpty()) {
            CompletableFuture<Void> use = waiting.keySet().iterator().next();
            Arrays.stream(waiting.remove(use)).forEach(taken::remove);
            use.complete(null);
        } else if (what < 99) {
            misuse(blocks, random, most);
        } else {
            blocks.shrink();
        }
    }

    private void allocate(FixedBlockPool blocks, int count, int most) {
        int[] target = new int[count];
        if (taken.size() + count > most) {
            assertThatThrownBy(() -> blocks.allocate(target, 0, count)).isInstanceOf(DeviceOutOfMemoryException.class);
            return;
        }
        if (count == 1) {
            target[0] = blocks.allocate();
        } else {
            blocks.allocate(target, 0, count);
        }
        for (int block : target) {
            assertThat(block).isBetween(0, most - 1);
            assertThat(taken.add(block)).as("%s is handed out once", block).isTrue();
            inUse.add(block);
        }
    }

    private void free(FixedBlockPool blocks, SplittableRandom random) {
        int[] some = some(random, random.nextInt(4) == 0 ? inUse.size() / 3 : Math.min(1, inUse.size()));
        if (some.length == 1) {
            blocks.free(some[0]);
        } else {
            blocks.free(some, 0, some.length);
        }
        Arrays.stream(some).forEach(taken::remove);
    }

    private void freeAfter(FixedBlockPool blocks, SplittableRandom random) {
        int[] some = some(random, Math.min(5, inUse.size()));
        CompletableFuture<Void> use = new CompletableFuture<>();
        blocks.freeAfter(use, some);
        waiting.put(use, some);
    }

    private void misuse(FixedBlockPool blocks, SplittableRandom random, int most) {
        int block = random.nextInt(-3, most + 3);
        if (!inUse.contains(block)) {
            assertThatIllegalArgumentException().isThrownBy(() -> blocks.free(block));
            int[] many = numbers(inUse);
            int[] wrong = Arrays.copyOf(many, many.length + 1);
            wrong[many.length] = block;
            assertThatIllegalArgumentException().isThrownBy(() -> blocks.free(wrong, 0, wrong.length));
        }
    }

    private int[] some(SplittableRandom random, int count) {
        int[] some = new int[count];
        for (int i = 0; i < count; i++) {
            some[i] = inUse.remove(random.nextInt(inUse.size()));
        }
        return some;
    }

    private void check(FixedBlockPool blocks, GpuMemoryPool pool, int step) {
        blocks.validate();
        FixedBlockStats stats = blocks.stats();
        assertThat(stats.inUseBlocks()).as("in use at step %s", step).isEqualTo(inUse.size());
        assertThat(stats.waitingBlocks()).as("waiting at step %s", step).isEqualTo(taken.size() - inUse.size());
        assertThat(stats.freeBlocks() + taken.size()).isEqualTo(stats.slabs() * blocks.blocksPerSlab());
        assertThat(stats.byteSize()).isEqualTo(pool.stats().inUseBytes());
        assertThat(pool.stats().activeBuffers()).isEqualTo(stats.slabs());
        assertThat(stats.slabs()).isLessThanOrEqualTo(blocks.maxBlocks() / blocks.blocksPerSlab());
    }

    private static int[] numbers(List<Integer> list) {
        return list.stream().mapToInt(Integer::intValue).toArray();
    }
}
