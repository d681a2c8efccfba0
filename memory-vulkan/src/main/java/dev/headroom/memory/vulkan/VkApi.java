package dev.headroom.memory.vulkan;

import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.lwjgl.vulkan.VkCommandBuffer;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkPhysicalDevice;
import org.lwjgl.vulkan.VkQueue;

/**
 * The Vulkan calls this backend makes, one method each, so that a test can make any of them fail. Where the call has a
 * code, the method returns it; what else it gives means nothing unless that is {@link #SUCCESS}. No method throws.
 */
interface VkApi {

    /** {@code VK_SUCCESS}. */
    int SUCCESS = 0;

    /** {@code VK_NOT_READY}: a fence whose work goes on. */
    int NOT_READY = 1;

    /** {@code VK_TIMEOUT}: a wait that ended early. */
    int TIMEOUT = 2;

    /** {@code VK_WHOLE_SIZE}. */
    long WHOLE_SIZE = -1;

    /**
     * What an instance is made with.
     *
     * @param apiVersion the version of Vulkan asked for
     * @param extensions its extensions
     * @param layers     its layers
     * @param messages   who hears what the validation layer says of making and ending the instance, if anybody
     */
    record InstanceRequest(
            int apiVersion,
            Set<String> extensions,
            Set<String> layers,
            @Nullable Consumer<String> messages) {}

    /**
     * What a device is made with.
     *
     * @param queues     how many queues of which family
     * @param extensions its extensions
     * @param apiVersion the version of Vulkan used with it
     */
    record DeviceRequest(List<QueueCount> queues, Set<String> extensions, int apiVersion) {}

    /**
     * Queues of a family.
     *
     * @param family the family
     * @param count  how many
     */
    record QueueCount(int family, int count) {}

    /**
     * What memory a buffer needs.
     *
     * @param byteSize       how much
     * @param byteAlignment  where it may begin
     * @param typeBits       one bit for each memory type it may come from
     * @param prefersItsOwn  whether the driver wants an allocation for it alone
     */
    record Requirements(long byteSize, long byteAlignment, int typeBits, boolean prefersItsOwn) {}

    /**
     * An allocation.
     *
     * @param byteSize  how much
     * @param type      the index of the memory type
     * @param dedicated the buffer it is for alone, 0 for none
     * @param addressed whether kernels may use its address
     */
    record MemoryRequest(long byteSize, int type, long dedicated, boolean addressed) {}

    /**
     * What is put into a queue.
     *
     * @param commands    recorded commands, if any
     * @param awaited     a timeline semaphore waited for before, 0 for none
     * @param awaitedValue its value
     * @param signal      a timeline semaphore raised behind everything before, 0 for none
     * @param signalValue the value it is raised to
     * @param fence       a fence signalled behind everything before, 0 for none
     */
    record Submission(
            @Nullable VkCommandBuffer commands,
            long awaited,
            long awaitedValue,
            long signal,
            long signalValue,
            long fence) {}

    // The instance.

    /** {@code vkEnumerateInstanceVersion}. */
    int getInstanceVersion(int[] version);

    /** {@code vkEnumerateInstanceExtensionProperties}: their names. */
    int getInstanceExtensions(Set<String> names);

    /** {@code vkEnumerateInstanceLayerProperties}: their names. */
    int getInstanceLayers(Set<String> names);

    /** {@code vkCreateInstance}. */
    int createInstance(InstanceRequest request, @Nullable VkInstance[] made);

    /** {@code vkDestroyInstance}. */
    void destroyInstance(VkInstance instance);

    /** {@code vkCreateDebugUtilsMessengerEXT}, for warnings and errors of the validation layer. */
    int createMessenger(VkInstance instance, Consumer<String> messages, long[] made);

    /** {@code vkDestroyDebugUtilsMessengerEXT}. */
    void destroyMessenger(VkInstance instance, long messenger);

    // Devices.

    /** {@code vkEnumeratePhysicalDevices}. */
    int getPhysicalDevices(VkInstance instance, List<VkPhysicalDevice> found);

    /** What a device says of itself. {@code apiVersion} is the most we ask for. */
    int describe(VkPhysicalDevice device, int apiVersion, @Nullable RawDevice[] described);

    /** {@code VkPhysicalDeviceMemoryBudgetPropertiesEXT}: for each heap what this process may use, and what it uses. */
    void getBudget(VkPhysicalDevice device, long[] budgets, long[] usages);

    /** {@code vkCreateDevice}, with every feature the device has that costs no speed. */
    int createDevice(VkPhysicalDevice device, DeviceRequest request, @Nullable VkDevice[] made);

    /** {@code vkDestroyDevice}. */
    void destroyDevice(VkDevice device);

    /** {@code vkGetDeviceQueue}. */
    VkQueue getQueue(VkDevice device, int family, int index);

    // Memory.

    /** {@code vkCreateBuffer}, for the queues of one family or shared by several. */
    int createBuffer(VkDevice device, long byteSize, int usage, int[] families, long[] made);

    /** {@code vkDestroyBuffer}. */
    void destroyBuffer(VkDevice device, long buffer);

    /** {@code vkGetBufferMemoryRequirements2}. */
    Requirements getRequirements(VkDevice device, long buffer);

    /** {@code vkAllocateMemory}. */
    int allocate(VkDevice device, MemoryRequest request, long[] made);

    /** {@code vkFreeMemory}. */
    void free(VkDevice device, long memory);

    /** {@code vkBindBufferMemory}. */
    int bind(VkDevice device, long buffer, long memory);

    /** {@code vkGetBufferDeviceAddress}. */
    long getAddress(VkDevice device, long buffer);

    /** {@code vkMapMemory}, all of it. */
    int map(VkDevice device, long memory, long[] address);

    /** {@code vkFlushMappedMemoryRanges}. */
    int flush(VkDevice device, long memory, long byteOffset, long byteSize);

    /** {@code vkInvalidateMappedMemoryRanges}. */
    int invalidate(VkDevice device, long memory, long byteOffset, long byteSize);

    // Commands.

    /** {@code vkCreateCommandPool}, whose buffers are reset one by one. */
    int createCommandPool(VkDevice device, int family, long[] made);

    /** {@code vkDestroyCommandPool}, and with it its buffers. */
    void destroyCommandPool(VkDevice device, long pool);

    /** {@code vkAllocateCommandBuffers}: one. */
    int allocateCommands(VkDevice device, long pool, @Nullable VkCommandBuffer[] made);

    /** {@code vkBeginCommandBuffer}, to be submitted once. */
    int begin(VkCommandBuffer commands);

    /** {@code vkCmdPipelineBarrier} over all memory. */
    void barrier(VkCommandBuffer commands, int fromStage, int fromAccess, int toStage, int toAccess);

    /** {@code vkCmdCopyBuffer}. */
    void copy(VkCommandBuffer commands, long source, long target, long sourceOffset, long targetOffset, long byteSize);

    /** {@code vkCmdFillBuffer}; offset and size in whole words. */
    void fill(VkCommandBuffer commands, long buffer, long byteOffset, long byteSize, int word);

    /** {@code vkEndCommandBuffer}. */
    int end(VkCommandBuffer commands);

    /** {@code vkQueueSubmit}. The caller holds the queue's lock. */
    int submit(VkQueue queue, Submission submission);

    // Order.

    /** {@code vkCreateSemaphore}: a timeline that begins at 0. */
    int createTimeline(VkDevice device, long[] made);

    /** {@code vkDestroySemaphore}. */
    void destroySemaphore(VkDevice device, long semaphore);

    /** {@code vkGetSemaphoreCounterValue}. */
    int getCounter(VkDevice device, long semaphore, long[] value);

    /** {@code vkWaitSemaphores}. */
    int waitFor(VkDevice device, long semaphore, long value, long nanos);

    /** {@code vkCreateFence}. */
    int createFence(VkDevice device, long[] made);

    /** {@code vkDestroyFence}. */
    void destroyFence(VkDevice device, long fence);

    /** {@code vkGetFenceStatus}. */
    int getFenceStatus(VkDevice device, long fence);

    /** {@code vkResetFences}: one. */
    int resetFence(VkDevice device, long fence);
}
