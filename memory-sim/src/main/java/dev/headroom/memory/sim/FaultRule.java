package dev.headroom.memory.sim;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One sort of trouble: which calls it meets, how often, and what happens to them. Immutable; start from {@link #on} and
 * refine. Unless told otherwise it meets every matching call, on every device, and does nothing:
 *
 * {@snippet :
 * FaultRule.on("allocate").nth(3).failing(DriverException.Kind.OUT_OF_MEMORY, 2);
 * FaultRule.on("free|release").withProbability(0.01, 42).failing(DriverException.Kind.UNEXPECTED, 999);
 * FaultRule.on("submit").skip(10).sticky().failing(DriverException.Kind.DEVICE_LOST, 719);
 * FaultRule.on("map").delayed(Duration.ofSeconds(2));
 * }
 *
 * <p>For {@code free}, {@code decommit} and {@code release} a failure is an outcome, not an exception: the driver keeps
 * the memory. Where a call cannot fail ({@code close}, {@code closeQueue}, {@code closeFence}) a driver failure is
 * ignored.
 */
public final class FaultRule {

    private final Pattern operations;
    private final OptionalInt device;
    private final long skip;
    private final long times;
    private final double probability;
    private final long seed;
    private final boolean sticky;
    private final Duration realDelay;
    private final Duration virtualDelay;
    private final DriverException.@Nullable Kind kind;
    private final long nativeCode;
    private final @Nullable Supplier<? extends Throwable> throwing;

    private FaultRule(
            Pattern operations,
            OptionalInt device,
            long skip,
            long times,
            double probability,
            long seed,
            boolean sticky,
            Duration realDelay,
            Duration virtualDelay,
            DriverException.@Nullable Kind kind,
            long nativeCode,
            @Nullable Supplier<? extends Throwable> throwing) {
        this.operations = operations;
        this.device = device;
        this.skip = skip;
        this.times = times;
        this.probability = probability;
        this.seed = seed;
        this.sticky = sticky;
        this.realDelay = realDelay;
        this.virtualDelay = virtualDelay;
        this.kind = kind;
        this.nativeCode = nativeCode;
        this.throwing = throwing;
    }

    /**
     * A rule for some operations.
     *
     * @param glob the operation's name, where {@code *} stands for any text, {@code ?} for one letter, and {@code |}
     *             separates alternatives, such as {@code alloc*|commit}
     * @return a rule that does nothing yet
     */
    public static FaultRule on(String glob) {
        return matching(globPattern(glob));
    }

    /**
     * A rule for some operations.
     *
     * @param operations matches the whole name of an operation
     * @return a rule that does nothing yet
     */
    public static FaultRule matching(Pattern operations) {
        return new FaultRule(
                Objects.requireNonNull(operations, "operations"),
                OptionalInt.empty(),
                0,
                Long.MAX_VALUE,
                1,
                0,
                false,
                Duration.ZERO,
                Duration.ZERO,
                null,
                0,
                null);
    }

    /**
     * Only calls on one device.
     *
     * @param index the device's index in its backend
     * @return a copy
     */
    public FaultRule onDevice(int index) {
        return copy(OptionalInt.of(index), skip, times, probability, seed, sticky, realDelay, virtualDelay);
    }

    /**
     * Lets the first calls pass.
     *
     * @param calls how many matching calls, 0 or more
     * @return a copy
     */
    public FaultRule skip(long calls) {
        return copy(device, calls, times, probability, seed, sticky, realDelay, virtualDelay);
    }

    /**
     * Ends after some calls.
     *
     * @param calls how many calls are met
     * @return a copy
     */
    public FaultRule times(long calls) {
        return copy(device, skip, calls, probability, seed, sticky, realDelay, virtualDelay);
    }

    /**
     * Meets one call.
     *
     * @param number which of the matching calls, from 1
     * @return a copy
     */
    public FaultRule nth(long number) {
        if (number < 1) {
            throw new IllegalArgumentException("number is " + number + ": must be 1 or more");
        }
        return skip(number - 1).times(1);
    }

    /**
     * Meets calls at random.
     *
     * @param chance  from 0 to 1
     * @param newSeed the same seed meets the same calls
     * @return a copy
     */
    public FaultRule withProbability(double chance, long newSeed) {
        if (!(chance >= 0 && chance <= 1)) {
            throw new IllegalArgumentException("probability is " + chance + ": must be from 0 to 1");
        }
        return copy(device, skip, times, chance, newSeed, sticky, realDelay, virtualDelay);
    }

    /**
     * Once it has met a call it meets all later ones; a lost device stays lost for every operation, matching or not.
     *
     * @return a copy
     */
    public FaultRule sticky() {
        return copy(device, skip, times, probability, seed, true, realDelay, virtualDelay);
    }

    /**
     * Makes the call slow in real time; other devices go on.
     *
     * @param delay how slow
     * @return a copy
     */
    public FaultRule delayed(Duration delay) {
        return copy(device, skip, times, probability, seed, sticky, delay, virtualDelay);
    }

    /**
     * Makes the call slow in virtual time.
     *
     * @param delay how slow
     * @return a copy
     */
    public FaultRule delayedVirtually(Duration delay) {
        return copy(device, skip, times, probability, seed, sticky, realDelay, delay);
    }

    /**
     * Makes the call fail as drivers do.
     *
     * @param failure what went wrong
     * @param code    the driver's code for it
     * @return a copy
     */
    public FaultRule failing(DriverException.Kind failure, long code) {
        return new FaultRule(
                operations,
                device,
                skip,
                times,
                probability,
                seed,
                sticky,
                realDelay,
                virtualDelay,
                Objects.requireNonNull(failure, "failure"),
                code,
                null);
    }

    /**
     * Makes the call fail as no driver should.
     *
     * @param failure gives a {@link RuntimeException} or an {@link Error}
     * @return a copy
     */
    public FaultRule throwing(Supplier<? extends Throwable> failure) {
        return new FaultRule(
                operations,
                device,
                skip,
                times,
                probability,
                seed,
                sticky,
                realDelay,
                virtualDelay,
                null,
                0,
                Objects.requireNonNull(failure, "failure"));
    }

    /** Whether this is about such calls at all. */
    boolean concerns(String operation, int deviceIndex) {
        return (device.isEmpty() || device.getAsInt() == deviceIndex)
                && operations.matcher(operation).matches();
    }

    long skip() {
        return skip;
    }

    long times() {
        return times;
    }

    double probability() {
        return probability;
    }

    long seed() {
        return seed;
    }

    boolean isSticky() {
        return sticky;
    }

    Duration realDelay() {
        return realDelay;
    }

    Duration virtualDelay() {
        return virtualDelay;
    }

    DriverException.@Nullable Kind kind() {
        return kind;
    }

    long nativeCode() {
        return nativeCode;
    }

    @Nullable
    Supplier<? extends Throwable> throwing() {
        return throwing;
    }

    /** Turns a glob with alternatives into a pattern. */
    static Pattern globPattern(String glob) {
        if (glob.isBlank()) {
            throw new IllegalArgumentException("an operation's name must not be blank");
        }
        StringBuilder regex = new StringBuilder();
        for (int i = 0; i < glob.length(); i++) {
            char c = glob.charAt(i);
            switch (c) {
                case '*' -> regex.append(".*");
                case '?' -> regex.append('.');
                case '|' -> regex.append('|');
                default -> regex.append(Pattern.quote(String.valueOf(c)));
            }
        }
        return Pattern.compile(regex.toString());
    }

    private FaultRule copy(
            OptionalInt newDevice,
            long newSkip,
            long newTimes,
            double newProbability,
            long newSeed,
            boolean newSticky,
            Duration newRealDelay,
            Duration newVirtualDelay) {
        return new FaultRule(
                operations,
                newDevice,
                newSkip,
                newTimes,
                newProbability,
                newSeed,
                newSticky,
                newRealDelay,
                newVirtualDelay,
                kind,
                nativeCode,
                throwing);
    }
}
