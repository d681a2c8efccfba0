package dev.headroom.memory.vulkan;

import static org.lwjgl.system.MemoryUtil.NULL;
import static org.lwjgl.vulkan.VK10.VK_SHARING_MODE_CONCURRENT;
import static org.lwjgl.vulkan.VK10.VK_SHARING_MODE_EXCLUSIVE;

import java.nio.IntBuffer;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.lwjgl.PointerBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.vulkan.VK;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VK11;
import org.lwjgl.vulkan.VK12;
import org.lwjgl.vulkan.VkBufferCopy;
import org.lwjgl.vulkan.VkBufferCreateInfo;
import org.lwjgl.vulkan.VkBufferDeviceAddressInfo;
import org.lwjgl.vulkan.VkBufferMemoryRequirementsInfo2;
import org.lwjgl.vulkan.VkCommandBuffer;
import org.lwjgl.vulkan.VkCommandBufferAllocateInfo;
import org.lwjgl.vulkan.VkCommandBufferBeginInfo;
import org.lwjgl.vulkan.VkCommandPoolCreateInfo;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkFenceCreateInfo;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkMappedMemoryRange;
import org.lwjgl.vulkan.VkMemoryAllocateFlagsInfo;
import org.lwjgl.vulkan.VkMemoryAllocateInfo;
import org.lwjgl.vulkan.VkMemoryBarrier;
import org.lwjgl.vulkan.VkMemoryDedicatedAllocateInfo;
import org.lwjgl.vulkan.VkMemoryDedicatedRequirements;
import org.lwjgl.vulkan.VkMemoryRequirements2;
import org.lwjgl.vulkan.VkPhysicalDevice;
import org.lwjgl.vulkan.VkQueue;
import org.lwjgl.vulkan.VkSemaphoreCreateInfo;
import org.lwjgl.vulkan.VkSemaphoreTypeCreateInfo;
import org.lwjgl.vulkan.VkSemaphoreWaitInfo;

/**
 * The calls, made through LWJGL. What comes before a device is made is in {@link LwjglDevices}.
 *
 * <p>Thread-safe as far as Vulkan is: the lock of a queue, of a pool and of mapped memory is the caller's business.
 */
final class LwjglVk implements VkApi {

    private LwjglVk() {}

    /** Runs LWJGL's initialisers, which may throw anything. */
    static VkApi load() {
        VK.getFunctionProvider();
        return new LwjglVk();
    }

    @Override
    public int getInstanceVersion(int[] version) {
        version[0] = VK.getInstanceVersionSupported();
        return SUCCESS;
    }

    @Override
    public int getInstanceExtensions(Set<String> names) {
        return LwjglDevices.instanceExtensions(names);
    }

    @Override
    public int getInstanceLayers(Set<String> names) {
        return LwjglDevices.instanceLayers(names);
    }

    @Override
    public int createInstance(InstanceRequest request, @Nullable VkInstance[] made) {
        return LwjglDevices.createInstance(request, made);
    }

    @Override
    public void destroyInstance(VkInstance instance) {
        LwjglDevices.destroyInstance(instance);
    }

    @Override
    public int createMessenger(VkInstance instance, Consumer<String> messages, long[] made) {
        return ValidationMessages.createMessenger(instance, messages, made);
    }

    @Override
    public void destroyMessenger(VkInstance instance, long messenger) {
        ValidationMessages.destroyMessenger(instance, messenger);
    }

    @Override
    public int getPhysicalDevices(VkInstance instance, List<VkPhysicalDevice> found) {
        return LwjglDevices.physicalDevices(instance, found);
    }

    @Override
    public int describe(VkPhysicalDevice device, int apiVersion, @Nullable RawDevice[] described) {
        return LwjglDevices.describe(device, apiVersion, described);
    }

    @Override
    public void getBudget(VkPhysicalDevice device, long[] budgets, long[] usages) {
        LwjglDevices.budget(device, budgets, usages);
    }

    @Override
    public int createDevice(VkPhysicalDevice device, DeviceRequest request, @Nullable VkDevice[] made) {
        return LwjglDevices.createDevice(device, request, made);
    }

    @Override
    public void destroyDevice(VkDevice device) {
        VK10.vkDestroyDevice(device, null);
    }

    @Override
    public VkQueue getQueue(VkDevice device, int family, int index) {
        try (NativeFrame frame = new NativeFrame()) {
            PointerBuffer queue = frame.stack().mallocPointer(1);
            VK10.vkGetDeviceQueue(device, family, index, queue);
            return new VkQueue(queue.get(0), device);
        }
    }

    @Override
    public int createBuffer(VkDevice device, long byteSize, int usage, int[] families, long[] made) {
        try (NativeFrame frame = new NativeFrame()) {
            MemoryStack stack = frame.stack();
            VkBufferCreateInfo info = VkBufferCreateInfo.calloc(stack)
                    .sType$Default()
                    .size(byteSize)
                    .usage(usage)
                    .sharingMode(families.length > 1 ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE);
            if (families.length > 1) {
                IntBuffer indices = stack.ints(families);
                info.queueFamilyIndexCount(families.length).pQueueFamilyIndices(indices);
            }
            return VK10.vkCreateBuffer(device, info, null, made);
        }
    }

    @Override
    public void destroyBuffer(VkDevice device, long buffer) {
        VK10.vkDestroyBuffer(device, buffer, null);
    }

    @Override
    public Requirements getRequirements(VkDevice device, long buffer) {
        try (NativeFrame frame = new NativeFrame()) {
            MemoryStack stack = frame.stack();
            VkMemoryDedicatedRequirements dedicated =
                    VkMemoryDedicatedRequirements.calloc(stack).sType$Default();
            VkMemoryRequirements2 all =
                    VkMemoryRequirements2.calloc(stack).sType$Default().pNext(dedicated);
            VkBufferMemoryRequirementsInfo2 info = VkBufferMemoryRequirementsInfo2.calloc(stack)
                    .sType$Default()
                    .buffer(buffer);
            VK11.vkGetBufferMemoryRequirements2(device, info, all);
            return new Requirements(
                    all.memoryRequirements().size(),
                    all.memoryRequirements().alignment(),
                    all.memoryRequirements().memoryTypeBits(),
                    dedicated.prefersDedicatedAllocation() || dedicated.requiresDedicatedAllocation());
        }
    }

    @Override
    public int allocate(VkDevice device, MemoryRequest request, long[] made) {
        try (NativeFrame frame = new NativeFrame()) {
            MemoryStack stack = frame.stack();
            VkMemoryAllocateInfo info = VkMemoryAllocateInfo.calloc(stack)
                    .sType$Default()
                    .allocationSize(request.byteSize())
                    .memoryTypeIndex(request.type());
            if (request.dedicated() != NULL) {
                info.pNext(VkMemoryDedicatedAllocateInfo.calloc(stack)
                        .sType$Default()
                        .buffer(request.dedicated()));
            }
            if (request.addressed()) {
                info.pNext(VkMemoryAllocateFlagsInfo.calloc(stack)
                        .sType$Default()
                        .flags(VK12.VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT));
            }
            return VK10.vkAllocateMemory(device, info, null, made);
        }
    }

    @Override
    public void free(VkDevice device, long memory) {
        VK10.vkFreeMemory(device, memory, null);
    }

    @Override
    public int bind(VkDevice device, long buffer, long memory) {
        return VK10.vkBindBufferMemory(device, buffer, memory, 0);
    }

    @Override
    public long getAddress(VkDevice device, long buffer) {
        try (NativeFrame frame = new NativeFrame()) {
            return VK12.vkGetBufferDeviceAddress(
                    device,
                    VkBufferDeviceAddressInfo.calloc(frame.stack())
                            .sType$Default()
                            .buffer(buffer));
        }
    }

    @Override
    public int map(VkDevice device, long memory, long[] address) {
        try (NativeFrame frame = new NativeFrame()) {
            PointerBuffer mapped = frame.stack().mallocPointer(1);
            int code = VK10.vkMapMemory(device, memory, 0, WHOLE_SIZE, 0, mapped);
            address[0] = mapped.get(0);
            return code;
        }
    }

    @Override
    public int flush(VkDevice device, long memory, long byteOffset, long byteSize) {
        try (NativeFrame frame = new NativeFrame()) {
            return VK10.vkFlushMappedMemoryRanges(device, range(frame.stack(), memory, byteOffset, byteSize));
        }
    }

    @Override
    public int invalidate(VkDevice device, long memory, long byteOffset, long byteSize) {
        try (NativeFrame frame = new NativeFrame()) {
            return VK10.vkInvalidateMappedMemoryRanges(device, range(frame.stack(), memory, byteOffset, byteSize));
        }
    }

    private static VkMappedMemoryRange range(MemoryStack stack, long memory, long byteOffset, long byteSize) {
        return VkMappedMemoryRange.calloc(stack)
                .sType$Default()
                .memory(memory)
                .offset(byteOffset)
                .size(byteSize);
    }

    @Override
    public int createCommandPool(VkDevice device, int family, long[] made) {
        try (NativeFrame frame = new NativeFrame()) {
            VkCommandPoolCreateInfo info = VkCommandPoolCreateInfo.calloc(frame.stack())
                    .sType$Default()
                    .flags(VK10.VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT
                            | VK10.VK_COMMAND_POOL_CREATE_TRANSIENT_BIT)
                    .queueFamilyIndex(family);
            return VK10.vkCreateCommandPool(device, info, null, made);
        }
    }

    @Override
    public void destroyCommandPool(VkDevice device, long pool) {
        VK10.vkDestroyCommandPool(device, pool, null);
    }

    @Override
    public int allocateCommands(VkDevice device, long pool, @Nullable VkCommandBuffer[] made) {
        try (NativeFrame frame = new NativeFrame()) {
            VkCommandBufferAllocateInfo info = VkCommandBufferAllocateInfo.calloc(frame.stack())
                    .sType$Default()
                    .commandPool(pool)
                    .level(VK10.VK_COMMAND_BUFFER_LEVEL_PRIMARY)
                    .commandBufferCount(1);
            PointerBuffer handle = frame.stack().mallocPointer(1);
            int code = VK10.vkAllocateCommandBuffers(device, info, handle);
            if (code == SUCCESS) {
                made[0] = new VkCommandBuffer(handle.get(0), device);
            }
            return code;
        }
    }

    @Override
    public int begin(VkCommandBuffer commands) {
        try (NativeFrame frame = new NativeFrame()) {
            return VK10.vkBeginCommandBuffer(
                    commands,
                    VkCommandBufferBeginInfo.calloc(frame.stack())
                            .sType$Default()
                            .flags(VK10.VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT));
        }
    }

    @Override
    public void barrier(VkCommandBuffer commands, int fromStage, int fromAccess, int toStage, int toAccess) {
        try (NativeFrame frame = new NativeFrame()) {
            VkMemoryBarrier.Buffer barrier = VkMemoryBarrier.calloc(1, frame.stack())
                    .sType$Default()
                    .srcAccessMask(fromAccess)
                    .dstAccessMask(toAccess);
            VK10.vkCmdPipelineBarrier(commands, fromStage, toStage, 0, barrier, null, null);
        }
    }

    @Override
    public void copy(
            VkCommandBuffer commands, long source, long target, long sourceOffset, long targetOffset, long byteSize) {
        try (NativeFrame frame = new NativeFrame()) {
            VkBufferCopy.Buffer region = VkBufferCopy.calloc(1, frame.stack())
                    .srcOffset(sourceOffset)
                    .dstOffset(targetOffset)
                    .size(byteSize);
            VK10.vkCmdCopyBuffer(commands, source, target, region);
        }
    }

    @Override
    public void fill(VkCommandBuffer commands, long buffer, long byteOffset, long byteSize, int word) {
        VK10.vkCmdFillBuffer(commands, buffer, byteOffset, byteSize, word);
    }

    @Override
    public int end(VkCommandBuffer commands) {
        return VK10.vkEndCommandBuffer(commands);
    }

    @Override
    public int submit(VkQueue queue, Submission submission) {
        return LwjglSubmission.submit(queue, submission);
    }

    @Override
    public int createTimeline(VkDevice device, long[] made) {
        try (NativeFrame frame = new NativeFrame()) {
            VkSemaphoreTypeCreateInfo type = VkSemaphoreTypeCreateInfo.calloc(frame.stack())
                    .sType$Default()
                    .semaphoreType(VK12.VK_SEMAPHORE_TYPE_TIMELINE);
            VkSemaphoreCreateInfo info =
                    VkSemaphoreCreateInfo.calloc(frame.stack()).sType$Default().pNext(type);
            return VK10.vkCreateSemaphore(device, info, null, made);
        }
    }

    @Override
    public void destroySemaphore(VkDevice device, long semaphore) {
        VK10.vkDestroySemaphore(device, semaphore, null);
    }

    @Override
    public int getCounter(VkDevice device, long semaphore, long[] value) {
        return VK12.vkGetSemaphoreCounterValue(device, semaphore, value);
    }

    @Override
    public int waitFor(VkDevice device, long semaphore, long value, long nanos) {
        try (NativeFrame frame = new NativeFrame()) {
            MemoryStack stack = frame.stack();
            VkSemaphoreWaitInfo info = VkSemaphoreWaitInfo.calloc(stack)
                    .sType$Default()
                    .semaphoreCount(1)
                    .pSemaphores(stack.longs(semaphore))
                    .pValues(stack.longs(value));
            return VK12.vkWaitSemaphores(device, info, nanos);
        }
    }

    @Override
    public int createFence(VkDevice device, long[] made) {
        try (NativeFrame frame = new NativeFrame()) {
            return VK10.vkCreateFence(
                    device, VkFenceCreateInfo.calloc(frame.stack()).sType$Default(), null, made);
        }
    }

    @Override
    public void destroyFence(VkDevice device, long fence) {
        VK10.vkDestroyFence(device, fence, null);
    }

    @Override
    public int getFenceStatus(VkDevice device, long fence) {
        return VK10.vkGetFenceStatus(device, fence);
    }

    @Override
    public int resetFence(VkDevice device, long fence) {
        try (NativeFrame frame = new NativeFrame()) {
            return VK10.vkResetFences(device, frame.stack().longs(fence));
        }
    }
}
