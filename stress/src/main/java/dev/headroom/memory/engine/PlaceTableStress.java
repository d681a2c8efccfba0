package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.JJJ_Result;

/** Places are read without the lock while the table grows. */
final class PlaceTableStress {

    private static final int FAR = 3000;

    private PlaceTableStress() {}

    /** An owner reads its own place while the table grows for another. */
    @JCStressTest
    @Outcome(id = "7, 4096, 512", expect = ACCEPTABLE, desc = "undisturbed")
    @State
    public static class ReadGrow {
        private final PlaceTable places = new PlaceTable();

        public ReadGrow() {
            places.put(5, 7, 4096, 512);
        }

        @Actor
        public void reader(JJJ_Result r) {
            r.r1 = places.region(5);
            r.r2 = places.byteOffset(5);
            r.r3 = places.byteSize(5);
        }

        @Actor
        public void writer(JJJ_Result r) {
            places.put(FAR, 1, 0, 256);
        }
    }

    /** A name is passed on as caches do, and the place is read by whoever got it. */
    @JCStressTest
    @Outcome(id = "0, 0, 0", expect = ACCEPTABLE, desc = "not passed on yet")
    @Outcome(id = "3, 8192, 1024", expect = ACCEPTABLE, desc = "all of it")
    @State
    public static class PassOn {
        private static final VarHandle NAME;

        static {
            try {
                NAME = MethodHandles.lookup().findVarHandle(PassOn.class, "name", int.class);
            } catch (ReflectiveOperationException e) {
                throw new ExceptionInInitializerError(e);
            }
        }

        private final PlaceTable places = new PlaceTable();

        @SuppressWarnings("unused") // through NAME
        private int name;

        @Actor
        public void reader(JJJ_Result r) {
            int got = (int) NAME.getAcquire(this);
            if (got != 0) {
                r.r1 = places.region(got);
                r.r2 = places.byteOffset(got);
                r.r3 = places.byteSize(got);
            }
        }

        @Actor
        public void writer(JJJ_Result r) {
            places.put(FAR, 3, 8192, 1024);
            NAME.setRelease(this, FAR);
        }
    }
}
