package dev.headroom.memory.sim;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Which driver calls go wrong. Belongs to a backend or a device, and may be changed at any time. Thread-safe.
 *
 * <p>A plan also counts, so that a workload can be run once to learn its calls and then once per call with that call
 * failing:
 *
 * {@snippet :
 * FaultPlan plan = new FaultPlan();
 * workload(plan);
 * long calls = plan.calls();
 * for (long n = 1; n <= calls; n++) {
 *     workload(new FaultPlan(FaultRule.on("*").nth(n).failing(DriverException.Kind.UNEXPECTED, 999)));
 * }
 * }
 *
 * <p>The operations are {@code probe}, {@code budget}, {@code open} and {@code close} of backend and driver; {@code
 * allocate}, {@code free}, {@code map}, {@code flush}, {@code invalidate}, {@code unmap}; {@code openQueue}, {@code
 * closeQueue}, {@code submit}, {@code signal}, {@code completed}, {@code waitFor}, {@code await}, {@code awaitIdle};
 * {@code record}, {@code done}, {@code awaitFence}, {@code closeFence}, {@code hold}; {@code reserve}, {@code commit},
 * {@code decommit}, {@code release}; and {@code closeBackend}.
 */
public final class FaultPlan {

    /** What is to happen to one call. */
    record Decision(
            Duration realDelay,
            Duration virtualDelay,
            @Nullable DriverException failure,
            boolean loseDevice,
            @Nullable Supplier<? extends Throwable> throwing) {
        static final Decision NOTHING = new Decision(Duration.ZERO, Duration.ZERO, null, false, null);

        private Decision and(Decision other) {
            return new Decision(
                    realDelay.plus(other.realDelay),
                    virtualDelay.plus(other.virtualDelay),
                    failure != null ? failure : other.failure,
                    loseDevice || other.loseDevice,
                    throwing != null ? throwing : other.throwing);
        }
    }

    /** A rule and how far it has come. */
    private static final class Active {
        private final FaultRule rule;
        private final SplittableRandom random;
        private long seen;
        private long met;

        private Active(FaultRule rule) {
            this.rule = rule;
            this.random = new SplittableRandom(rule.seed());
        }

        private Decision decide(String operation) {
            if (!meets()) {
                return Decision.NOTHING;
            }
            met++;
            DriverException failure = rule.kind() == null
                    ? null
                    : new DriverException(rule.kind(), rule.nativeCode(), operation, "injected");
            boolean lose = rule.isSticky() && rule.kind() == DriverException.Kind.DEVICE_LOST;
            return new Decision(rule.realDelay(), rule.virtualDelay(), failure, lose, rule.throwing());
        }

        private boolean meets() {
            seen++;
            if (rule.isSticky() && met > 0) {
                return true;
            }
            // The dice are rolled for every call, so that skip and times do not shift later ones.
            boolean hit = rule.probability() >= 1 || random.nextDouble() < rule.probability();
            return hit && seen > rule.skip() && met < rule.times();
        }
    }

    private final List<Active> rules = new ArrayList<>();
    private final Map<String, Long> calls = new TreeMap<>();
    private long fired;

    /**
     * A plan.
     *
     * @param rules its rules; without any it only counts
     */
    public FaultPlan(FaultRule... rules) {
        for (FaultRule rule : rules) {
            this.rules.add(new Active(rule));
        }
    }

    /**
     * Adds a rule; it counts calls from now on.
     *
     * @param rule the rule
     * @return this plan
     */
    public synchronized FaultPlan add(FaultRule rule) {
        rules.add(new Active(rule));
        return this;
    }

    /** Takes all rules away. A device that is lost stays lost. */
    public synchronized void clear() {
        rules.clear();
    }

    /**
     * How many calls were made, failed ones included.
     *
     * @return calls since the beginning, or since {@link #resetCalls()}
     */
    public synchronized long calls() {
        return calls.values().stream().mapToLong(Long::longValue).sum();
    }

    /**
     * How many calls of some operations were made.
     *
     * @param glob as in {@link FaultRule#on}
     * @return calls since the beginning, or since {@link #resetCalls()}
     */
    public synchronized long calls(String glob) {
        Pattern pattern = FaultRule.globPattern(glob);
        return calls.entrySet().stream()
                .filter(call -> pattern.matcher(call.getKey()).matches())
                .mapToLong(Map.Entry::getValue)
                .sum();
    }

    /**
     * How many calls of each operation were made.
     *
     * @return calls by operation
     */
    public synchronized Map<String, Long> callsByOperation() {
        return Map.copyOf(calls);
    }

    /** Counts from 0 again. Rules keep their own count. */
    public synchronized void resetCalls() {
        calls.clear();
    }

    /**
     * How many calls were met by a rule.
     *
     * @return calls delayed or failed
     */
    public synchronized long fired() {
        return fired;
    }

    /** Counts a call and says what is to happen to it. */
    synchronized Decision decide(String operation, int deviceIndex) {
        calls.merge(operation, 1L, Long::sum);
        Decision decision = Decision.NOTHING;
        boolean met = false;
        for (Active active : rules) {
            if (active.rule.concerns(operation, deviceIndex)) {
                long before = active.met;
                decision = decision.and(active.decide(operation));
                met |= active.met > before;
            }
        }
        if (met) {
            fired++;
        }
        return decision;
    }
}
