package dev.headroom.memory.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.locks.LockSupport;

/**
 * Guards bookkeeping that takes well under a microsecond. Spins briefly, then yields, then sleeps, so that a holder the
 * system has descheduled costs little. Not reentrant; never held during a driver call or a wait.
 */
final class EngineLock {

    private static final VarHandle HELD;

    static {
        try {
            HELD = MethodHandles.lookup().findVarHandle(EngineLock.class, "held", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Rounds of spinning: about a microsecond, longer than any critical section that is not descheduled. */
    private static final int SPINS = 100;

    private static final int YIELDS = 10;
    private static final long SLEEP_NANOS = 50_000;

    @SuppressWarnings("unused") // through HELD
    private int held;

    void lock() {
        if (!HELD.compareAndSet(this, 0, 1)) {
            lockSlowly();
        }
    }

    void unlock() {
        HELD.setRelease(this, 0);
    }

    private void lockSlowly() {
        for (int round = 0; ; round++) {
            if ((int) HELD.getOpaque(this) == 0 && HELD.compareAndSet(this, 0, 1)) {
                return;
            }
            pause(round, this);
        }
    }

    /** A round of waiting for something that takes well under a microsecond unless its thread is descheduled. */
    @SuppressWarnings("ThreadPriorityCheck") // a hint only: sleeping is what the loop relies on
    static void pause(int round, Object blocker) {
        if (round < SPINS) {
            Thread.onSpinWait();
        } else if (round < SPINS + YIELDS) {
            Thread.yield();
        } else {
            LockSupport.parkNanos(blocker, SLEEP_NANOS);
        }
    }
}
