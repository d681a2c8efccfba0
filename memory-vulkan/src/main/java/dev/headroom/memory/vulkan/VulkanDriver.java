package dev.headroom.memory.vulkan;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.Polling;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Endpoint;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.VirtualMemory;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.lwjgl.vulkan.VkInstance;

/**
 * One Vulkan device with a logical device of its own, call by call.
 *
 * <p><b>Where the host reaches device memory and can read it at speed</b> (integrated GPUs, CPUs) it is host-visible, and
 * the engine copies through a mapping. <b>Elsewhere</b> Vulkan takes no memory of the host's, so every such copy is declined
 * and goes through staging memory.
 *
 * <p>Thread-safe: Vulkan's own rules about one thread at a time are kept by {@link Submissions}, {@link VulkanBlock} and
 * {@link VulkanFence}.
 */
final class VulkanDriver implements DeviceDriver {

    private static final int WORD = Integer.BYTES;

    private final VkApi vk;
    private final OpenDevice open;
    private final Blocks blocks;
    private final Submissions submissions;
    /** Fences not yet destroyed, and what stands behind a program's queue that waits for ours. */
    private final Set<VulkanFence> fences = ConcurrentHashMap.newKeySet();

    private VulkanDriver(OpenDevice open, Submissions submissions) {
        this.vk = open.device().vk();
        this.open = open;
        this.blocks = new Blocks(open);
        this.submissions = submissions;
    }

    /** Opens a device, or nothing. */
    static VulkanDriver open(VkInstance instance, VulkanDevice device, VulkanOptions options) throws DriverException {
        OpenDevice open = OpenDevice.open(instance, device, options);
        Submissions submissions = null;
        try {
            submissions = Submissions.open(
                    device.vk(),
                    open.handle(),
                    open.ours(),
                    device.profile().queues().oursFamily(),
                    open.oursLock(),
                    options.timelines() && device.profile().raw().timelines());
            return new VulkanDriver(open, submissions);
        } finally {
            if (submissions == null) {
                device.vk().destroyDevice(open.handle());
            }
        }
    }

    @Override
    public GpuDevice device() {
        return open.device().profile().device();
    }

    @Override
    public KindTraits traits(MemoryKind kind) {
        return open.traitsOf(kind);
    }

    @Override
    public MemoryBudget budget(MemoryKind kind) {
        return blocks.budget(kind);
    }

    @Override
    public DriverBlock allocate(BlockRequest request) throws DriverException {
        return blocks.allocate(request.kind(), request.byteSize());
    }

    @Override
    public FreeOutcome free(DriverBlock block) {
        return blocks.free((VulkanBlock) block);
    }

    @Override
    public HostMapping map(DriverBlock block, long byteOffset, long byteSize, MapAccess access) throws DriverException {
        VulkanBlock ours = (VulkanBlock) block;
        return new VulkanMapping(
                ours.segment().asSlice(byteOffset, byteSize),
                ours,
                AtomRange.around(
                        byteOffset, byteSize, open.device().profile().raw().atomBytes(), ours.allocatedBytes()),
                traits(ours.kind()).coherent());
    }

    @Override
    public DriverQueue openQueue() {
        return new Lane(submissions);
    }

    @Override
    public void submit(TransferCommand command, DriverQueue queue) throws DriverException {
        Lane lane = (Lane) queue;
        switch (command) {
            case Copy(
                    InBlock(VulkanBlock source, long sourceOffset),
                    InBlock(VulkanBlock target, long targetOffset),
                    long byteSize) ->
                lane.submit(commands ->
                        vk.copy(commands, source.buffer(), target.buffer(), sourceOffset, targetOffset, byteSize));
            case Copy(Endpoint _, Endpoint _, long _) ->
                throw new DriverException(
                        DriverException.Kind.UNSUPPORTED,
                        0,
                        "vkCmdCopyBuffer",
                        "only buffers of one open device can be copied");
            case Fill(DriverBlock block, long byteOffset, long byteSize, byte value) ->
                fill(lane, ((VulkanBlock) block).buffer(), byteOffset, byteSize, value);
        }
    }

    /** Vulkan fills whole words; the bytes around them are copied from within. */
    private void fill(Lane lane, long buffer, long byteOffset, long byteSize, byte value) throws DriverException {
        long end = byteOffset + byteSize;
        long firstWord = (byteOffset + WORD - 1) & -WORD;
        long pastWords = end & -WORD;
        if (pastWords <= firstWord) {
            throw new DriverException(
                    DriverException.Kind.UNSUPPORTED, 0, "vkCmdFillBuffer", "not a single whole word to fill");
        }
        lane.submit(commands -> {
            vk.fill(commands, buffer, firstWord, pastWords - firstWord, (value & 0xFF) * 0x01010101);
            if (firstWord > byteOffset || end > pastWords) {
                submissions.order(commands);
            }
            if (firstWord > byteOffset) {
                vk.copy(commands, buffer, buffer, firstWord, byteOffset, firstWord - byteOffset);
            }
            if (end > pastWords) {
                vk.copy(commands, buffer, buffer, firstWord, pastWords, end - pastWords);
            }
        });
    }

    @Override
    public long signal(DriverQueue queue) {
        return ((Lane) queue).signal();
    }

    @Override
    public long completed(DriverQueue queue) throws DriverException {
        return ((Lane) queue).completed();
    }

    @Override
    public boolean await(DriverQueue queue, long value, Duration timeout) throws DriverException {
        return ((Lane) queue).await(value, timeout);
    }

    @Override
    public void waitFor(DriverQueue queue, DriverQueue other, long value) {
        // Both share one Vulkan queue, and whatever is submitted to it waits for all that came before.
    }

    @Override
    public void waitFor(DriverQueue queue, DriverFence fence) throws DriverException {
        ((VulkanFence) fence).holdBack((Lane) queue);
    }

    @Override
    public DriverFence record(NativeQueue queue) throws DriverException {
        return putBehind((VulkanQueue) queue, 0, 0);
    }

    @Override
    public void hold(NativeQueue queue, DriverQueue ours, long value) throws DriverException {
        long number = ((Lane) ours).numberOf(value);
        if (number == 0 || submissions.clock().completed() >= number) {
            requireOurs((VulkanQueue) queue);
            return;
        }
        long semaphore = submissions.clock().semaphore();
        if (semaphore == 0) {
            requireOurs((VulkanQueue) queue);
            submissions.awaitSurely(number);
            return;
        }
        // Known until it is over, because the semaphore it waits for is ours.
        putBehind((VulkanQueue) queue, semaphore, number).close();
    }

    /** Puts a fence behind a program's work, and perhaps a wait before whatever follows. */
    private VulkanFence putBehind(VulkanQueue queue, long wait, long waitValue) throws DriverException {
        requireOurs(queue);
        reap();
        VulkanFence fence = VulkanFence.create(vk, open.handle(), submissions);
        boolean behind = false;
        queue.lock().lock();
        try {
            VkError.require("vkQueueSubmit", vk.submit(queue.queue(), fence.behind(wait, waitValue)));
            behind = true;
            fences.add(fence);
            return fence;
        } finally {
            queue.lock().unlock();
            if (!behind) {
                fence.destroy();
            }
        }
    }

    private void requireOurs(VulkanQueue queue) {
        if (queue.queue().getDevice().address() != open.handle().address()) {
            throw new IllegalArgumentException("the queue belongs to another Vulkan device than " + device()
                    + ": take it from VulkanContext.of(pool)");
        }
        boolean known = queue.queue().address() == open.users().address();
        if (known && !queue.lock().equals(open.usersLock())) {
            throw new IllegalArgumentException("the queue of " + device()
                    + " comes with a lock that others use too: take both from VulkanContext.of(pool).queue()");
        }
    }

    /** Destroys what is closed and over. */
    private void reap() throws DriverException {
        for (VulkanFence fence : List.copyOf(fences)) {
            if (fence.reap()) {
                fences.remove(fence);
            }
        }
    }

    @Override
    public boolean awaitIdle(Duration timeout) throws DriverException {
        return Polling.await(this::isIdle, timeout);
    }

    private boolean isIdle() throws DriverException {
        reap();
        for (VulkanFence fence : fences) {
            if (!fence.isOver()) {
                return false;
            }
        }
        return submissions.isIdle();
    }

    @Override
    public Optional<VirtualMemory> virtualMemory() {
        return Optional.empty();
    }

    @Override
    public void close() {
        fences.forEach(VulkanFence::destroy);
        submissions.close();
        vk.destroyDevice(open.handle());
    }

    // For the native views.

    /** The open device. */
    OpenDevice open() {
        return open;
    }
}
