package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.lwjgl.vulkan.VkDevice;

/** The clock of a device with timeline semaphores: one semaphore, raised by one with each submission. */
final class TimelineClock implements Clock {

    private final VkApi vk;
    private final VkDevice device;
    private final long semaphore;
    private final AtomicLong reached = new AtomicLong();
    private volatile long last;

    private TimelineClock(VkApi vk, VkDevice device, long semaphore) {
        this.vk = vk;
        this.device = device;
        this.semaphore = semaphore;
    }

    static TimelineClock open(VkApi vk, VkDevice device) throws DriverException {
        return new TimelineClock(vk, device, create(vk, device));
    }

    /** Makes a timeline semaphore. */
    static long create(VkApi vk, VkDevice device) throws DriverException {
        long[] made = new long[1];
        VkError.require("vkCreateSemaphore", vk.createTimeline(device, made));
        return made[0];
    }

    /** How far a timeline semaphore is. */
    static long counter(VkApi vk, VkDevice device, long semaphore) throws DriverException {
        long[] value = new long[1];
        VkError.require("vkGetSemaphoreCounterValue", vk.getCounter(device, semaphore, value));
        return value[0];
    }

    @Override
    public Tick next() {
        return new Tick(last + 1, semaphore, 0);
    }

    @Override
    public void submitted(Tick tick) {
        last = tick.number();
    }

    @Override
    public void refused(Tick tick) {
        // The number goes to the next one.
    }

    @Override
    public long last() {
        return last;
    }

    @Override
    public long completed() throws DriverException {
        long known = reached.get();
        return known == last ? known : note(counter(vk, device, semaphore));
    }

    @Override
    public boolean await(long number, Duration timeout) throws DriverException {
        if (reached.get() >= number) {
            return true;
        }
        boolean there = Slices.await(
                nanos -> {
                    int code = vk.waitFor(device, semaphore, number, nanos);
                    if (code != VkApi.TIMEOUT) {
                        VkError.require("vkWaitSemaphores", code);
                    }
                    return code == VkApi.SUCCESS;
                },
                timeout);
        if (there) {
            note(number);
        }
        return there;
    }

    private long note(long number) {
        return reached.accumulateAndGet(number, Math::max);
    }

    @Override
    public long semaphore() {
        return semaphore;
    }

    @Override
    public void close() {
        vk.destroySemaphore(device, semaphore);
    }
}
