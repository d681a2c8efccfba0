package dev.headroom.memory.engine;

import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.MemoryBackend;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A probe of one backend that is not waited for longer than agreed, on a daemon thread of its own: a driver that hangs keeps
 * that thread and nobody else. If it answers after all, the backend is closed there and then, for nobody else will.
 */
final class BoundedProbe {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    /** What became of the question. */
    private enum State {
        ASKED,
        ANSWERED,
        GIVEN_UP
    }

    private final MemoryBackend backend;
    private final AtomicReference<State> state = new AtomicReference<>(State.ASKED);
    private volatile @Nullable BackendProbe answer;
    private volatile @Nullable Throwable failure;

    private BoundedProbe(MemoryBackend backend) {
        this.backend = backend;
    }

    /** Thrown to whoever asked a backend that does not answer; it must not be touched again. */
    static final class NoAnswer extends Exception {
        private static final long serialVersionUID = 1;

        private NoAnswer() {}
    }

    /**
     * Asks a backend what it has.
     *
     * @param name     its name
     * @param backend  the backend
     * @param patience how long to wait
     * @return its answer, also if that is none
     * @throws NoAnswer  if it does not come back in time
     * @throws Throwable whatever the backend throws
     */
    static @Nullable BackendProbe ask(String name, MemoryBackend backend, Duration patience) throws Throwable {
        BoundedProbe probe = new BoundedProbe(backend);
        Thread thread =
                Thread.ofPlatform().name("headroom-probe-" + name).daemon().start(probe::run);
        if (!Patience.join(thread, patience) && probe.state.compareAndSet(State.ASKED, State.GIVEN_UP)) {
            throw new NoAnswer();
        }
        Throwable failure = probe.failure;
        if (failure != null) {
            throw failure;
        }
        return probe.answer;
    }

    private void run() {
        try {
            answer = backend.probe();
        } catch (Throwable e) {
            failure = e;
        }
        if (!state.compareAndSet(State.ASKED, State.ANSWERED)) {
            closeLate();
        }
    }

    private void closeLate() {
        try {
            backend.close();
        } catch (Throwable e) {
            LOG.log(System.Logger.Level.WARNING, "a backend failed to close", e);
        }
    }
}
