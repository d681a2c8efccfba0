package dev.headroom.memory.vulkan;

import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.spi.PinnedRange;
import java.util.Objects;
import java.util.OptionalLong;
import org.lwjgl.vulkan.VkDescriptorBufferInfo;

/**
 * A buffer as kernels see it: part of a {@code VkBuffer}. While a view is open its buffer stays where it is. Close it once
 * the kernel has been submitted and declared with {@code usedOn}.
 *
 * {@snippet :
 * VulkanQueue queue = VulkanContext.of(pool).queue();
 * try (VulkanBuffer view = VulkanBuffer.of(buffer)) {
 *     view.describe(info); // for vkUpdateDescriptorSets
 *     buffer.waitOn(queue);
 *     queue.lock().lock();
 *     try {
 *         vkQueueSubmit(queue.queue(), submission, 0);
 *     } finally {
 *         queue.lock().unlock();
 *     }
 *     buffer.usedOn(queue);
 * }
 * }
 *
 * <p>Safe for use by several threads.
 */
public final class VulkanBuffer implements AutoCloseable {

    private final String buffer;
    private final PinnedRange range;
    private final VulkanBlock block;
    private final long bindingLimit;
    private final long bindingAlignment;
    private volatile boolean closed;

    private VulkanBuffer(String buffer, PinnedRange range, DeviceProfile profile) {
        this.buffer = buffer;
        this.range = range;
        this.block = (VulkanBlock) range.block();
        this.bindingLimit = profile.bindingLimit();
        this.bindingAlignment = profile.bindingAlignment();
    }

    /**
     * Opens a view.
     *
     * @param buffer an open buffer of a Vulkan pool
     * @return the view, to be closed by the caller
     * @throws IllegalArgumentException if the buffer belongs to another backend
     * @throws BufferClosedException if it is closed
     */
    public static VulkanBuffer of(DeviceBuffer buffer) {
        if (buffer instanceof PinnedRange.Source source) {
            PinnedRange range = source.pin();
            if (range.driver() instanceof VulkanDriver driver) {
                return new VulkanBuffer(
                        buffer.toString(), range, driver.open().device().profile());
            }
            range.close();
        }
        throw new IllegalArgumentException(buffer + " is not a buffer of a Vulkan pool");
    }

    /**
     * The {@code VkBuffer} the bytes lie in, together with those of other buffers.
     *
     * @return the handle
     * @throws BufferClosedException if the view is closed
     */
    public long buffer() {
        requireOpen();
        return block.buffer();
    }

    /**
     * Where the bytes begin in it: where the device allows a descriptor to begin.
     *
     * @return bytes
     */
    public long byteOffset() {
        return range.byteOffset();
    }

    /**
     * The size of the buffer.
     *
     * @return bytes
     */
    public long byteSize() {
        return range.byteSize();
    }

    /**
     * The largest part a descriptor of a storage buffer can show, {@code maxStorageBufferRange}.
     *
     * @return bytes
     */
    public long bindingLimit() {
        return bindingLimit;
    }

    /**
     * Where the bytes lie for kernels that use addresses, on devices that have those. No limit binds an address.
     *
     * @return the address of the first byte
     * @throws BufferClosedException if the view is closed
     */
    public OptionalLong deviceAddress() {
        requireOpen();
        return block.address() == 0 ? OptionalLong.empty() : OptionalLong.of(block.address() + range.byteOffset());
    }

    /**
     * Describes the whole buffer for a descriptor of a storage buffer.
     *
     * @param target where buffer, offset and range are written
     * @throws BufferClosedException if the view is closed
     * @throws IllegalArgumentException if the buffer is larger than the device can bind
     */
    public void describe(VkDescriptorBufferInfo target) {
        describe(target, 0, byteSize());
    }

    /**
     * Describes part of the buffer for a descriptor of a storage buffer.
     *
     * @param target     where buffer, offset and range are written
     * @param byteOffset where in the buffer the part begins, a multiple of what the device allows
     * @param byteSize   how long it is, above 0 and up to {@link #bindingLimit()}
     * @throws BufferClosedException if the view is closed
     * @throws IndexOutOfBoundsException if the part is not inside the buffer
     * @throws IllegalArgumentException if it is empty, larger than the device can bind, or begins where none may begin
     */
    public void describe(VkDescriptorBufferInfo target, long byteOffset, long byteSize) {
        Objects.requireNonNull(target, "target");
        Objects.checkFromIndexSize(byteOffset, byteSize, byteSize());
        if (byteSize == 0 || byteSize > bindingLimit) {
            throw new IllegalArgumentException(
                    "%s: a kernel cannot bind %d bytes at once: must be 1 to %d; bind parts of it, or use its address"
                            .formatted(buffer, byteSize, bindingLimit));
        }
        if (byteOffset % bindingAlignment != 0) {
            throw new IllegalArgumentException("%s: a part that a kernel binds begins at %d: must be a multiple of %d"
                    .formatted(buffer, byteOffset, bindingAlignment));
        }
        target.buffer(buffer()).offset(range.byteOffset() + byteOffset).range(byteSize);
    }

    private void requireOpen() {
        if (closed) {
            throw new BufferClosedException("the Vulkan view of " + buffer + " was used after it was closed");
        }
    }

    /** Lets the buffer go. Closing twice does nothing. */
    @Override
    public void close() {
        closed = true;
        range.close();
    }
}
