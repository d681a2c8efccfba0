package dev.headroom.memory.gpucheck;

import java.util.Arrays;

/**
 * Something that was measured.
 *
 * @param name   what
 * @param value  how much, the median of the rounds; not a number where it could not be measured
 * @param unit   of what
 * @param detail how, or why not
 */
record Figure(String name, double value, String unit, String detail) {

    private static final double NANOS_PER_MICRO = 1e3;

    /** What a device or a driver does not have is no failure. */
    private static final String ABSENT = "-";

    private static final String FAILED = "failed";

    /** Something to be timed. */
    @FunctionalInterface
    interface Step<X extends Exception> {
        void run() throws X;
    }

    static Figure failed(String name, String why) {
        return new Figure(name, Double.NaN, FAILED, why);
    }

    static Figure absent(String name, String why) {
        return new Figure(name, Double.NaN, ABSENT, why);
    }

    /** How long one of many equal steps takes. */
    static <X extends Exception> Figure microseconds(String name, int rounds, int times, Step<X> step) throws X {
        double nanos = median(rounds, () -> {
            for (int i = 0; i < times; i++) {
                step.run();
            }
        });
        return new Figure(
                name, nanos / times / NANOS_PER_MICRO, "us", "median of %d rounds of %d".formatted(rounds, times));
    }

    /** How fast a step moves bytes; as many in a nanosecond are as many times 10<sup>9</sup> in a second. */
    static <X extends Exception> Figure gigabytesPerSecond(String name, int rounds, long bytes, Step<X> step) throws X {
        double nanos = median(rounds, step);
        return new Figure(name, bytes / nanos, "GB/s", "median of %d rounds of %d MiB".formatted(rounds, bytes >> 20));
    }

    /** One round more, for what is slow only once. */
    private static <X extends Exception> double median(int rounds, Step<X> step) throws X {
        step.run();
        long[] nanos = new long[rounds];
        for (int i = 0; i < rounds; i++) {
            long start = System.nanoTime();
            step.run();
            nanos[i] = Math.max(1, System.nanoTime() - start);
        }
        Arrays.sort(nanos);
        return nanos[rounds / 2];
    }

    /** False only where measuring failed. */
    boolean isMeasured() {
        return !unit.equals(FAILED);
    }

    boolean hasValue() {
        return !Double.isNaN(value);
    }
}
