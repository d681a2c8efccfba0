package dev.headroom.examples.matmul;

import static dev.headroom.examples.matmul.KernelSource.TILE;
import static dev.headroom.examples.matmul.KernelSource.tiles;
import static org.lwjgl.system.MemoryStack.stackPush;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.vulkan.VulkanBuffer;
import dev.headroom.memory.vulkan.VulkanContext;
import dev.headroom.memory.vulkan.VulkanQueue;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkPhysicalDeviceLimits;
import org.lwjgl.vulkan.VkPhysicalDeviceProperties;
import org.lwjgl.vulkan.VkSubmitInfo;

/** The kernel through LWJGL, on the device the pool's memory lives in. */
final class VulkanMatmul implements MatmulKernels {

    /** What the device can do. Vulkan's numbers are unsigned. */
    private record Limits(long bindingBytes, long groupSize, long groupsAcross, long groupsDown) {}

    /** A recorded launch, and when its command buffer and descriptors may be used again. */
    private record InFlight(VulkanLaunch launch, QueueFence fence) {}

    private final VulkanQueue queue;
    private final VulkanPipeline pipeline;
    private final Limits limits;
    // Guarded by this.
    private final ArrayDeque<InFlight> inFlight = new ArrayDeque<>(); // the oldest first
    private final List<VulkanLaunch> launches = new ArrayList<>(); // all there are

    private VulkanMatmul(VulkanQueue queue, VulkanPipeline pipeline, Limits limits) {
        this.queue = queue;
        this.pipeline = pipeline;
        this.limits = limits;
    }

    /** Compiles the kernel for the device of a Vulkan pool. */
    static VulkanMatmul of(GpuMemoryPool pool) {
        VulkanContext context = VulkanContext.of(pool);
        Limits limits = limits(context);
        if (limits.groupSize() < TILE * TILE) {
            throw new KernelFailedException("the device runs " + limits.groupSize()
                    + " invocations in a group, and the kernel needs " + TILE * TILE);
        }
        return new VulkanMatmul(context.queue(), VulkanPipeline.of(context), limits);
    }

    private static Limits limits(VulkanContext context) {
        try (MemoryStack stack = stackPush()) {
            VkPhysicalDeviceProperties properties = VkPhysicalDeviceProperties.calloc(stack);
            VK10.vkGetPhysicalDeviceProperties(context.physicalDevice(), properties);
            VkPhysicalDeviceLimits all = properties.limits();
            return new Limits(
                    Integer.toUnsignedLong(all.maxStorageBufferRange()),
                    Integer.toUnsignedLong(all.maxComputeWorkGroupInvocations()),
                    Integer.toUnsignedLong(all.maxComputeWorkGroupCount(0)),
                    Integer.toUnsignedLong(all.maxComputeWorkGroupCount(1)));
        }
    }

    /** A kernel can bind only so much of a buffer at once; some devices say 128 MiB. */
    @Override
    public boolean supports(MatmulShape shape) {
        long largest = Math.max(shape.sizeOfA(), Math.max(shape.sizeOfB(), shape.sizeOfC()));
        return largest * Float.BYTES <= limits.bindingBytes()
                && tiles(shape.n()) <= limits.groupsAcross()
                && tiles(shape.m()) <= limits.groupsDown();
    }

    @Override
    public synchronized QueueFence launch(MatmulShape shape, DeviceBuffer a, DeviceBuffer b, DeviceBuffer c) {
        VulkanLaunch launch = idleLaunch();
        try (VulkanBuffer viewOfA = VulkanBuffer.of(a);
                VulkanBuffer viewOfB = VulkanBuffer.of(b);
                VulkanBuffer viewOfC = VulkanBuffer.of(c)) {
            launch.bind(viewOfA, viewOfB, viewOfC);
            launch.record(shape);
            a.waitOn(queue); // the kernel waits for our copies
            b.waitOn(queue);
            c.waitOn(queue);
            submit(launch);
            a.usedOn(queue); // and later copies, reuse and close wait for the kernel
            b.usedOn(queue);
            QueueFence fence = c.usedOn(queue);
            inFlight.addLast(new InFlight(launch, fence));
            return fence;
        }
    }

    /** One whose kernel is through, or another one: Vulkan reads them until then. */
    private VulkanLaunch idleLaunch() {
        InFlight oldest = inFlight.peekFirst();
        if (oldest != null && oldest.fence().isDone()) {
            inFlight.removeFirst();
            return oldest.launch();
        }
        VulkanLaunch another = VulkanLaunch.of(pipeline);
        launches.add(another);
        return another;
    }

    private void submit(VulkanLaunch launch) {
        try (MemoryStack stack = stackPush()) {
            VkSubmitInfo submission =
                    VkSubmitInfo.calloc(stack).sType$Default().pCommandBuffers(stack.pointers(launch.commands()));
            queue.lock().lock();
            try {
                VulkanCalls.check("vkQueueSubmit", VK10.vkQueueSubmit(queue.queue(), submission, 0));
            } finally {
                queue.lock().unlock();
            }
        }
    }

    @Override
    public synchronized void close() {
        queue.lock().lock();
        try {
            VK10.vkQueueWaitIdle(queue.queue()); // whatever it says, nothing runs behind it
        } finally {
            queue.lock().unlock();
        }
        launches.forEach(VulkanLaunch::close);
        pipeline.close();
    }
}
