package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.DriverFailedException;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.UnsupportedKindException;
import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** Puts our order between our copies and the user's own queues. Keeps our events, never the user's queue. Thread-safe. */
final class UserFences {

    /** Points that may be found unfinished before the rest is left alone. */
    private static final int UNFINISHED = 4;

    private final DeviceSession session;
    private final Waiter waiter;
    private final Set<Point.OnFence> open = ConcurrentHashMap.newKeySet();

    UserFences(DeviceSession session, Waiter waiter) {
        this.session = session;
        this.waiter = waiter;
    }

    /** Makes the user's queue wait for what is pending on a buffer. */
    void hold(Extent buffer, NativeQueue queue) {
        requireOurs(queue);
        session.requireAlive();
        try {
            for (Point.Pending p = buffer.pending(); p != null; p = p.rest()) {
                switch (p.first()) {
                    case Point.OnQueue queued -> {
                        if (!queued.queue().belongsTo(session)) {
                            waiter.await(queued);
                        } else if (!queued.done()) {
                            session.driver().hold(queue, queued.queue().queue(), queued.value());
                        }
                    }
                    case Point.OnFence fence -> waiter.await(fence);
                    case Point.OnStage ignored -> {}
                }
            }
        } catch (DriverException e) {
            throw failed("letting a queue wait", e);
        }
    }

    /** Puts our event behind the user's work and makes the buffer wait for it. */
    QueueFence record(Extent buffer, NativeQueue queue) {
        requireOurs(queue);
        session.requireAlive();
        try {
            Point.OnFence point = new Point.OnFence(session, session.driver().record(queue), open::remove);
            open.add(point);
            buffer.addPending(point);
            letGoOfFinished(buffer.pending());
            return new Fence(point);
        } catch (DriverException e) {
            GpuMemoryException failure = failed("recording a fence", e);
            throw failure instanceof DriverFailedException ? undeclared(e) : failure;
        }
    }

    /** Whether something in a user's queue is not known to have ended. Asks nobody. */
    boolean mayBeBusy() {
        return !open.stream().allMatch(Point.OnFence::isKnownDone);
    }

    /** Lets go of all events. Nothing is under way, or the device is lost. */
    void close() {
        open.forEach(Point.OnFence::dispose);
        open.clear();
    }

    /**
     * Lets go of the events of finished work, so that a buffer used by a million kernels does not hold a million of them. Older
     * work is finished first, as a rule: a few answers in the negative are enough.
     */
    private static void letGoOfFinished(Point.@Nullable Pending pending) {
        Deque<Point> oldestFirst = new ArrayDeque<>();
        for (Point.Pending p = pending; p != null; p = p.rest()) {
            oldestFirst.push(p.first());
        }
        int unfinished = 0;
        while (!oldestFirst.isEmpty() && unfinished < UNFINISHED) {
            try {
                unfinished += oldestFirst.pop().done() ? 0 : 1;
            } catch (DeviceLostException e) {
                return; // whoever needs the answer will ask again
            }
        }
    }

    private void requireOurs(NativeQueue queue) {
        if (!queue.backend().equals(session.device().backend())) {
            throw new IllegalArgumentException("the queue belongs to %s, the buffer to %s"
                    .formatted(queue.backend(), session.device().backend()));
        }
    }

    /** The user's work is under way all the same. */
    private DriverFailedException undeclared(DriverException failure) {
        return new DriverFailedException(
                "%s: the work in the queue could not be declared: %s. Wait for the queue before the buffer is used or closed"
                        .formatted(session.device(), failure.getMessage()),
                failure);
    }

    private GpuMemoryException failed(String doing, DriverException failure) {
        return failure.kind() == DriverException.Kind.UNSUPPORTED
                ? new UnsupportedKindException(session.device() + " has no queues of the user's own")
                : session.failed(doing, failure);
    }

    /** What the user gets. */
    private final class Fence implements QueueFence {
        private final Point.OnFence point;

        private Fence(Point.OnFence point) {
            this.point = point;
        }

        @Override
        public boolean isDone() {
            return waiter.allDone(new Point.Pending(point, null));
        }

        @Override
        public boolean await(Duration timeout) {
            return waiter.await(point, Objects.requireNonNull(timeout, "timeout"));
        }
    }
}
