package dev.headroom.memory.engine;

import dev.headroom.memory.GpuMemoryException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Completes the futures of transfers. One daemon thread per open device, started on the first asynchronous call; it waits for
 * the oldest transfer and runs what belongs to finished ones, but never a user's continuation: those run on virtual threads.
 * A single {@link #step} can be driven by hand, which is how simulated devices run without the thread.
 */
final class CompletionPump {

    /** How long one wait lasts before the pump looks around again. */
    private static final Duration WAIT = Duration.ofMillis(20);

    /**
     * A transfer under way, or a part of one.
     *
     * @param point  its end on the device
     * @param finish what is left to do then; told why, if it will never end well
     */
    private record Transfer(Point.OnQueue point, Consumer<@Nullable GpuMemoryException> finish) {}

    private final DeviceSession session;
    private final Waiter waiter;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final ArrayDeque<Transfer> underWay = new ArrayDeque<>();
    private @Nullable Thread thread;
    private boolean closed;

    CompletionPump(DeviceSession session, Waiter waiter) {
        this.session = session;
        this.waiter = waiter;
    }

    /**
     * Takes over a transfer, or a part of one.
     *
     * @param point  its end on the device
     * @param finish what is left to do then, such as copying out of staging memory; told why, if it will never end well. It
     *               must not throw
     */
    void add(Point.OnQueue point, Consumer<@Nullable GpuMemoryException> finish) {
        lock.lock();
        try {
            underWay.add(new Transfer(point, finish));
            if (thread == null && !closed) {
                thread = Thread.ofPlatform()
                        .name("headroom-pump-" + session.device().id())
                        .daemon()
                        .start(this::run);
            }
            changed.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Completes whatever is finished. Never blocks. Returns how many transfers that were. */
    int step() {
        int count = 0;
        for (Transfer transfer = oldest(); transfer != null; transfer = oldest()) {
            GpuMemoryException loss = null;
            try {
                session.requireAlive();
                if (!waiter.isDone(transfer.point())) {
                    break;
                }
            } catch (GpuMemoryException e) {
                loss = e;
            }
            end(transfer, loss);
            count++;
        }
        return count;
    }

    /** Ends the thread. Transfers still under way fail. The caller has waited for the device. */
    void close() {
        Thread running;
        lock.lock();
        try {
            closed = true;
            running = thread;
            changed.signal();
        } finally {
            lock.unlock();
        }
        joinUninterruptibly(running);
        step();
        for (Transfer transfer = oldest(); transfer != null; transfer = oldest()) {
            end(transfer, new GpuMemoryException(session.device() + " was closed before the transfer ended"));
        }
    }

    private void run() {
        while (true) {
            step();
            Transfer next = awaitWork();
            if (next == null) {
                return;
            }
            try {
                waiter.await(next.point(), WAIT);
            } catch (GpuMemoryException e) {
                // lost: the next step tells everybody
            }
        }
    }

    private @Nullable Transfer awaitWork() {
        lock.lock();
        try {
            while (underWay.isEmpty() && !closed) {
                changed.awaitUninterruptibly();
            }
            return closed ? null : underWay.peek();
        } finally {
            lock.unlock();
        }
    }

    private @Nullable Transfer oldest() {
        lock.lock();
        try {
            return underWay.peek();
        } finally {
            lock.unlock();
        }
    }

    private void end(Transfer transfer, @Nullable GpuMemoryException failure) {
        lock.lock();
        try {
            if (!transfer.equals(underWay.peek())) {
                return; // another step was faster
            }
            underWay.poll();
        } finally {
            lock.unlock();
        }
        transfer.finish().accept(failure);
    }

    /** Ends a future, on a thread that may run what users attached to it. */
    static void complete(CompletableFuture<Void> future, @Nullable Throwable failure) {
        Thread.startVirtualThread(() -> {
            if (failure == null) {
                future.complete(null);
            } else {
                future.completeExceptionally(failure);
            }
        });
    }

    private static void joinUninterruptibly(@Nullable Thread running) {
        boolean interrupted = false;
        while (running != null && !running.equals(Thread.currentThread()) && running.isAlive()) {
            try {
                running.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
