package dev.headroom.memory.engine;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Something that must have happened before memory is used again. Once done it stays done. Thread-safe. */
sealed interface Point {

    /** Whether it has happened. Never blocks. */
    boolean done();

    /** Whether it is known to have happened, without asking a driver. */
    boolean isKnownDone();

    /** Waits for it. An interrupt ends the wait early and stays set. */
    boolean await(Duration timeout);

    /**
     * The end of a transfer in one of our queues.
     *
     * @param queue the queue
     * @param value the signal behind it
     */
    record OnQueue(TransferQueue queue, long value) implements Point {

        @Override
        public boolean done() {
            return queue.hasReached(value);
        }

        @Override
        public boolean isKnownDone() {
            return queue.isKnownToHaveReached(value);
        }

        @Override
        public boolean await(Duration timeout) {
            return queue.awaitReached(value, timeout);
        }
    }

    /** The end of work in a user's queue. Lets go of its event as soon as that is done, but not while somebody asks it. */
    final class OnFence extends UseCount implements Point {
        private final DeviceSession session;
        private final DriverFence fence;
        private final Consumer<OnFence> whenDone;

        /** A point that tells once that it is done. */
        OnFence(DeviceSession session, DriverFence fence, Consumer<OnFence> whenDone) {
            this.session = session;
            this.fence = fence;
            this.whenDone = whenDone;
        }

        @Override
        public boolean done() {
            return asking(fence::done);
        }

        @Override
        public boolean isKnownDone() {
            return isClosed();
        }

        @Override
        public boolean await(Duration timeout) {
            return asking(() -> fence.await(timeout));
        }

        /** Makes later commands of a queue of the same driver wait for it. */
        void holdBack(DriverQueue queue) throws DriverException {
            if (acquire()) {
                try {
                    session.driver().waitFor(queue, fence);
                } finally {
                    leave();
                }
            }
        }

        /** Lets go of the event; counts as done from now on. */
        void dispose() {
            if (closeOnce()) {
                letGo();
            }
        }

        private boolean asking(DeviceSession.Question question) {
            if (!acquire()) {
                return true;
            }
            boolean ended;
            try {
                ended = session.tells(question);
            } finally {
                leave();
            }
            if (ended) {
                dispose();
            }
            return ended;
        }

        private void leave() {
            if (release()) {
                letGo();
            }
        }

        private void letGo() {
            session.letGo(fence::close);
            whenDone.accept(this);
        }
    }

    /** The end, good or bad, of something Headroom knows nothing about. */
    final class OnStage implements Point {
        private final CompletableFuture<?> end;

        OnStage(CompletionStage<?> stage) {
            this.end = stage.handle((result, failure) -> true).toCompletableFuture();
        }

        @Override
        public boolean done() {
            return end.isDone();
        }

        @Override
        public boolean isKnownDone() {
            return end.isDone();
        }

        @Override
        public boolean await(Duration timeout) {
            try {
                end.get(timeout.toNanos(), TimeUnit.NANOSECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } catch (TimeoutException | ExecutionException e) {
                return end.isDone();
            }
            return end.isDone();
        }
    }

    /**
     * The points memory waits for, newest first; immutable.
     *
     * @param first the newest
     * @param rest  the others, null if there are none
     */
    record Pending(Point first, @Nullable Pending rest) {

        /**
         * The list with one more point. Points known to be done are dropped, and so is an older one of the same queue, which is
         * implied: however often a buffer is used, the list is as long as its unfinished work.
         */
        static Pending with(Point point, @Nullable Pending others) {
            Deque<Point> kept = new ArrayDeque<>();
            for (Pending p = others; p != null; p = p.rest) {
                if (!p.first.isKnownDone() && !implies(point, p.first)) {
                    kept.push(p.first);
                }
            }
            Pending list = null;
            for (Point old : kept) {
                list = new Pending(old, list);
            }
            return new Pending(point, list);
        }

        /** Whether all of them are done. */
        boolean done() {
            for (Pending p = this; p != null; p = p.rest) {
                if (!p.first.done()) {
                    return false;
                }
            }
            return true;
        }

        private static boolean implies(Point later, Point earlier) {
            return later instanceof OnQueue(TransferQueue queue, long _)
                    && earlier instanceof OnQueue(TransferQueue before, long _)
                    && queue.equals(before);
        }
    }
}
