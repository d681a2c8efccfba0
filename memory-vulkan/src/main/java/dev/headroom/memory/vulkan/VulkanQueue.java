package dev.headroom.memory.vulkan;

import dev.headroom.memory.NativeQueue;
import java.util.Objects;
import java.util.concurrent.locks.Lock;
import org.lwjgl.vulkan.VkQueue;

/**
 * A queue that a program's kernels run in, for {@code buffer.waitOn(queue)} before a kernel and {@code buffer.usedOn(queue)}
 * behind it. Both submit to it, and Vulkan allows one thread at a time to do so: every submission to the queue, the
 * program's own too, holds its lock. Headroom holds it for as long as one call takes, never while it waits. It must belong
 * to the device of the buffer's pool: see {@link VulkanContext}. Immutable; may be used by several threads.
 */
public final class VulkanQueue implements NativeQueue {

    private final VkQueue queue;
    private final Lock lock;

    private VulkanQueue(VkQueue queue, Lock lock) {
        this.queue = queue;
        this.lock = lock;
    }

    /**
     * Wraps a queue.
     *
     * @param queue the queue
     * @param lock  what every thread holds that submits to it; {@link VulkanContext#queue()} has that of Headroom's own
     * @return the wrapper
     */
    public static VulkanQueue of(VkQueue queue, Lock lock) {
        return new VulkanQueue(Objects.requireNonNull(queue, "queue"), Objects.requireNonNull(lock, "lock"));
    }

    @Override
    public String backend() {
        return VulkanBackend.NAME;
    }

    /**
     * The queue.
     *
     * @return what {@link #of} was given
     */
    public VkQueue queue() {
        return queue;
    }

    /**
     * The lock of the queue.
     *
     * @return the lock, to be held around each {@code vkQueueSubmit} and {@code vkQueueWaitIdle}
     */
    public Lock lock() {
        return lock;
    }
}
