package dev.headroom.memory.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Locale;
import org.lwjgl.PointerBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VkApplicationInfo;
import org.lwjgl.vulkan.VkBufferCopy;
import org.lwjgl.vulkan.VkBufferCreateInfo;
import org.lwjgl.vulkan.VkCommandBuffer;
import org.lwjgl.vulkan.VkCommandBufferAllocateInfo;
import org.lwjgl.vulkan.VkCommandBufferBeginInfo;
import org.lwjgl.vulkan.VkCommandPoolCreateInfo;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkDeviceCreateInfo;
import org.lwjgl.vulkan.VkDeviceQueueCreateInfo;
import org.lwjgl.vulkan.VkFenceCreateInfo;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkInstanceCreateInfo;
import org.lwjgl.vulkan.VkMemoryAllocateInfo;
import org.lwjgl.vulkan.VkMemoryRequirements;
import org.lwjgl.vulkan.VkPhysicalDevice;
import org.lwjgl.vulkan.VkQueue;
import org.lwjgl.vulkan.VkSubmitInfo;

/**
 * How fast the tail of a file reaches fresh memory of the first Vulkan device through a ring of staging memory, written by hand and
 * without Headroom: what a staged load is measured against. On a device with one type of memory, such as lavapipe. Run by
 * {@code scripts/load-rate}; prints the seconds.
 */
final class VulkanStagingRate {

    // As Headroom's own ring is by default.
    private static final int PIECE = 4 << 20;
    private static final int SLOTS = 4;

    private final VkDevice device;
    private final VkQueue queue;
    private final long pool;

    private VulkanStagingRate(VkDevice device, VkQueue queue, long pool) {
        this.device = device;
        this.queue = queue;
        this.pool = pool;
    }

    public static void main(String[] args) throws IOException {
        try (FileChannel file = FileChannel.open(Path.of(args[0]));
                Arena arena = Arena.ofShared()) {
            long bytes = Long.parseLong(args[1]);
            MemorySegment all = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size(), arena);
            System.out.printf(Locale.ROOT, "%.9f%n", open().seconds(all.asSlice(all.byteSize() - bytes)));
        }
        System.exit(0); // what is open is the operating system's
    }

    private static VulkanStagingRate open() {
        try (MemoryStack stack = MemoryStack.stackPush()) {
            VkInstanceCreateInfo info = VkInstanceCreateInfo.calloc(stack)
                    .sType$Default()
                    .pApplicationInfo(
                            VkApplicationInfo.calloc(stack).sType$Default().apiVersion(VK10.VK_API_VERSION_1_0));
            PointerBuffer handle = stack.mallocPointer(1);
            check(VK10.vkCreateInstance(info, null, handle));
            VkInstance instance = new VkInstance(handle.get(0), info);
            VK10.vkEnumeratePhysicalDevices(instance, new int[] {1}, handle);
            VkPhysicalDevice physical = new VkPhysicalDevice(handle.get(0), instance);
            VkDeviceQueueCreateInfo.Buffer queues =
                    VkDeviceQueueCreateInfo.calloc(1, stack).sType$Default().pQueuePriorities(stack.floats(1));
            VkDeviceCreateInfo wanted =
                    VkDeviceCreateInfo.calloc(stack).sType$Default().pQueueCreateInfos(queues);
            check(VK10.vkCreateDevice(physical, wanted, null, handle));
            VkDevice device = new VkDevice(handle.get(0), physical, wanted);
            VK10.vkGetDeviceQueue(device, 0, 0, handle);
            VkQueue queue = new VkQueue(handle.get(0), device);
            long[] pool = new long[1];
            check(VK10.vkCreateCommandPool(
                    device,
                    VkCommandPoolCreateInfo.calloc(stack)
                            .sType$Default()
                            .flags(VK10.VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT),
                    null,
                    pool));
            return new VulkanStagingRate(device, queue, pool[0]);
        }
    }

    /**
     * A buffer.
     *
     * @param handle the buffer
     * @param memory its memory
     */
    private record Made(long handle, long memory) {}

    private Made make(long byteSize) {
        try (MemoryStack stack = MemoryStack.stackPush()) {
            long[] buffer = new long[1];
            check(VK10.vkCreateBuffer(
                    device,
                    VkBufferCreateInfo.calloc(stack)
                            .sType$Default()
                            .size(byteSize)
                            .usage(VK10.VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK10.VK_BUFFER_USAGE_TRANSFER_DST_BIT),
                    null,
                    buffer));
            VkMemoryRequirements needs = VkMemoryRequirements.calloc(stack);
            VK10.vkGetBufferMemoryRequirements(device, buffer[0], needs);
            long[] memory = new long[1];
            check(VK10.vkAllocateMemory(
                    device,
                    VkMemoryAllocateInfo.calloc(stack).sType$Default().allocationSize(needs.size()),
                    null,
                    memory));
            check(VK10.vkBindBufferMemory(device, buffer[0], memory[0], 0));
            return new Made(buffer[0], memory[0]);
        }
    }

    @SuppressWarnings("restricted")
    private MemorySegment map(Made made, long byteSize) {
        try (MemoryStack stack = MemoryStack.stackPush()) {
            PointerBuffer address = stack.mallocPointer(1);
            check(VK10.vkMapMemory(device, made.memory(), 0, VK10.VK_WHOLE_SIZE, 0, address));
            return MemorySegment.ofAddress(address.get(0)).reinterpret(byteSize);
        }
    }

    private double seconds(MemorySegment source) {
        Made target = make(source.byteSize());
        Made staging = make((long) SLOTS * PIECE);
        MemorySegment slots = map(staging, (long) SLOTS * PIECE);
        VkCommandBuffer[] commands = new VkCommandBuffer[SLOTS];
        long[] fences = new long[SLOTS];
        try (MemoryStack stack = MemoryStack.stackPush()) {
            PointerBuffer handles = stack.mallocPointer(SLOTS);
            check(VK10.vkAllocateCommandBuffers(
                    device,
                    VkCommandBufferAllocateInfo.calloc(stack)
                            .sType$Default()
                            .commandPool(pool)
                            .commandBufferCount(SLOTS),
                    handles));
            long[] fence = new long[1];
            for (int i = 0; i < SLOTS; i++) {
                commands[i] = new VkCommandBuffer(handles.get(i), device);
                check(VK10.vkCreateFence(
                        device,
                        VkFenceCreateInfo.calloc(stack).sType$Default().flags(VK10.VK_FENCE_CREATE_SIGNALED_BIT),
                        null,
                        fence));
                fences[i] = fence[0];
            }
        }
        long start = System.nanoTime();
        for (long done = 0; done < source.byteSize(); done += PIECE) {
            int slot = (int) (done / PIECE % SLOTS);
            long part = Math.min(PIECE, source.byteSize() - done);
            check(VK10.vkWaitForFences(device, fences[slot], true, -1));
            check(VK10.vkResetFences(device, fences[slot]));
            MemorySegment.copy(source, done, slots, (long) slot * PIECE, part);
            submit(commands[slot], fences[slot], staging, (long) slot * PIECE, target, done, part);
        }
        check(VK10.vkWaitForFences(device, fences, true, -1));
        double seconds = (System.nanoTime() - start) / 1e9;
        if (map(target, source.byteSize()).mismatch(source) != -1) {
            throw new IllegalStateException("the copy differs");
        }
        VK10.vkFreeMemory(device, target.memory(), null);
        VK10.vkDestroyBuffer(device, target.handle(), null);
        return seconds;
    }

    private void submit(
            VkCommandBuffer commands, long fence, Made from, long fromOffset, Made to, long toOffset, long byteSize) {
        try (MemoryStack stack = MemoryStack.stackPush()) {
            check(VK10.vkBeginCommandBuffer(
                    commands, VkCommandBufferBeginInfo.calloc(stack).sType$Default()));
            VK10.vkCmdCopyBuffer(
                    commands,
                    from.handle(),
                    to.handle(),
                    VkBufferCopy.calloc(1, stack)
                            .srcOffset(fromOffset)
                            .dstOffset(toOffset)
                            .size(byteSize));
            check(VK10.vkEndCommandBuffer(commands));
            check(VK10.vkQueueSubmit(
                    queue,
                    VkSubmitInfo.calloc(stack).sType$Default().pCommandBuffers(stack.pointers(commands)),
                    fence));
        }
    }

    private static void check(int code) {
        if (code != VK10.VK_SUCCESS) {
            throw new IllegalStateException("Vulkan answers " + code);
        }
    }
}
