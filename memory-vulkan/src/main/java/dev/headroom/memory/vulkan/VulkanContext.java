package dev.headroom.memory.vulkan;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.spi.DeviceDriver;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkPhysicalDevice;

/**
 * Where a pool's memory lives: pipelines, descriptor sets and command buffers that use its buffers must be made with this
 * device. It was opened with every feature the physical device has, less those that cost speed (robust access). All of it
 * belongs to Headroom and is valid until the {@code GpuMemory} of the pool closes; destroy none of it, and destroy what you
 * made with it before. Immutable; may be used by several threads.
 */
public final class VulkanContext {

    private final OpenDevice open;

    private VulkanContext(OpenDevice open) {
        this.open = open;
    }

    /**
     * The device of a pool.
     *
     * @param pool an open pool on a Vulkan device
     * @return its device
     * @throws IllegalArgumentException if the pool is on a device of another backend
     * @throws dev.headroom.memory.BufferClosedException if the pool is closed
     */
    public static VulkanContext of(GpuMemoryPool pool) {
        if (pool instanceof DeviceDriver.Source source && source.driver() instanceof VulkanDriver driver) {
            return new VulkanContext(driver.open());
        }
        throw new IllegalArgumentException("the pool on " + pool.device() + " is not a Vulkan pool");
    }

    /**
     * The instance.
     *
     * @return the instance
     */
    public VkInstance instance() {
        return open.instance();
    }

    /**
     * The physical device.
     *
     * @return the physical device
     */
    public VkPhysicalDevice physicalDevice() {
        return open.device().handle();
    }

    /**
     * The logical device.
     *
     * @return the device
     */
    public VkDevice device() {
        return open.handle();
    }

    /**
     * The version of Vulkan the device is used with.
     *
     * @return the version as Vulkan packs it, at most 1.3
     */
    public int apiVersion() {
        return open.device().profile().raw().apiVersion();
    }

    /**
     * A queue for kernels, and for graphics where the device has that, with its lock. On a device with a single queue
     * Headroom's copies go through it too.
     *
     * @return the queue, the same each time
     */
    public VulkanQueue queue() {
        return VulkanQueue.of(open.users(), open.usersLock());
    }

    /**
     * The family of {@link #queue()}.
     *
     * @return its index
     */
    public int queueFamily() {
        return open.device().profile().queues().usersFamily();
    }
}
