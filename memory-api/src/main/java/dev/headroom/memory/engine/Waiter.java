package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceLostException;
import java.time.Duration;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Waits for points on behalf of one device, through interrupts and through waits that fail once. That another device is lost
 * is not the trouble of this one. Thread-safe.
 */
final class Waiter {

    private static final Duration STEP = Duration.ofSeconds(1);

    private final DeviceSession session;

    Waiter(DeviceSession session) {
        this.session = session;
    }

    /** Waits until it is reached, or a device is lost. An interrupt stays set and does not end the wait. */
    void await(Point point) {
        boolean interrupted = false;
        try {
            while (!await(point, STEP)) {
                if (point instanceof Point.OnQueue queued) {
                    queued.queue().requireKnown(); // it may be another device's
                }
                interrupted |= Thread.interrupted();
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Waits until all work on the device is done. Stages only hold memory back from reuse; copies need not wait for them. */
    void awaitWork(Point.@Nullable Pending pending) {
        for (Point.Pending p = pending; p != null; p = p.rest()) {
            if (!(p.first() instanceof Point.OnStage)) {
                await(p.first());
            }
        }
    }

    /** Waits for one point until a deadline. False if it passed first, or an answer could not be had. */
    boolean await(Point point, Duration timeout) {
        return answer(() -> point.await(timeout));
    }

    /** The first point that is not reached; any where all are, or where an answer could not be had. */
    Point firstOpen(Point.Pending pending) {
        for (Point.Pending p = pending; p != null; p = p.rest()) {
            if (!isDone(p.first())) {
                return p.first();
            }
        }
        return pending.first();
    }

    /** Whether all are reached; false also where an answer could not be had. */
    boolean allDone(Point.@Nullable Pending pending) {
        return pending == null || answer(pending::done);
    }

    /** Whether it is reached; false also where an answer could not be had. */
    boolean isDone(Point point) {
        return answer(point::done);
    }

    private boolean answer(BooleanSupplier question) {
        session.requireAlive();
        boolean there;
        try {
            there = question.getAsBoolean();
        } catch (DeviceLostException e) {
            there = false; // another device is lost, and with it the answer
        }
        // On a device lost meanwhile work has ended as well, but not done what it was to do.
        session.requireAlive();
        return there;
    }
}
