package dev.headroom.memory.vulkan;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.KindTraits;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.lwjgl.vulkan.VK10;
import org.lwjgl.vulkan.VK12;
import org.lwjgl.vulkan.VkDevice;
import org.lwjgl.vulkan.VkInstance;
import org.lwjgl.vulkan.VkQueue;

/**
 * An open device: its queues with their locks, and which memory serves which kind.
 *
 * @param instance   its instance
 * @param device     what was opened
 * @param handle     the logical device
 * @param users      the queue for kernels
 * @param usersLock  its lock
 * @param ours       the queue for our copies, perhaps the same
 * @param oursLock   its lock
 * @param usage      what buffers are for
 * @param addressed  whether kernels may use addresses of buffers
 * @param memory     the memory of each kind
 * @param traits     what each kind is like
 */
record OpenDevice(
        VkInstance instance,
        VulkanDevice device,
        VkDevice handle,
        VkQueue users,
        Lock usersLock,
        VkQueue ours,
        Lock oursLock,
        int usage,
        boolean addressed,
        Map<MemoryKind, Optional<MemoryTypes.Choice>> memory,
        Map<MemoryKind, KindTraits> traits) {

    /** Whatever a kernel or a copy may do with a buffer. */
    private static final int USAGE = VK10.VK_BUFFER_USAGE_TRANSFER_SRC_BIT
            | VK10.VK_BUFFER_USAGE_TRANSFER_DST_BIT
            | VK10.VK_BUFFER_USAGE_STORAGE_BUFFER_BIT
            | VK10.VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT
            | VK10.VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;

    /** A buffer of this size is asked what all of its sort need. */
    private static final long SAMPLE_BYTES = 64 << 10;

    /** Opens a device, or nothing. */
    static OpenDevice open(VkInstance instance, VulkanDevice device, VulkanOptions options) throws DriverException {
        VkApi vk = device.vk();
        RawDevice raw = device.profile().raw();
        QueueChoice queues = device.profile().queues();
        Set<String> extensions = Stream.of(RawDevice.PORTABILITY_SUBSET, RawDevice.MEMORY_BUDGET)
                .filter(raw.extensions()::contains)
                .collect(Collectors.toUnmodifiableSet());
        @Nullable VkDevice[] made = new VkDevice[1];
        int code = vk.createDevice(
                device.handle(), new VkApi.DeviceRequest(queues.counts(), extensions, raw.apiVersion()), made);
        VkDevice handle = made[0];
        if (code != VkApi.SUCCESS || handle == null) {
            throw VkError.failed("vkCreateDevice", code);
        }
        boolean whole = false;
        try {
            int usage = USAGE | (raw.addresses() ? VK12.VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0);
            VkApi.Requirements sample = sample(vk, handle, usage, queues.families());
            Map<MemoryKind, Optional<MemoryTypes.Choice>> memory = new EnumMap<>(MemoryKind.class);
            Map<MemoryKind, KindTraits> traits = new EnumMap<>(MemoryKind.class);
            MemoryTypes types = new MemoryTypes(raw.heaps(), raw.types(), sample.typeBits());
            for (MemoryKind kind : MemoryKind.values()) {
                Optional<MemoryTypes.Choice> choice = types.choose(kind, options.staged());
                memory.put(kind, choice);
                traits.put(kind, device.profile().traits(kind, choice, sample.byteAlignment()));
            }
            Lock usersLock = new ReentrantLock();
            OpenDevice open = new OpenDevice(
                    instance,
                    device,
                    handle,
                    vk.getQueue(handle, queues.usersFamily(), 0),
                    usersLock,
                    vk.getQueue(handle, queues.oursFamily(), queues.oursIndex()),
                    queues.isShared() ? usersLock : new ReentrantLock(),
                    usage,
                    raw.addresses(),
                    memory,
                    traits);
            whole = true;
            return open;
        } finally {
            if (!whole) {
                vk.destroyDevice(handle);
            }
        }
    }

    /** What a kind is like. */
    KindTraits traitsOf(MemoryKind kind) {
        return traits.getOrDefault(kind, KindTraits.unsupported());
    }

    /** Vulkan promises the same alignment and the same memory types to all buffers that are made alike. */
    private static VkApi.Requirements sample(VkApi vk, VkDevice handle, int usage, int[] families)
            throws DriverException {
        long[] buffer = new long[1];
        VkError.require("vkCreateBuffer", vk.createBuffer(handle, SAMPLE_BYTES, usage, families, buffer));
        VkApi.Requirements sample = vk.getRequirements(handle, buffer[0]);
        vk.destroyBuffer(handle, buffer[0]);
        return sample;
    }
}
