package dev.headroom.memory.vulkan;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import java.lang.foreign.MemorySegment;

/**
 * A mapped part of a block.
 *
 * @param segment   the bytes
 * @param block     the block
 * @param range     the part in whole atoms
 * @param coherent  whether nothing has to be flushed
 */
record VulkanMapping(MemorySegment segment, VulkanBlock block, AtomRange range, boolean coherent)
        implements HostMapping {

    @Override
    public void flush() throws DriverException {
        if (!coherent) {
            block.flush(range);
        }
    }

    @Override
    public void invalidate() throws DriverException {
        if (!coherent) {
            block.invalidate(range);
        }
    }

    @Override
    public void close() {
        // The block stays mapped until it is freed.
    }
}
