package dev.headroom.memory.engine;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.PressureListener;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.ToLongFunction;

/**
 * The listeners of one pool. Whatever one of them throws is logged and counted, and the next one is called. Thread-safe; no
 * lock is held while one is called.
 */
final class PressureListeners {

    /** Bound while a listener is called: what it allocates itself asks nobody, or a shortage would ask for ever. */
    private static final ScopedValue<Boolean> CALLED = ScopedValue.newInstance();

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final GpuMemoryPool pool;
    private final List<PressureListener> listeners = new CopyOnWriteArrayList<>();
    private final AtomicLong failures = new AtomicLong();

    PressureListeners(GpuMemoryPool pool) {
        this.pool = pool;
    }

    void add(PressureListener listener) {
        listeners.add(Objects.requireNonNull(listener, "listener"));
    }

    void remove(PressureListener listener) {
        listeners.remove(Objects.requireNonNull(listener, "listener"));
    }

    boolean isEmpty() {
        return listeners.isEmpty();
    }

    /** How often a listener threw something. */
    long failures() {
        return failures.get();
    }

    /** Whether the caller is a listener. */
    static boolean isCalling() {
        return CALLED.isBound();
    }

    /** Whether somebody can be asked to give back; not by what a listener does itself. */
    boolean canBeAsked() {
        return !isEmpty() && !isCalling();
    }

    /** Asks everybody to give back. */
    void ask(MemoryPressure pressure, long missingBytes) {
        long left = missingBytes;
        for (PressureListener listener : listeners) {
            long missing = Math.max(0, left);
            left -= guarded(listener, asked -> asked.onPressure(pool, pressure, missing));
        }
    }

    /** Tells everybody of a change. */
    void tell(MemoryPressure before, MemoryPressure now) {
        for (PressureListener listener : listeners) {
            guarded(listener, told -> {
                told.onChange(pool, before, now);
                return 0;
            });
        }
    }

    private long guarded(PressureListener listener, ToLongFunction<PressureListener> call) {
        try {
            return Math.max(0, ScopedValue.where(CALLED, true).call(() -> call.applyAsLong(listener)));
        } catch (RuntimeException | Error e) {
            failures.incrementAndGet();
            LOG.log(System.Logger.Level.WARNING, "a pressure listener of " + pool + " failed", e);
            return 0;
        }
    }
}
