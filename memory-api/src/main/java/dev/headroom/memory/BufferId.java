package dev.headroom.memory;

import java.util.concurrent.atomic.AtomicLong;

/**
 * The name of a buffer: a number that no other buffer of this process has had or will have.
 *
 * <p>Numbers start at 1 and increase; a larger number was drawn later. They have no meaning outside the process.
 *
 * <p>Threads: immutable; {@link #next()} may be called from any thread.
 *
 * @param value the number, 1 or more
 */
public record BufferId(long value) implements Comparable<BufferId> {
    private static final AtomicLong LAST = new AtomicLong();

    /**
     * Names a buffer by its number, for example one read from a log.
     *
     * @throws IllegalArgumentException if {@code value} is less than 1
     */
    public BufferId {
        if (value < 1) {
            throw new IllegalArgumentException("value is " + value + ": allowed are 1 or more");
        }
    }

    /**
     * Draws the next unused number of this process.
     *
     * @return an id that was never returned before
     */
    public static BufferId next() {
        return new BufferId(LAST.incrementAndGet());
    }

    /** Orders ids by the time they were drawn. */
    @Override
    public int compareTo(BufferId other) {
        return Long.compare(value, other.value);
    }

    /**
     * The id as it stands in logs and messages.
     *
     * @return {@code Buffer#} and the number
     */
    @Override
    public String toString() {
        return "Buffer#" + value;
    }
}
