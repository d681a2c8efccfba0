package dev.headroom.memory.vulkan;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * What a device says of itself, as Vulkan writes it: numbers without a sign stand in signed types, so that a limit of
 * 4,294,967,295 reads as -1. {@link DeviceProfile} makes sense of it.
 *
 * @param name                its name
 * @param type                {@code VkPhysicalDeviceType}
 * @param apiVersion          the version of Vulkan it can be used with, at most the one we ask for
 * @param driver              name and version of its driver
 * @param uuid                its UUID
 * @param pciAddress          its place on the bus, where VK_EXT_pci_bus_info tells
 * @param extensions          the names of its extensions
 * @param heaps               its memory
 * @param types               its ways of using the memory
 * @param families            its queues
 * @param maxAllocations      {@code maxMemoryAllocationCount}, unsigned
 * @param maxAllocationBytes  {@code maxMemoryAllocationSize}, unsigned
 * @param maxBufferBytes      {@code maxBufferSize}, unsigned, of devices of Vulkan 1.3
 * @param maxStorageRange     {@code maxStorageBufferRange}, unsigned
 * @param minStorageAlignment {@code minStorageBufferOffsetAlignment}
 * @param minUniformAlignment {@code minUniformBufferOffsetAlignment}
 * @param atomBytes           {@code nonCoherentAtomSize}
 * @param timelines           whether it has timeline semaphores
 * @param addresses           whether kernels may use addresses of buffers
 */
record RawDevice(
        String name,
        int type,
        int apiVersion,
        String driver,
        String uuid,
        Optional<String> pciAddress,
        Set<String> extensions,
        List<Heap> heaps,
        List<Type> types,
        List<Family> families,
        int maxAllocations,
        long maxAllocationBytes,
        OptionalLong maxBufferBytes,
        int maxStorageRange,
        long minStorageAlignment,
        long minUniformAlignment,
        long atomBytes,
        boolean timelines,
        boolean addresses) {

    /** The extension that tells what is free. */
    static final String MEMORY_BUDGET = "VK_EXT_memory_budget";

    /** The extension that tells the place on the bus. */
    static final String PCI_BUS_INFO = "VK_EXT_pci_bus_info";

    /** The extension of devices that are not quite Vulkan, which must be asked for where it is there. */
    static final String PORTABILITY_SUBSET = "VK_KHR_portability_subset";

    /**
     * Memory.
     *
     * @param byteSize    how much, unsigned
     * @param deviceLocal whether it is near the device
     */
    record Heap(long byteSize, boolean deviceLocal) {}

    /**
     * A way of using a heap.
     *
     * @param flags {@code VkMemoryPropertyFlags}
     * @param heap  the index of the heap
     */
    record Type(int flags, int heap) {}

    /**
     * Queues of one sort.
     *
     * @param flags {@code VkQueueFlags}
     * @param count how many there are
     */
    record Family(int flags, int count) {}
}
