package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.Polling;
import java.time.Duration;
import org.lwjgl.vulkan.VkDevice;

/**
 * Our event behind work in a program's queue: a timeline semaphore, or a fence. Vulkan wants neither destroyed while the
 * work, or a wait of ours, still needs it; so it is closed in two steps, and the driver does the second.
 *
 * <p>Thread-safe.
 */
final class VulkanFence implements DriverFence {

    /** The value a semaphore is raised to. */
    static final long SIGNALLED = 1;

    private final VkApi vk;
    private final VkDevice device;
    private final Submissions submissions;
    private final long semaphore;
    private final long fence;
    private volatile boolean done;
    private volatile boolean closed;
    private volatile long neededUntil;
    private boolean destroyed; // guarded by this

    private VulkanFence(VkApi vk, VkDevice device, Submissions submissions, long semaphore, long fence) {
        this.vk = vk;
        this.device = device;
        this.submissions = submissions;
        this.semaphore = semaphore;
        this.fence = fence;
    }

    /** Makes one that nothing stands behind yet. */
    static VulkanFence create(VkApi vk, VkDevice device, Submissions submissions) throws DriverException {
        return submissions.clock().semaphore() != 0
                ? new VulkanFence(vk, device, submissions, TimelineClock.create(vk, device), 0)
                : new VulkanFence(vk, device, submissions, 0, FenceClock.create(vk, device));
    }

    /** What signals it: a batch without work, behind everything in its queue. */
    VkApi.Submission behind(long wait, long waitValue) {
        return new VkApi.Submission(null, wait, waitValue, semaphore, SIGNALLED, fence);
    }

    @Override
    public boolean done() throws DriverException {
        // One that is closed may be destroyed, and nobody waits for it any more.
        return done || closed || isReached();
    }

    private synchronized boolean isReached() throws DriverException {
        if (!done && !destroyed) {
            done = semaphore != 0
                    ? TimelineClock.counter(vk, device, semaphore) >= SIGNALLED
                    : FenceClock.isReached(vk, device, fence);
        }
        return done || destroyed;
    }

    @Override
    public boolean await(Duration timeout) throws DriverException {
        return Polling.await(this::done, timeout);
    }

    /** Makes a queue of ours wait for it, on the device if that can. The engine keeps it open meanwhile. */
    void holdBack(Lane lane) throws DriverException {
        if (done()) {
            return;
        }
        if (semaphore != 0) {
            neededUntil = Math.max(neededUntil, lane.waitFor(semaphore, SIGNALLED));
            return;
        }
        boolean interrupted = false;
        while (!await(Duration.ofSeconds(1))) {
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        closed = true;
    }

    /** Destroys it if it is closed and nothing needs it any more. True once it is destroyed. */
    boolean reap() throws DriverException {
        if (!closed || !isReached() || submissions.clock().completed() < neededUntil) {
            return false;
        }
        destroy();
        return true;
    }

    /** Whether the work before it is finished, closed or not. */
    boolean isOver() throws DriverException {
        return isReached();
    }

    /** Destroys it. Nothing is under way, or the device is lost. */
    synchronized void destroy() {
        if (destroyed) {
            return;
        }
        destroyed = true;
        if (semaphore != 0) {
            vk.destroySemaphore(device, semaphore);
        } else {
            vk.destroyFence(device, fence);
        }
    }
}
