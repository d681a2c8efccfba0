package dev.headroom.memory.engine;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.sim.FreeFigure;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.SplittableRandom;

/**
 * What one world of the model test is like. Drawn from a seed, so that a few thousand worlds meet every combination of
 * devices, drivers and limits that matters.
 *
 * @param totalBytes     memory of the card
 * @param hostBytes      memory of the host
 * @param baseAlignment  alignment the driver gives by itself
 * @param granularity    sizes of the driver's blocks are multiples of it
 * @param granule        pieces of address ranges, if the driver has them
 * @param maxBlockBytes  the largest block, if there is such a limit
 * @param hostVisible    the host reaches the card's memory
 * @param coherent       without flushes
 * @param hostCopies     the driver copies from and to plain host memory
 * @param peerCopies     the driver copies between devices
 * @param overCommitting the driver never refuses
 * @param freeFigure     what the driver says is free
 * @param sibling        who shares the card's memory
 * @param fallback       whether a host pool stands in
 * @param config         of the first pool
 * @param siblingConfig  of the second pool
 * @param hostConfig     of the host pool
 * @param largestBits    requests are up to 2 to this power
 * @param maxLive        open buffers the world hovers around
 * @param startNanos     where the clock begins
 */
record WorldPlan(
        long totalBytes,
        long hostBytes,
        long baseAlignment,
        long granularity,
        OptionalLong granule,
        OptionalLong maxBlockBytes,
        boolean hostVisible,
        boolean coherent,
        boolean hostCopies,
        boolean peerCopies,
        boolean overCommitting,
        FreeFigure freeFigure,
        Sibling sibling,
        boolean fallback,
        MemoryConfig config,
        MemoryConfig siblingConfig,
        MemoryConfig hostConfig,
        int largestBits,
        int maxLive,
        long startNanos) {

    /** Who else has a pool in the same memory. */
    enum Sibling {
        NONE,
        /** A second device of the same backend, which copies can reach directly. */
        SAME_BACKEND,
        /** The same card, seen through another API. */
        OTHER_BACKEND
    }

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;

    static WorldPlan of(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        long total = (64 + random.nextInt(960)) * MIB;
        SplittableRandom apart =
                new SplittableRandom(~seed); // so that worlds stay what they were before there were profiles
        return new WorldPlan(
                total,
                (256 + random.nextInt(1024)) * MIB,
                1L << random.nextInt(13),
                oneOf(random, 1, 256, 4 * KIB, 64 * KIB, 2 * MIB),
                random.nextInt(3) == 0
                        ? OptionalLong.of(oneOf(random, 4 * KIB, 64 * KIB, 2 * MIB))
                        : OptionalLong.empty(),
                random.nextInt(3) == 0 ? OptionalLong.of((16 + random.nextInt(64)) * MIB) : OptionalLong.empty(),
                random.nextInt(4) == 0,
                random.nextInt(4) != 0,
                random.nextInt(3) != 0,
                random.nextBoolean(),
                random.nextInt(8) == 0,
                freeFigure(random),
                Sibling.values()[random.nextInt(3)],
                random.nextBoolean(),
                config(random, total, profile(apart, total)),
                config(random, total, profile(apart, total)),
                config(random, total, profile(apart, total)),
                random.nextInt(10, 27),
                1 << random.nextInt(3, 10),
                random.nextInt(4) == 0 ? Long.MAX_VALUE - 1_000_000_000 : 0);
    }

    private static FreeFigure freeFigure(SplittableRandom random) {
        return switch (random.nextInt(8)) {
            case 0 -> FreeFigure.unknown();
            case 1 -> FreeFigure.lagging();
            case 2 -> FreeFigure.offBy((random.nextInt(100) - 50) * MIB);
            default -> FreeFigure.measured();
        };
    }

    private static PoolProfile profile(SplittableRandom random, long totalBytes) {
        return random.nextInt(4) == 0
                ? PoolProfile.blockClasses(1 + random.nextLong(totalBytes))
                : PoolProfile.engine();
    }

    private static MemoryConfig config(SplittableRandom random, long totalBytes, PoolProfile profile) {
        MemoryConfig.Builder builder = MemoryConfig.builder()
                .fraction(random.nextInt(4) == 0 ? 1 : random.nextDouble(0.5, 1))
                .minFreeBytes(random.nextInt(3) == 0 ? 0 : random.nextInt(16) * MIB)
                .tracking(TrackingLevel.values()[random.nextInt(TrackingLevel.values().length - 1)])
                .stagingBytes((1 + random.nextInt(3)) * MIB)
                .waitTimeout(Duration.ofSeconds(10))
                .closeTimeout(Duration.ofSeconds(10));
        if (random.nextInt(3) == 0) {
            builder.limitBytes((long) (totalBytes * random.nextDouble(0.1, 1.1)));
        }
        return builder.profile(profile).build();
    }

    private static long oneOf(SplittableRandom random, long... values) {
        return values[random.nextInt(values.length)];
    }
}
