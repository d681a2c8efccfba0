package dev.headroom.memory.vulkan;

import dev.headroom.memory.MemoryBudget;
import java.util.Optional;
import org.lwjgl.vulkan.VkPhysicalDevice;

/**
 * A device that need not be open.
 *
 * @param vk      the calls
 * @param handle  its handle, valid as long as its instance
 * @param profile what it is
 */
record VulkanDevice(VkApi vk, VkPhysicalDevice handle, DeviceProfile profile) {

    /** Total and free of a heap. */
    MemoryBudget budget(int heap) {
        return profile.budget(heap, use(heap));
    }

    private Optional<DeviceProfile.HeapUse> use(int heap) {
        if (!profile.raw().extensions().contains(RawDevice.MEMORY_BUDGET)) {
            return Optional.empty();
        }
        long[] budgets = new long[profile.raw().heaps().size()];
        long[] usages = new long[budgets.length];
        vk.getBudget(handle, budgets, usages);
        return Optional.of(new DeviceProfile.HeapUse(budgets[heap], usages[heap]));
    }
}
