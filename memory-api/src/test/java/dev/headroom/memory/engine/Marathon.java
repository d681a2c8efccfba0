package dev.headroom.memory.engine;

import java.util.SplittableRandom;

/**
 * Long random runs over many seeds. {@code -Dheadroom.seed=} begins with another seed; {@code -Dheadroom.steps=} sets how many
 * steps all seeds take together. What fails says which seed and step it was.
 */
final class Marathon {

    /** Steps of one seed: enough to grow old, few enough to be run again. */
    static final long SEED_STEPS = 1_000_000;

    private static final int CHECK_EACH = 2_000;
    private static final int CHECK_EVERY = 100_000;

    private Marathon() {}

    /** Something that is run. */
    interface Runner {
        /** Takes a step and checks what is cheap. */
        void step(SplittableRandom random);

        /** Checks everything. */
        void checkAll();
    }

    /** Makes a runner that has not gone a step. */
    @FunctionalInterface
    interface Start {
        Runner of(SplittableRandom random);
    }

    static void run(long steps, Start start) {
        long left = Long.getLong("headroom.steps", steps);
        for (long seed = Long.getLong("headroom.seed", 1); left > 0; seed++, left -= SEED_STEPS) {
            runSeed(seed, Math.min(left, SEED_STEPS), start);
        }
    }

    private static void runSeed(long seed, long steps, Start start) {
        SplittableRandom random = new SplittableRandom(seed);
        Runner runner = start.of(random);
        long step = 0;
        try {
            for (; step < steps; step++) {
                runner.step(random);
                if (step % CHECK_EVERY == 0 || (step < CHECK_EVERY && step % CHECK_EACH == 0)) {
                    runner.checkAll();
                }
            }
            runner.checkAll();
        } catch (RuntimeException | Error e) {
            throw new AssertionError(
                    "step %d: repeat with -Dheadroom.seed=%d -Dheadroom.steps=%d".formatted(step, seed, step + 1), e);
        }
    }
}
