package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.Polling;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import org.lwjgl.vulkan.VkDevice;

/**
 * The clock of a device without timeline semaphores: a fence for each submission, used again once it was reached.
 *
 * <p>Fences are asked and reset under the lock of the books, so that nobody asks one that has gone to another submission.
 * Neither call waits.
 */
final class FenceClock implements Clock {

    private final VkApi vk;
    private final VkDevice device;
    private final Object lock = new Object();

    // Guarded by lock.
    private final Deque<Tick> pending = new ArrayDeque<>();
    private final Deque<Long> idle = new ArrayDeque<>();
    private long last;
    private long reached;

    FenceClock(VkApi vk, VkDevice device) {
        this.vk = vk;
        this.device = device;
    }

    @Override
    public Tick next() throws DriverException {
        synchronized (lock) {
            Long known = idle.poll();
            return new Tick(last + 1, 0, known == null ? create(vk, device) : known);
        }
    }

    /** Makes a fence. */
    static long create(VkApi vk, VkDevice device) throws DriverException {
        long[] made = new long[1];
        VkError.require("vkCreateFence", vk.createFence(device, made));
        return made[0];
    }

    /** Whether a fence has been reached. */
    static boolean isReached(VkApi vk, VkDevice device, long fence) throws DriverException {
        int status = vk.getFenceStatus(device, fence);
        if (status != VkApi.NOT_READY) {
            VkError.require("vkGetFenceStatus", status);
        }
        return status == VkApi.SUCCESS;
    }

    @Override
    public void submitted(Tick tick) {
        synchronized (lock) {
            last = tick.number();
            pending.add(tick);
        }
    }

    @Override
    public void refused(Tick tick) {
        synchronized (lock) {
            idle.push(tick.fence());
        }
    }

    @Override
    public long last() {
        synchronized (lock) {
            return last;
        }
    }

    @Override
    public long completed() throws DriverException {
        synchronized (lock) {
            while (true) {
                Tick oldest = pending.peek();
                if (oldest == null || !isReached(vk, device, oldest.fence())) {
                    return reached;
                }
                pending.remove();
                reached = oldest.number();
                recycle(oldest.fence());
            }
        }
    }

    /** A fence that cannot be reset is of no use any more. */
    private void recycle(long fence) {
        if (vk.resetFence(device, fence) == VkApi.SUCCESS) {
            idle.push(fence);
        } else {
            vk.destroyFence(device, fence);
        }
    }

    @Override
    public boolean await(long number, Duration timeout) throws DriverException {
        return Polling.await(() -> completed() >= number, timeout);
    }

    @Override
    public long semaphore() {
        return 0;
    }

    @Override
    public void close() {
        synchronized (lock) {
            pending.forEach(tick -> vk.destroyFence(device, tick.fence()));
            idle.forEach(fence -> vk.destroyFence(device, fence));
            pending.clear();
            idle.clear();
        }
    }
}
