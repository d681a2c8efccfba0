package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * One of our queues as the engine sees it. All of them share one Vulkan queue, because devices have few; a signal is a
 * number that stands for the last submission before it. So a signal calls no driver and cannot fail.
 *
 * <p>Thread-safe. The lock guards the books only; no driver is called under it.
 */
final class Lane implements DriverQueue {

    /**
     * A signal.
     *
     * @param value  its value
     * @param number the submission it stands behind
     */
    private record Mark(long value, long number) {}

    private final Submissions submissions;
    private final Object lock = new Object();

    // Guarded by lock.
    private final Deque<Mark> pending = new ArrayDeque<>();
    private long lastNumber;
    private long signalled;
    private long reached;

    Lane(Submissions submissions) {
        this.submissions = submissions;
    }

    /** Submits commands. */
    void submit(Submissions.Recorder recorder) throws DriverException {
        note(submissions.submit(recorder));
    }

    /** Makes what is submitted later wait for a timeline semaphore. Returns the submission that waits. */
    long waitFor(long semaphore, long value) throws DriverException {
        long number = submissions.waitFor(semaphore, value);
        note(number);
        return number;
    }

    private void note(long number) {
        synchronized (lock) {
            lastNumber = Math.max(lastNumber, number);
        }
    }

    /** Marks the end of what was submitted. */
    long signal() {
        synchronized (lock) {
            pending.add(new Mark(++signalled, lastNumber));
            return signalled;
        }
    }

    /** The highest signal reached. */
    long completed() throws DriverException {
        long number = isQuiet() ? 0 : submissions.clock().completed();
        return reachedAt(number);
    }

    /** Waits for a signal. */
    boolean await(long value, Duration timeout) throws DriverException {
        long number = numberOf(value);
        if (number != 0 && !submissions.clock().await(number, timeout)) {
            return false;
        }
        reachedAt(number);
        return true;
    }

    /** The submission a signal stands behind, 0 if it is known to be finished. */
    long numberOf(long value) {
        synchronized (lock) {
            for (Mark mark : pending) {
                if (mark.value() >= value) {
                    return mark.number();
                }
            }
            return 0;
        }
    }

    private boolean isQuiet() {
        synchronized (lock) {
            Mark next = pending.peek();
            return next == null || next.number() == 0;
        }
    }

    private long reachedAt(long number) {
        synchronized (lock) {
            for (Mark next = pending.peek(); next != null && next.number() <= number; next = pending.peek()) {
                reached = next.value();
                pending.remove();
            }
            return reached;
        }
    }

    @Override
    public void close() {
        // The Vulkan queue behind it is the device's.
    }
}
