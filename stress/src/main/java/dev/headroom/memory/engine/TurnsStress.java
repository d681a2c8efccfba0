package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import java.time.Duration;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;
import org.openjdk.jcstress.infra.results.I_Result;

/** Who waits for whom: the lock of the books, the turn to change what a heap holds, and a close that happens once. */
final class TurnsStress {

    private static final Duration LONG = Duration.ofMinutes(1);

    private TurnsStress() {}

    /** Two add to a plain figure under the lock of the books. */
    @JCStressTest
    @Outcome(id = "3", expect = ACCEPTABLE, desc = "none was lost")
    @State
    public static class LockLock {
        private final EngineLock lock = new EngineLock();
        private int figure;

        @Actor
        public void first() {
            add(1);
        }

        @Actor
        public void second() {
            add(2);
        }

        private void add(int more) {
            lock.lock();
            try {
                figure += more;
            } finally {
                lock.unlock();
            }
        }

        @Arbiter
        public void end(I_Result r) {
            r.r1 = figure;
        }
    }

    /** Two wait for their turn in a flight. */
    @JCStressTest
    @Outcome(id = "3", expect = ACCEPTABLE, desc = "none was lost")
    @State
    public static class FlightFlight {
        private final SingleFlight flight = new SingleFlight();
        private int figure;

        @Actor
        public void first() {
            add(1);
        }

        @Actor
        public void second() {
            add(2);
        }

        private void add(int more) {
            if (flight.begin(LONG)) {
                figure += more;
                flight.end();
            }
        }

        @Arbiter
        public void end(I_Result r) {
            r.r1 = figure;
        }
    }

    /** One waits for a flight, one takes it only if it is free. */
    @JCStressTest
    @Outcome(id = "1, 1", expect = ACCEPTABLE, desc = "the second was turned away")
    @Outcome(id = "3, 3", expect = ACCEPTABLE, desc = "both flew")
    @State
    public static class FlightTry {
        private final SingleFlight flight = new SingleFlight();
        private int figure;
        private int granted;

        @Actor
        public void first() {
            if (flight.begin(LONG)) {
                figure += 1;
                flight.end();
            }
        }

        @Actor
        public void second() {
            if (flight.tryBegin()) {
                figure += 2;
                flight.end();
                granted = 2;
            }
        }

        @Arbiter
        public void end(II_Result r) {
            r.r1 = figure;
            r.r2 = 1 + granted;
        }
    }

    /** Two close: one does it, the other finds it done. */
    @JCStressTest
    @Outcome(id = "1, 1, 1", expect = ACCEPTABLE, desc = "done once, and both see it done")
    @State
    public static class CloseClose {
        private final ClosedOnce closing = new ClosedOnce();
        private int done;

        @Actor
        public void first(III_Result r) {
            r.r1 = close();
        }

        @Actor
        public void second(III_Result r) {
            r.r2 = close();
        }

        private int close() {
            if (closing.begin()) {
                done++;
                closing.finish();
            } else {
                closing.awaitEnd(LONG);
            }
            return done;
        }

        @Arbiter
        public void end(III_Result r) {
            r.r3 = done;
        }
    }
}
