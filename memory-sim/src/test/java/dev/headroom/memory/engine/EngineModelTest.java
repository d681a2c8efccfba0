package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Runs random steps on pools over simulated devices and checks after each what must always hold. Many short worlds of
 * different devices and limits see more than one long one.
 *
 * <p>{@code -Dheadroom.seed=} begins with another world; {@code -Dheadroom.steps=} sets how many steps all worlds take
 * together.
 */
class EngineModelTest {

    private static final int WORLD_STEPS = 10_000;
    private static final int CHECK_EACH = 100;
    private static final int CHECK_EVERY = 2_500;
    private static final int STORY_LINES = 80;
    private static final int SHRINK_RUNS = 2_000;
    private static final long SHRINK_NANOS = 60_000_000_000L;

    /** Kept, because loggers nobody holds forget their level. */
    private static final Logger LOG = Logger.getLogger("dev.headroom.memory");

    private static @Nullable Level before;

    @BeforeAll
    static void quiet() {
        before = LOG.getLevel();
        LOG.setLevel(Level.OFF); // refusals and leaks are what these worlds are made of
    }

    @AfterAll
    static void loud() {
        LOG.setLevel(before);
    }

    @Test
    void holds_in_random_worlds() {
        run(Long.getLong("headroom.seed", 1), Long.getLong("headroom.steps", 1_000_000));
        System.out.println(cacheHits + " requests were served from what was at hand");
        assertThat(cacheHits).isPositive();
    }

    @Test
    @Tag("long")
    void holds_in_many_random_worlds() {
        run(Long.getLong("headroom.seed", 1_000_000), Long.getLong("headroom.steps", 10_000_000));
    }

    private static void run(long firstSeed, long steps) {
        long seed = firstSeed;
        for (long done = 0; done < steps; done += WORLD_STEPS, seed++) {
            WorldPlan plan = WorldPlan.of(seed);
            long[] trace = new SplittableRandom(seed)
                    .longs(Math.min(WORLD_STEPS, steps - done))
                    .toArray();
            Failure failure = run(plan, trace, null);
            if (failure != null) {
                long[] shortest = shrink(plan, trace, failure);
                List<String> story = new ArrayList<>();
                Failure last = run(plan, shortest, story);
                String end = last == null
                        ? "it does not fail when run again"
                        : last.cause().toString();
                fail(
                        "repeat with -Dheadroom.seed=%d -Dheadroom.steps=%d: step %d of %s%n%s%nshortest trace, %d steps:%n  %s%n%s"
                                .formatted(
                                        seed,
                                        trace.length,
                                        failure.step(),
                                        plan,
                                        failure.cause(),
                                        shortest.length,
                                        String.join(
                                                System.lineSeparator() + "  ",
                                                story.subList(Math.max(0, story.size() - STORY_LINES), story.size())),
                                        end),
                        failure.cause());
            }
        }
    }

    /** Requests served from what pools kept at hand, in all worlds. */
    private static long cacheHits;

    private record Failure(int step, Throwable cause) {}

    private static @Nullable Failure run(WorldPlan plan, long[] trace, @Nullable List<String> story) {
        int step = 0;
        EngineWorld world = new EngineWorld(plan);
        try {
            if (story != null) {
                world.tellTo(story);
            }
            for (; step < trace.length; step++) {
                world.step(trace[step]);
                if ((step < 1_000 && step % CHECK_EACH == 0) || step % CHECK_EVERY == 0) {
                    world.checkAll();
                }
            }
            world.checkAll();
            cacheHits += world.cacheHits();
            world.close(new SplittableRandom(trace.length));
            return null;
        } catch (RuntimeException | Error e) {
            world.abandon();
            return new Failure(Math.min(step, trace.length - 1), e);
        }
    }

    /** Leaves out ever smaller pieces for as long as what remains still fails in the same way. */
    private static long[] shrink(WorldPlan plan, long[] trace, Failure failure) {
        long deadline = System.nanoTime() + SHRINK_NANOS;
        int runs = 0;
        long[] best = Arrays.copyOf(trace, failure.step() + 1);
        for (int piece = Integer.highestOneBit(Math.max(1, best.length / 2)); piece > 0; piece /= 2) {
            for (int at = 0; at + piece <= best.length && runs < SHRINK_RUNS && System.nanoTime() < deadline; runs++) {
                long[] shorter = new long[best.length - piece];
                System.arraycopy(best, 0, shorter, 0, at);
                System.arraycopy(best, at + piece, shorter, at, best.length - at - piece);
                Failure again = run(plan, shorter, null);
                if (again == null
                        || !again.cause().getClass().equals(failure.cause().getClass())) {
                    at += piece;
                } else {
                    best = Arrays.copyOf(shorter, again.step() + 1);
                }
            }
        }
        return best;
    }
}
