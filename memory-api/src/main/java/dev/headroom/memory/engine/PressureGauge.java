package dev.headroom.memory.engine;

import dev.headroom.memory.MemoryPressure;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The pressure that is announced: {@link MemoryPressure#of} with a memory. It rises as soon as a threshold is reached, and
 * falls only once the used share is more than {@link #MARGIN} below the threshold it rose at, so that a share that trembles
 * around a threshold announces nothing. Starts at LOW. Thread-safe; takes no lock.
 */
final class PressureGauge {

    /** How far below a level's threshold the share has to be before the level is left: 5 % of the memory. */
    static final double MARGIN = 0.05;

    /** Told of every change, on the thread that saw it. */
    @FunctionalInterface
    interface Changed {
        /**
         * The level is another.
         *
         * @param before what it was
         * @param now    what it is
         * @param used   the used share that changed it
         */
        void changed(MemoryPressure before, MemoryPressure now, double used);
    }

    private final Changed changed;
    private final AtomicReference<MemoryPressure> level = new AtomicReference<>(MemoryPressure.LOW);

    PressureGauge(Changed changed) {
        this.changed = changed;
    }

    MemoryPressure level() {
        return level.get();
    }

    /** Takes note of a used share. */
    void observe(double used) {
        MemoryPressure before = level.getAndUpdate(level -> next(level, used));
        MemoryPressure now = next(before, used);
        if (now != before) {
            changed.changed(before, now, used);
        }
    }

    /** The level that follows another at a used share. Pure. */
    static MemoryPressure next(MemoryPressure before, double used) {
        MemoryPressure least = MemoryPressure.of(used);
        MemoryPressure most = MemoryPressure.of(used + MARGIN);
        if (before.compareTo(least) < 0) {
            return least;
        }
        return before.compareTo(most) > 0 ? most : before;
    }
}
