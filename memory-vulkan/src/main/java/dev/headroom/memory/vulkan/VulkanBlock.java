package dev.headroom.memory.vulkan;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.lwjgl.vulkan.VkDevice;

/**
 * One allocation with one buffer over all of it. Vulkan maps memory once at most, so the first mapping maps everything, the
 * others share it, and it stays until the block is freed.
 *
 * <p>Thread-safe. One thread at a time maps, as Vulkan wants it; that lock is held during the one call.
 */
final class VulkanBlock implements DriverBlock {

    /**
     * What Vulkan made.
     *
     * @param buffer         the buffer
     * @param memory         the memory behind it
     * @param allocatedBytes the size of the memory, which may be more than the buffer's
     * @param address        where the buffer lies for kernels, 0 where they cannot use that
     */
    record Handles(long buffer, long memory, long allocatedBytes, long address) {}

    private final VkApi vk;
    private final VkDevice device;
    private final MemoryKind kind;
    private final long byteSize;
    private final Handles handles;
    private final AtomicBoolean freed = new AtomicBoolean();
    private final Lock lock = new ReentrantLock();
    private @Nullable Arena arena; // guarded by lock
    private @Nullable MemorySegment mapped; // guarded by lock

    VulkanBlock(VkApi vk, VkDevice device, MemoryKind kind, long byteSize, Handles handles) {
        this.vk = vk;
        this.device = device;
        this.kind = kind;
        this.byteSize = byteSize;
        this.handles = handles;
    }

    @Override
    public long byteSize() {
        return byteSize;
    }

    @Override
    public MemoryKind kind() {
        return kind;
    }

    /** The buffer. */
    long buffer() {
        return handles.buffer();
    }

    /** Where the buffer lies for kernels, 0 where they cannot use that. */
    long address() {
        return handles.address();
    }

    /** All bytes of the block as the host sees them. */
    @SuppressWarnings("restricted")
    MemorySegment segment() throws DriverException {
        lock.lock();
        try {
            MemorySegment known = mapped;
            if (known == null) {
                long[] address = new long[1];
                VkError.require("vkMapMemory", vk.map(device, handles.memory(), address));
                Arena owner = Arena.ofShared();
                arena = owner;
                known = MemorySegment.ofAddress(address[0]).reinterpret(byteSize, owner, null);
                mapped = known;
            }
            return known;
        } finally {
            lock.unlock();
        }
    }

    /** Makes the host's writes visible to the device. */
    void flush(AtomRange range) throws DriverException {
        VkError.require(
                "vkFlushMappedMemoryRanges", vk.flush(device, handles.memory(), range.byteOffset(), range.byteSize()));
    }

    /** Makes the device's writes visible to the host. */
    void invalidate(AtomRange range) throws DriverException {
        VkError.require(
                "vkInvalidateMappedMemoryRanges",
                vk.invalidate(device, handles.memory(), range.byteOffset(), range.byteSize()));
    }

    /** How much memory lies behind the buffer. */
    long allocatedBytes() {
        return handles.allocatedBytes();
    }

    /** Gives buffer and memory back, the first time; a second release would end the process. */
    FreeOutcome free() {
        if (freed.getAndSet(true)) {
            return refused("the block was freed before");
        }
        if (!endSegments()) {
            return refused("somebody is inside native code with its memory");
        }
        vk.destroyBuffer(device, handles.buffer());
        vk.free(device, handles.memory()); // which unmaps it
        return FreeOutcome.freed();
    }

    private boolean endSegments() {
        lock.lock();
        try {
            if (arena != null) {
                arena.close();
            }
            return true;
        } catch (IllegalStateException inUse) {
            return false;
        } finally {
            lock.unlock();
        }
    }

    private static FreeOutcome refused(String why) {
        return FreeOutcome.failed(new DriverException(DriverException.Kind.UNEXPECTED, 0, "vkFreeMemory", why));
    }
}
