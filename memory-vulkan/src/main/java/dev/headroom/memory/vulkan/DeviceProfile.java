package dev.headroom.memory.vulkan;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What the figures of a device mean. Pure.
 *
 * @param raw      the figures
 * @param device   what users see of it
 * @param mainHeap the heap that is its own memory
 * @param queues   the queues to open
 */
record DeviceProfile(RawDevice raw, GpuDevice device, int mainHeap, QueueChoice queues) {

    private static final int TYPE_INTEGRATED = 1;
    private static final int TYPE_DISCRETE = 2;
    private static final int TYPE_VIRTUAL = 3;
    private static final int TYPE_CPU = 4;

    /**
     * Makes sense of a device.
     *
     * @param raw   what it says
     * @param index its place among the devices
     * @throws DriverException if it lacks what every device must have
     */
    static DeviceProfile of(RawDevice raw, int index) throws DriverException {
        int main = MemoryTypes.mainHeap(raw.heaps()).orElseThrow(() -> lacks("no memory of its own"));
        QueueChoice queues = QueueChoice.of(raw.families()).orElseThrow(() -> lacks("no queue for kernels"));
        DeviceClass deviceClass = deviceClass(raw);
        boolean shares = deviceClass == DeviceClass.INTEGRATED || deviceClass == DeviceClass.CPU;
        GpuDevice device = new GpuDevice(
                VulkanBackend.NAME,
                index,
                raw.name(),
                deviceClass,
                new PhysicalId(Optional.of(raw.uuid()), raw.pciAddress(), shares),
                shares,
                OptionalLong.of(largest(raw, MemoryTypes.bytes(raw.heaps().get(main)))),
                Optional.empty(),
                Optional.of(raw.driver()).filter(driver -> !driver.isBlank()));
        return new DeviceProfile(raw, device, main, queues);
    }

    private static DriverException lacks(String what) {
        return new DriverException(DriverException.Kind.UNEXPECTED, 0, "vkGetPhysicalDeviceProperties2", what);
    }

    private static DeviceClass deviceClass(RawDevice raw) {
        return switch (raw.type()) {
            case TYPE_INTEGRATED -> DeviceClass.INTEGRATED;
            case TYPE_DISCRETE -> DeviceClass.DISCRETE;
            case TYPE_VIRTUAL -> DeviceClass.VIRTUAL;
            case TYPE_CPU -> DeviceClass.CPU;
            // It does not say; but what has no other memory than its own lives in the host's.
            default ->
                raw.heaps().stream().allMatch(RawDevice.Heap::deviceLocal)
                        ? DeviceClass.INTEGRATED
                        : DeviceClass.DISCRETE;
        };
    }

    /** The largest buffer in a heap: by the memory it lies in, and by the buffer itself. */
    private static long largest(RawDevice raw, long heapBytes) {
        long allocation = MemoryTypes.unsigned(raw.maxAllocationBytes());
        long buffer = MemoryTypes.unsigned(raw.maxBufferBytes().orElse(-1));
        return Math.max(1, Math.min(heapBytes, Math.min(allocation, buffer)));
    }

    /** How many allocations may be live at once. */
    long maxAllocations() {
        return Integer.toUnsignedLong(raw.maxAllocations());
    }

    /** The largest part of a buffer that a kernel can bind. */
    long bindingLimit() {
        return Integer.toUnsignedLong(raw.maxStorageRange());
    }

    /** Where a part that a kernel binds may begin; a flush of one buffer must not reach into another either. */
    long bindingAlignment() {
        long wanted =
                Math.max(Math.max(raw.minStorageAlignment(), raw.minUniformAlignment()), Math.max(raw.atomBytes(), 1));
        return powerOfTwo(Math.min(wanted, AllocationRequest.MAX_ALIGNMENT));
    }

    /**
     * What a kind is like.
     *
     * @param kind      the kind
     * @param choice    its memory
     * @param alignment what the driver wants buffers aligned to
     */
    KindTraits traits(MemoryKind kind, Optional<MemoryTypes.Choice> choice, long alignment) {
        return choice.map(memory -> {
                    long granule = Math.max(powerOfTwo(Math.max(alignment, 1)), bindingAlignment());
                    long largest = Math.min(
                            largest(raw, memory.heapBytes()),
                            device.maxAllocationBytes().orElse(Long.MAX_VALUE));
                    return new KindTraits(
                            true,
                            placement(kind, memory),
                            granule,
                            granule,
                            Math.max(largest & -granule, granule),
                            OptionalLong.of(bindingLimit()),
                            bindingAlignment(),
                            memory.hostVisible(),
                            memory.coherent());
                })
                .orElseGet(KindTraits::unsupported);
    }

    /** Staging memory counts as the host's, also where a driver has but one heap and calls it the device's own. */
    private Placement placement(MemoryKind kind, MemoryTypes.Choice memory) {
        boolean staging = kind == MemoryKind.UPLOAD || kind == MemoryKind.READBACK;
        return memory.deviceLocal() && !(staging && device.unifiedMemory()) ? Placement.DEVICE : Placement.HOST;
    }

    /** Total and free of a heap, as far as the driver tells. */
    MemoryBudget budget(int heap, Optional<HeapUse> use) {
        long total = MemoryTypes.bytes(raw.heaps().get(heap));
        String where = "heap %d of %s".formatted(heap, raw.driver());
        return use.map(found -> MemoryBudget.measured(total, found.freeBytes(), "VK_EXT_memory_budget, " + where))
                .orElseGet(() -> MemoryBudget.unknown(
                        total, where + ", which has no VK_EXT_memory_budget and does not tell what is free"));
    }

    /**
     * What VK_EXT_memory_budget says of a heap.
     *
     * @param budgetBytes what this process may use of it, with what it uses already, unsigned
     * @param usedBytes   what it uses, unsigned
     */
    record HeapUse(long budgetBytes, long usedBytes) {

        long freeBytes() {
            return Math.max(0, MemoryTypes.unsigned(budgetBytes) - MemoryTypes.unsigned(usedBytes));
        }
    }

    private static long powerOfTwo(long bytes) {
        long power = Long.highestOneBit(bytes);
        return power == bytes ? power : 2 * power;
    }
}
