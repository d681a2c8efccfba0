package dev.headroom.memory.sim;

import java.time.Duration;
import java.util.Objects;
import java.util.PriorityQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * Time that passes only when told to, in nanoseconds: the time of simulated devices, and of a {@code GpuMemory} that is
 * given it as its clock. What is due at one moment happens in the order it was planned, so that a run on one thread is
 * the same each time.
 *
 * <p>An {@linkplain #automatic() automatic} clock also passes by itself while somebody waits: up to what is waited for,
 * or to the timeout. Each look at unfinished work lets a microsecond pass, so that a program that polls gets on as
 * well. A {@linkplain #manual() manual} clock stands still until a test advances it; whoever waits on it blocks, for
 * the length of the timeout at most. Thread-safe.
 *
 * <p>Everything on one clock happens under one lock. What is planned here runs under that lock and must not call
 * Headroom.
 */
public final class VirtualClock implements LongSupplier {

    private static final long POLL_NANOS = 1_000;
    /** Far enough for any test, near enough that differences of moments never overflow. */
    private static final long FOREVER_NANOS = Long.MAX_VALUE / 4;

    private record Event(long dueNanos, long order, Runnable action) {}

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** Moments are compared by their difference, because the clock may wrap. */
    private final PriorityQueue<Event> events = new PriorityQueue<>((a, b) -> {
        long difference = a.dueNanos() - b.dueNanos();
        return difference != 0 ? Long.signum(difference) : Long.compare(a.order(), b.order());
    });

    private final boolean automatic;
    private long now;
    private long planned;

    private VirtualClock(boolean automatic, long startNanos) {
        this.automatic = automatic;
        this.now = startNanos;
    }

    /**
     * A clock that passes by itself while somebody waits.
     *
     * @return the clock, at 0
     */
    public static VirtualClock automatic() {
        return new VirtualClock(true, 0);
    }

    /**
     * A clock that stands still until it is advanced.
     *
     * @return the clock, at 0
     */
    public static VirtualClock manual() {
        return new VirtualClock(false, 0);
    }

    /**
     * The same sort of clock with another beginning, such as one shortly before the nanoseconds wrap.
     *
     * @param nanos the first moment
     * @return a new clock on which nothing is planned
     */
    public VirtualClock startingAt(long nanos) {
        return new VirtualClock(automatic, nanos);
    }

    /**
     * Whether the clock passes by itself while somebody waits.
     *
     * @return true if it does
     */
    public boolean isAutomatic() {
        return automatic;
    }

    /**
     * The present.
     *
     * @return nanoseconds since some moment of no meaning
     */
    public long nowNanos() {
        return locked(() -> now);
    }

    /** The same as {@link #nowNanos()}. */
    @Override
    public long getAsLong() {
        return nowNanos();
    }

    /**
     * Lets time pass, and whatever is due in it happen.
     *
     * @param duration how long, 0 or more
     */
    public void advance(Duration duration) {
        long nanos = nanosOf(duration);
        lock.lock();
        try {
            advanceTo(now + nanos);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Lets time pass until nothing is planned any more.
     *
     * @return how long that took
     */
    public Duration runUntilIdle() {
        lock.lock();
        try {
            long start = now;
            while (runNext(FOREVER_NANOS)) {
                // each event may plan another
            }
            return Duration.ofNanos(now - start);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Whether nothing is planned.
     *
     * @return true if time could pass without anything happening
     */
    public boolean isIdle() {
        return locked(() -> events.isEmpty() ? 1 : 0) == 1;
    }

    /**
     * Plans something, such as another process taking memory.
     *
     * @param delay  when, from now, 0 or more
     * @param action what happens; it must not call Headroom
     */
    public void after(Duration delay, Runnable action) {
        Objects.requireNonNull(action, "action");
        long nanos = nanosOf(delay);
        lock.lock();
        try {
            plan(nanos, action);
        } finally {
            lock.unlock();
        }
    }

    /** The lock everything on this clock happens under. */
    ReentrantLock lock() {
        return lock;
    }

    /** Plans something; the caller holds the lock. */
    void plan(long delayNanos, Runnable action) {
        events.add(new Event(now + delayNanos, planned++, action));
        changed.signalAll();
    }

    /** Wakes those who wait, after something changed that no event announces; the caller holds the lock. */
    void wake() {
        changed.signalAll();
    }

    /** The price of a look at unfinished work; the caller holds the lock. */
    void poll() {
        if (automatic) {
            advanceTo(now + POLL_NANOS);
        }
    }

    /**
     * Waits until something is reached; the caller holds the lock, which is let go while this thread really blocks. An
     * interrupt ends the wait early and stays set.
     */
    boolean await(BooleanSupplier reached, Duration timeout) {
        long nanos = nanosOf(timeout);
        long deadline = now + nanos;
        long realStart = System.nanoTime();
        while (!reached.getAsBoolean()) {
            if (Thread.currentThread().isInterrupted() || now - deadline >= 0) {
                return false;
            }
            if (automatic && !events.isEmpty()) {
                // Nothing due before the deadline: the rest of the timeout passes at once.
                if (!runNext(deadline - now)) {
                    advanceTo(deadline);
                }
                continue;
            }
            // Only another thread can help now, by advancing the clock or by submitting what is missing.
            long left = nanos - (System.nanoTime() - realStart);
            if (left <= 0) {
                if (automatic) {
                    advanceTo(deadline);
                }
                return reached.getAsBoolean();
            }
            try {
                changed.await(left, TimeUnit.NANOSECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        return true;
    }

    /** Lets a call take so much virtual time: passes it, or waits until somebody else has. */
    void spend(Duration duration) {
        long nanos = nanosOf(duration);
        lock.lock();
        try {
            long end = now + nanos;
            if (automatic) {
                advanceTo(end);
            } else {
                await(() -> now - end >= 0, duration);
            }
        } finally {
            lock.unlock();
        }
    }

    private void advanceTo(long moment) {
        while (runNext(moment - now)) {
            // each event may plan another
        }
        if (moment - now > 0) {
            now = moment;
        }
        changed.signalAll();
    }

    /** Runs the next event if it is due within the time given. */
    private boolean runNext(long withinNanos) {
        Event next = events.peek();
        if (next == null || next.dueNanos() - now > withinNanos) {
            return false;
        }
        events.remove();
        if (next.dueNanos() - now > 0) {
            now = next.dueNanos();
        }
        next.action().run();
        changed.signalAll();
        return true;
    }

    private long locked(LongSupplier question) {
        lock.lock();
        try {
            return question.getAsLong();
        } finally {
            lock.unlock();
        }
    }

    private static long nanosOf(Duration duration) {
        if (duration.isNegative()) {
            throw new IllegalArgumentException("duration is " + duration + ": must be 0 or more");
        }
        return duration.compareTo(Duration.ofNanos(FOREVER_NANOS)) < 0 ? duration.toNanos() : FOREVER_NANOS;
    }
}
