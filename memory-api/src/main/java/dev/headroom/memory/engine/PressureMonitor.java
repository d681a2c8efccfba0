package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryPressure;
import dev.headroom.memory.PressureListener;
import java.time.Duration;
import java.util.OptionalDouble;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Looks after a pool from time to time: does its chores, reads how full the device is, and tells listeners when the pressure
 * has changed. One daemon thread per pool, so that a driver that hangs delays no other device; started by the first who has
 * something to be watched. A single {@link #step} can be driven by hand. Thread-safe; holds no lock during a step.
 */
final class PressureMonitor {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final GpuDevice device;
    private final Duration interval;
    private final Runnable chores;
    private final Supplier<OptionalDouble> usedShare;
    private final PressureGauge gauge = new PressureGauge(this::changed);
    private final PressureListeners listeners;

    private final AtomicReference<MemoryPressure> told = new AtomicReference<>(MemoryPressure.LOW);
    private final AtomicBoolean telling = new AtomicBoolean();

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition due = lock.newCondition();
    private @Nullable Thread thread;
    private boolean awake;
    private boolean closed;

    /**
     * A monitor without a thread yet.
     *
     * @param pool      what listeners are told
     * @param device    its device
     * @param interval  the time between two steps
     * @param chores    what else is to be done in each step
     * @param usedShare reads how full the device is; empty where nothing is known
     */
    PressureMonitor(
            GpuMemoryPool pool,
            GpuDevice device,
            Duration interval,
            Runnable chores,
            Supplier<OptionalDouble> usedShare) {
        this.device = device;
        this.interval = interval;
        this.chores = chores;
        this.usedShare = usedShare;
        this.listeners = new PressureListeners(pool);
    }

    /** What turns used shares into levels. */
    PressureGauge gauge() {
        return gauge;
    }

    PressureListeners listeners() {
        return listeners;
    }

    /** Adds a listener, who is told from the next step on. */
    void add(PressureListener listener) {
        listeners.add(listener);
        start();
    }

    /** Does what is due. The driver is asked only if somebody listens; where it says nothing, the level stays. */
    void step() {
        chores.run();
        if (!listeners.isEmpty()) {
            usedShare.get().ifPresent(gauge::observe);
            tell();
        }
    }

    /** Starts the thread, unless it runs. */
    void start() {
        lock.lock();
        try {
            if (thread == null && !closed) {
                thread = Thread.ofPlatform()
                        .name("headroom-monitor-" + device.id())
                        .daemon()
                        .start(this::run);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Whether no further step of the thread begins. */
    boolean isStopped() {
        lock.lock();
        try {
            return closed;
        } finally {
            lock.unlock();
        }
    }

    /** The thread begins no further step, or is never started. */
    void stop() {
        lock.lock();
        try {
            closed = true;
            due.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Ends the thread. False if a listener has kept it for so long that it is left alone. */
    boolean close(Duration patience) {
        stop();
        Thread running;
        lock.lock();
        try {
            running = thread;
        } finally {
            lock.unlock();
        }
        return running == null || running.equals(Thread.currentThread()) || Patience.join(running, patience);
    }

    /** In order, and by one thread at a time; a change that comes while listeners are told is told by whoever tells them. */
    private void tell() {
        while (gauge.level() != told.get() && !telling.getAndSet(true)) {
            try {
                MemoryPressure now = gauge.level();
                MemoryPressure before = told.getAndSet(now);
                if (now != before) {
                    listeners.tell(before, now);
                }
            } finally {
                telling.set(false);
            }
        }
    }

    /** The next step is due at once; the caller may be an allocation, which waits for nobody. */
    private void changed(MemoryPressure before, MemoryPressure now, double used) {
        EVENTS.pressureChanged(device, before, now, used);
        lock.lock();
        try {
            awake = true;
            due.signal();
        } finally {
            lock.unlock();
        }
    }

    private void run() {
        while (awaitTurn()) {
            try {
                step();
            } catch (RuntimeException | Error e) {
                LOG.log(
                        System.Logger.Level.WARNING,
                        "looking after " + device + " failed; the next look is as usual",
                        e);
            }
        }
    }

    private boolean awaitTurn() {
        lock.lock();
        try {
            long left = interval.toNanos();
            while (!awake && !closed && left > 0) {
                try {
                    left = due.awaitNanos(left);
                } catch (InterruptedException e) {
                    // Nobody has a reason for it; a listener left it behind.
                }
            }
            awake = false;
            return !closed;
        } finally {
            lock.unlock();
        }
    }
}
