package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.locks.Lock;
import org.jspecify.annotations.Nullable;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkCommandBuffer;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkQueue;

/**
 * The one Vulkan queue all our copies go through. Vulkan starts what is in a queue in order, but lets it overlap; so a
 * barrier stands before each copy, behind which everything submitted earlier is finished and visible, and another one
 * behind it, for the host.
 *
 * <p>Thread-safe. The queue's lock is held while commands are recorded and submitted, never while anything is waited for.
 */
final class Submissions {

    /** Records commands. */
    @FunctionalInterface
    interface Recorder {
        void record(VkCommandBuffer commands);
    }

    /**
     * A command buffer under way.
     *
     * @param commands the buffer
     * @param number   its submission
     */
    private record Used(VkCommandBuffer commands, long number) {}

    private static final int EVERYTHING = VK10.VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    private static final int TRANSFER = VK10.VK_PIPELINE_STAGE_TRANSFER_BIT;
    private static final int HOST = VK10.VK_PIPELINE_STAGE_HOST_BIT;
    private static final int ANY_ACCESS = VK10.VK_ACCESS_MEMORY_READ_BIT | VK10.VK_ACCESS_MEMORY_WRITE_BIT;
    private static final int BY_TRANSFER = VK10.VK_ACCESS_TRANSFER_READ_BIT | VK10.VK_ACCESS_TRANSFER_WRITE_BIT;

    private final VkApi vk;
    private final VkDevice device;
    private final VkQueue queue;
    private final Lock lock;
    private final long pool;
    private final Clock clock;

    // Guarded by lock.
    private final Deque<Used> used = new ArrayDeque<>();
    private final Deque<VkCommandBuffer> idle = new ArrayDeque<>();

    private Submissions(VkApi vk, VkDevice device, VkQueue queue, Lock lock, long pool, Clock clock) {
        this.vk = vk;
        this.device = device;
        this.queue = queue;
        this.lock = lock;
        this.pool = pool;
        this.clock = clock;
    }

    /** Prepares a queue, or does nothing. */
    static Submissions open(VkApi vk, VkDevice device, VkQueue queue, int family, Lock lock, boolean timelines)
            throws DriverException {
        long[] pool = new long[1];
        VkError.require("vkCreateCommandPool", vk.createCommandPool(device, family, pool));
        Clock clock = null;
        try {
            clock = timelines ? TimelineClock.open(vk, device) : new FenceClock(vk, device);
            return new Submissions(vk, device, queue, lock, pool[0], clock);
        } finally {
            if (clock == null) {
                vk.destroyCommandPool(device, pool[0]);
            }
        }
    }

    /** The clock of the queue. */
    Clock clock() {
        return clock;
    }

    /** Submits commands and gives them a number. */
    long submit(Recorder recorder) throws DriverException {
        lock.lock();
        try {
            VkCommandBuffer commands = take();
            long number = 0;
            try {
                VkError.require("vkBeginCommandBuffer", vk.begin(commands));
                vk.barrier(commands, EVERYTHING, ANY_ACCESS, TRANSFER, BY_TRANSFER);
                recorder.record(commands);
                vk.barrier(commands, TRANSFER, VK10.VK_ACCESS_TRANSFER_WRITE_BIT, HOST, VK10.VK_ACCESS_HOST_READ_BIT);
                VkError.require("vkEndCommandBuffer", vk.end(commands));
                number = put(commands, 0, 0);
                return number;
            } finally {
                if (number == 0) {
                    idle.push(commands); // beginning it again resets it
                } else {
                    used.add(new Used(commands, number));
                }
            }
        } finally {
            lock.unlock();
        }
    }

    /** A barrier between two commands of one submission. */
    void order(VkCommandBuffer commands) {
        vk.barrier(commands, TRANSFER, BY_TRANSFER, TRANSFER, BY_TRANSFER);
    }

    /** Makes everything submitted later wait for a timeline semaphore. */
    long waitFor(long semaphore, long value) throws DriverException {
        lock.lock();
        try {
            return put(null, semaphore, value);
        } finally {
            lock.unlock();
        }
    }

    private long put(@Nullable VkCommandBuffer commands, long wait, long waitValue) throws DriverException {
        Clock.Tick tick = clock.next();
        int code = vk.submit(
                queue, new VkApi.Submission(commands, wait, waitValue, tick.semaphore(), tick.number(), tick.fence()));
        if (code != VkApi.SUCCESS) {
            clock.refused(tick);
            throw VkError.failed("vkQueueSubmit", code);
        }
        clock.submitted(tick);
        return tick.number();
    }

    /** A command buffer whose last work is finished, or a new one. */
    private VkCommandBuffer take() throws DriverException {
        VkCommandBuffer known = idle.poll();
        if (known != null) {
            return known;
        }
        Used oldest = used.peek();
        if (oldest != null && oldest.number() <= clock.completed()) {
            used.remove();
            return oldest.commands();
        }
        VkCommandBuffer[] made = new VkCommandBuffer[1];
        int code = vk.allocateCommands(device, pool, made);
        VkCommandBuffer fresh = made[0];
        if (code != VkApi.SUCCESS || fresh == null) {
            throw VkError.failed("vkAllocateCommandBuffers", code);
        }
        return fresh;
    }

    /** Whether everything submitted is finished. */
    boolean isIdle() throws DriverException {
        return clock.completed() >= clock.last();
    }

    /** Waits for a submission without a limit; an interrupt does not end the wait and stays set. */
    void awaitSurely(long number) throws DriverException {
        boolean interrupted = false;
        try {
            while (!clock.await(number, Duration.ofSeconds(1))) {
                interrupted |= Thread.interrupted();
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Lets go of everything. Nothing is under way, or the device is lost. */
    void close() {
        clock.close();
        vk.destroyCommandPool(device, pool);
    }
}
