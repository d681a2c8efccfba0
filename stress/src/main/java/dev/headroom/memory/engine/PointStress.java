package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiFunction;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;

/** What memory waits for: an event is let go once and not while it is asked, a queue never goes back, memory returns once. */
final class PointStress {

    private static final DriverQueue QUEUE = new Queue();

    private PointStress() {}

    /** An event, and how it was treated. The results: how often it was asked once it was closed, closed, told. */
    abstract static class Trial implements DriverFence {
        final Point.OnFence point;

        private final boolean over;
        // Plain on purpose: one thread lets go, and nobody asks afterwards.
        private int closed;
        private int askedLate;
        private int told;

        Trial(boolean over) {
            this.over = over;
            this.point = new Point.OnFence(StressPool.POOL.session(), this, _ -> told++);
        }

        @Override
        public final boolean done() {
            askedLate += closed;
            return over;
        }

        @Override
        public final boolean await(Duration timeout) {
            return done();
        }

        @Override
        public final void close() {
            closed++;
        }

        final void tell(III_Result r) {
            r.r1 = askedLate;
            r.r2 = closed;
            r.r3 = told;
        }
    }

    /** Two find out that the work is done. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "let go once, and not asked afterwards")
    @State
    public static class AskAsk extends Trial {
        public AskAsk() {
            super(true);
        }

        @Actor
        public void first() {
            boolean ignored = point.done();
        }

        @Actor
        public void second() {
            boolean ignored = point.done();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** One asks after work under way while the other lets go. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "let go once, and not asked afterwards")
    @State
    public static class AskDispose extends Trial {
        public AskDispose() {
            super(false);
        }

        @Actor
        public void first() {
            boolean ignored = point.done();
        }

        @Actor
        public void second() {
            point.dispose();
        }

        @Arbiter
        public void end(III_Result r) {
            tell(r);
        }
    }

    /** Two note how far a queue has come. */
    @JCStressTest
    @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "as far as the farther said, and no farther")
    @State
    public static class ReachReach {
        private final TransferQueue queue = new TransferQueue(StressPool.POOL.session(), QUEUE);

        @Actor
        public void first() {
            queue.reached(5);
        }

        @Actor
        public void second() {
            queue.reached(9);
        }

        @Arbiter
        public void end(II_Result r) {
            r.r1 = queue.isKnownToHaveReached(9) ? 1 : 0;
            r.r2 = queue.isKnownToHaveReached(10) ? 1 : 0;
        }
    }

    private static final class Queue implements DriverQueue {
        @Override
        public void close() {}
    }

    /** Two collect one closed buffer whose work has ended: its memory goes back once. */
    @JCStressTest
    @Outcome(id = "1, 0", expect = ACCEPTABLE, desc = "by the first")
    @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "by the second")
    @State
    public static class CollectCollect {
        private final ReclaimQueue queue = new ReclaimQueue(StressPool.POOL.waiter());

        public CollectCollect() {
            queue.add(StressPool.blocks(), StressPool.taken(), over());
        }

        @Actor
        public void first(II_Result r) {
            r.r1 = queue.collect() ? 1 : 0;
        }

        @Actor
        public void second(II_Result r) {
            r.r2 = queue.collect() ? 1 : 0;
        }
    }

    /** One closes a buffer while the other collects: neither is forgotten, and in the end nothing waits. */
    @JCStressTest
    @Outcome(id = "1, 0, 0", expect = ACCEPTABLE, desc = "both went back")
    @State
    public static class AddCollect {
        private final ReclaimQueue queue = new ReclaimQueue(StressPool.POOL.waiter());
        private final int late = StressPool.taken();
        private final Over lateWork = new Over();

        public AddCollect() {
            queue.add(StressPool.blocks(), StressPool.taken(), over());
        }

        @Actor
        public void first() {
            queue.add(StressPool.blocks(), late, new Point.Pending(new Point.OnStage(lateWork), null));
        }

        @Actor
        public void second() {
            boolean ignored = queue.collect();
        }

        @Arbiter
        public void end(III_Result r) {
            boolean ignored = queue.collect();
            r.r1 = lateWork.asked ? 1 : 0;
            r.r2 = queue.size();
            r.r3 = (int) queue.pending().bytes();
        }
    }

    /** Work that has ended, and that tells whether somebody asked. */
    private static final class Over extends CompletableFuture<Void> {
        private boolean asked;

        @Override
        public <U> CompletableFuture<U> handle(BiFunction<? super Void, Throwable, ? extends U> then) {
            @SuppressWarnings("unchecked") // nobody looks at the value
            CompletableFuture<U> self = (CompletableFuture<U>) this;
            return self;
        }

        @Override
        public boolean isDone() {
            asked = true;
            return true;
        }
    }

    private static Point.Pending over() {
        return new Point.Pending(new Point.OnStage(CompletableFuture.completedFuture(null)), null);
    }
}
