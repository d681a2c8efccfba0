package dev.headroom.memory.sim;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Work that runs in order on virtual time: what a queue is inside, ours or a user's. It also knows which points of
 * other timelines its work comes after, because only that orders two queues; that one happened to be faster does not.
 * Guarded by the lock of the clock.
 */
final class Timeline {

    /** A place in a timeline, and what work behind it comes after. */
    record Point(Timeline timeline, long sequence, Map<Timeline, Long> known) {
        boolean reached() {
            return timeline.finished >= sequence;
        }
    }

    /** A range that a piece of pending work touches. */
    record Use(SimulatedBlock block, long byteOffset, long byteSize, boolean writes, String what) {
        boolean conflictsWith(Use other) {
            return (writes || other.writes) && overlaps(other.byteOffset, other.byteSize);
        }

        boolean overlaps(long otherOffset, long otherSize) {
            return byteOffset < otherOffset + otherSize && otherOffset < byteOffset + byteSize;
        }
    }

    /** A use and the place of its work. */
    record PendingUse(Use use, Timeline timeline, long sequence) {}

    private sealed interface Task {}

    private record Work(long nanos, List<PendingUse> uses, Runnable effect) implements Task {}

    private record Wait(Point point) implements Task {}

    private final VirtualClock clock;
    private final ArrayDeque<Task> tasks = new ArrayDeque<>();
    private final Map<Timeline, Long> known = new HashMap<>();
    private final TreeMap<Long, Point> signals = new TreeMap<>();
    private final Set<Timeline> dependents = new LinkedHashSet<>();
    private long submitted;
    private long finished;
    private long lastSignal;
    private long reachedSignal;
    private boolean running;
    private boolean cancelled;

    Timeline(VirtualClock clock) {
        this.clock = clock;
    }

    /** Whether work submitted now comes after some pending work elsewhere. */
    boolean comesAfter(PendingUse pending) {
        return pending.timeline() == this || known.getOrDefault(pending.timeline(), 0L) >= pending.sequence();
    }

    /** Adds a piece of work. */
    void submit(long nanos, List<Use> uses, Runnable effect) {
        if (cancelled) {
            return; // the device was lost while another thread was on its way here
        }
        submitted++;
        List<PendingUse> pending = new ArrayList<>(uses.size());
        for (Use use : uses) {
            PendingUse entry = new PendingUse(use, this, submitted);
            use.block().pending.add(entry);
            pending.add(entry);
        }
        tasks.add(new Work(nanos, pending, effect));
        step();
    }

    /** Makes later work wait. */
    void waitFor(Point point) {
        known.merge(point.timeline(), point.sequence(), Math::max);
        point.known().forEach((timeline, sequence) -> known.merge(timeline, sequence, Math::max));
        if (cancelled || point.reached()) {
            return;
        }
        submitted++;
        tasks.add(new Wait(point));
        step();
    }

    /** The present end. */
    Point end() {
        known.entrySet().removeIf(entry -> entry.getKey().finished >= entry.getValue());
        return new Point(this, submitted, Map.copyOf(known));
    }

    long signal() {
        signals.put(++lastSignal, end());
        return lastSignal;
    }

    long lastSignal() {
        return lastSignal;
    }

    /** The point of a signal; of one long reached, a point that is reached too. */
    Point pointOf(long signal) {
        completed();
        return signals.getOrDefault(signal, new Point(this, 0, Map.of()));
    }

    long completed() {
        while (!signals.isEmpty() && signals.firstEntry().getValue().reached()) {
            reachedSignal = signals.pollFirstEntry().getKey();
        }
        return reachedSignal;
    }

    boolean isIdle() {
        return tasks.isEmpty();
    }

    /** Drops everything pending: its device is gone. */
    void cancel() {
        cancelled = true;
        for (Task task : tasks) {
            if (task instanceof Work work) {
                forget(work);
            }
        }
        tasks.clear();
    }

    private void step() {
        while (!running && !cancelled && !tasks.isEmpty()) {
            switch (tasks.getFirst()) {
                case Wait(Point point) -> {
                    if (!point.reached()) {
                        point.timeline().dependents.add(this);
                        return;
                    }
                    finish();
                }
                case Work work -> {
                    running = true;
                    clock.plan(work.nanos(), () -> complete(work));
                }
            }
        }
    }

    private void complete(Work work) {
        running = false;
        if (cancelled) {
            return;
        }
        try {
            work.effect().run();
        } finally {
            forget(work);
            finish();
            step();
        }
    }

    private void finish() {
        tasks.removeFirst();
        finished++;
        List<Timeline> waiting = List.copyOf(dependents);
        dependents.clear();
        waiting.forEach(Timeline::step);
    }

    private static void forget(Work work) {
        work.uses().forEach(use -> use.use().block().pending.remove(use));
    }
}
