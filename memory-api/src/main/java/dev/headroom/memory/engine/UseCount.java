package dev.headroom.memory.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.time.Duration;

/**
 * The life of something that must not vanish while it is used: open or closed, and the number of uses in progress, in one
 * word. The owner counts as one use; whoever ends the last use after a close is told so and takes the thing apart.
 */
class UseCount {

    private static final VarHandle STATE;

    static {
        try {
            STATE = MethodHandles.lookup().findVarHandle(UseCount.class, "state", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Time between two looks whether all uses have ended. */
    private static final Duration LOOK = Duration.ofMillis(1);

    private static final int CLOSED = 1;
    /** Held by a move: nobody else gets in, but the move may still fail and open it again. */
    private static final int EXCLUSIVE = 2;

    private static final int ONE_USE = 4;
    /** Closed, and the owner's use has ended as all others have. */
    private static final int FINISHED = CLOSED - ONE_USE;

    /** Uses beside the owner's, and the bits above. Open is 0, so that a new buffer needs no volatile write. */
    private volatile int state;

    /** Begins a use. False if it is closed or held exclusively. */
    final boolean acquire() {
        int now = state;
        while ((now & (CLOSED | EXCLUSIVE)) == 0) {
            if (STATE.compareAndSet(this, now, now + ONE_USE)) {
                return true;
            }
            now = state;
        }
        return false;
    }

    /** Ends a use. True if it was closed meanwhile and this was the last use. */
    final boolean release() {
        return (int) STATE.getAndAdd(this, -ONE_USE) - ONE_USE == FINISHED;
    }

    /** Closes. True if this call closed it and no use is left; false also when it was closed before. */
    final boolean closeOnce() {
        int now = state;
        while ((now & CLOSED) == 0) {
            int next = (now | CLOSED) - ONE_USE;
            if (STATE.compareAndSet(this, now, next)) {
                return next == FINISHED;
            }
            now = state;
        }
        return false;
    }

    /** Shuts everybody else out, if nobody is in. */
    final boolean acquireExclusively() {
        return STATE.compareAndSet(this, 0, ONE_USE | EXCLUSIVE);
    }

    /** Ends an exclusive use. True if it was closed meanwhile. */
    final boolean releaseExclusively() {
        int now = state;
        int next;
        do {
            now = state;
            next = (now & ~EXCLUSIVE) - ONE_USE;
        } while (!STATE.compareAndSet(this, now, next));
        return next == FINISHED;
    }

    final boolean isClosed() {
        return (state & CLOSED) != 0;
    }

    /** Whether it is closed and no use is left. */
    final boolean isFinished() {
        return state == FINISHED;
    }

    /** Waits until it is closed and no use is left. An interrupt does not end the wait and stays set. False if one still is. */
    final boolean awaitFinished(Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean interrupted = false;
        while (!isFinished() && deadline - System.nanoTime() > 0) {
            try {
                Thread.sleep(LOOK);
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        return isFinished();
    }
}
