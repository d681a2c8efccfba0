package dev.headroom.memory.engine;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/** A thing that is wrong: two threads add to a plain figure. {@link StressTest} wants to see it fail. */
@JCStressTest
@Outcome(id = "2", expect = ACCEPTABLE, desc = "none was lost")
@State
public class LostUpdate {
    private int figure;

    @Actor
    public void first() {
        figure++;
    }

    @Actor
    public void second() {
        figure++;
    }

    @Arbiter
    public void end(I_Result r) {
        r.r1 = figure;
    }
}
