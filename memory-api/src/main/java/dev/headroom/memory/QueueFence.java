package dev.headroom.memory;

import java.time.Duration;

/**
 * A point in a user's queue: done once all work submitted before it has finished. The fence is Headroom's own event; the
 * user's queue may be destroyed before it. Safe for use by several threads.
 */
public interface QueueFence {

    /**
     * Whether the work is finished. Never blocks.
     *
     * @return true once done
     */
    boolean isDone();

    /**
     * Waits for the work.
     *
     * @param timeout how long at most
     * @return true if it finished in time
     * @throws DeviceLostException if the device is lost
     */
    boolean await(Duration timeout);
}
