package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import dev.headroom.memory.BufferClosedException;
import java.util.concurrent.CompletableFuture;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;
import org.openjdk.jcstress.infra.results.I_Result;

/** Two threads with one buffer: its memory comes back once, not while it is used, and with all it has to wait for. */
final class HandleStress {

    private static final int REFUSED = -1;

    private HandleStress() {}

    /** A buffer, and what came back of it. */
    abstract static class Trial {
        final StressPool.Home home = new StressPool.Home();
        final EngineBuffer buffer = StressPool.buffer(home);

        /** Uses it. -1 if refused, otherwise how often its memory had come back meanwhile. */
        final int use() {
            try {
                buffer.begin();
            } catch (BufferClosedException e) {
                return REFUSED;
            }
            int seen = home.recycled();
            buffer.end();
            return seen;
        }
    }

    /** Two close. */
    @JCStressTest
    @Outcome(id = "1", expect = ACCEPTABLE, desc = "came back once")
    @State
    public static class CloseClose extends Trial {
        @Actor
        public void first() {
            buffer.close();
        }

        @Actor
        public void second() {
            buffer.close();
        }

        @Arbiter
        public void end(I_Result r) {
            r.r1 = home.recycled();
        }
    }

    /** One uses, one closes. */
    @JCStressTest
    @Outcome(id = "0, 1", expect = ACCEPTABLE, desc = "used, and came back afterwards")
    @Outcome(id = "-1, 1", expect = ACCEPTABLE, desc = "closed before the use")
    @State
    public static class UseClose extends Trial {
        @Actor
        public void first(II_Result r) {
            r.r1 = use();
        }

        @Actor
        public void second(II_Result r) {
            buffer.close();
        }

        @Arbiter
        public void end(II_Result r) {
            r.r2 = home.recycled();
        }
    }

    /** Work is noted on a buffer that is closed meanwhile: its memory does not come back without it. */
    @JCStressTest
    @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "noted, and came back with it")
    @Outcome(id = "-1, 1, 0", expect = ACCEPTABLE, desc = "closed before it was noted")
    @State
    public static class NoteClose extends Trial {
        @Actor
        public void first(III_Result r) {
            try {
                buffer.closeAfter(new CompletableFuture<>());
            } catch (BufferClosedException e) {
                r.r1 = REFUSED;
            }
        }

        @Actor
        public void second(III_Result r) {
            buffer.close();
        }

        @Arbiter
        public void end(III_Result r) {
            r.r2 = home.recycled();
            r.r3 = home.withPending();
        }
    }

    /** Both leave work under way: the memory waits for both. */
    @JCStressTest
    @Outcome(id = "2", expect = ACCEPTABLE, desc = "both are waited for")
    @State
    public static class NoteNote extends Trial {
        @Actor
        public void first() {
            buffer.addPending(new Point.OnStage(new CompletableFuture<>()));
        }

        @Actor
        public void second() {
            buffer.addPending(new Point.OnStage(new CompletableFuture<>()));
        }

        @Arbiter
        public void end(I_Result r) {
            for (Point.Pending p = buffer.pending(); p != null; p = p.rest()) {
                r.r1++;
            }
        }
    }

    /** As {@link NoteNote}, where there are notes already. */
    @JCStressTest
    @Outcome(id = "3", expect = ACCEPTABLE, desc = "all are waited for")
    @State
    public static class OneMoreNote extends Trial {
        public OneMoreNote() {
            buffer.addPending(new Point.OnStage(new CompletableFuture<>()));
        }

        @Actor
        public void first() {
            buffer.addPending(new Point.OnStage(new CompletableFuture<>()));
        }

        @Actor
        public void second() {
            buffer.addPending(new Point.OnStage(new CompletableFuture<>()));
        }

        @Arbiter
        public void end(I_Result r) {
            for (Point.Pending p = buffer.pending(); p != null; p = p.rest()) {
                r.r1++;
            }
        }
    }

    /** Both ask for the name, which is drawn when somebody does. */
    @JCStressTest
    @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "one name for ever")
    @State
    public static class NameName extends Trial {
        private long mine;
        private long yours;

        @Actor
        public void first() {
            mine = buffer.id().value();
        }

        @Actor
        public void second() {
            yours = buffer.id().value();
        }

        @Arbiter
        public void end(II_Result r) {
            r.r1 = mine == yours ? 1 : 0;
            r.r2 = mine == buffer.id().value() ? 1 : 0;
        }
    }

    /** One asks for the name, one leaves work under way: neither note is lost. */
    @JCStressTest
    @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "both")
    @State
    public static class NameNote extends Trial {
        private long name;

        @Actor
        public void first() {
            name = buffer.id().value();
        }

        @Actor
        public void second() {
            buffer.addPending(new Point.OnStage(new CompletableFuture<>()));
        }

        @Arbiter
        public void end(II_Result r) {
            r.r1 = name == buffer.id().value() ? 1 : 0;
            r.r2 = buffer.pending() == null ? 0 : 1;
        }
    }
}
