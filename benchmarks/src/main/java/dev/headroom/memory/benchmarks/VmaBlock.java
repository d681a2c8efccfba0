package dev.headroom.memory.benchmarks;

import org.lwjgl.PointerBuffer;
import org.lwjgl.system.MemoryStack;
import org.lwjgl.system.MemoryUtil;
import org.lwjgl.util.vma.Vma;
import org.lwjgl.util.vma.VmaVirtualAllocationCreateInfo;
import org.lwjgl.util.vma.VmaVirtualBlockCreateInfo;

/**
 * A virtual block of the Vulkan Memory Allocator: its TLSF without memory, through LWJGL's plainest entry points. Lives as long
 * as the process. Not thread-safe, as VMA says.
 */
final class VmaBlock implements RangePolicy {

    private static final long ALIGNMENT = 256;

    private final long block;
    private final long info;
    private final long output;
    private final long sizeAt;
    private long highest;

    VmaBlock(long bytes) {
        try (MemoryStack stack = MemoryStack.stackPush()) {
            PointerBuffer made = stack.mallocPointer(1);
            int result = Vma.vmaCreateVirtualBlock(
                    VmaVirtualBlockCreateInfo.calloc(stack).size(bytes), made);
            if (result != 0) {
                throw new IllegalStateException("vmaCreateVirtualBlock says " + result);
            }
            this.block = made.get(0);
        }
        VmaVirtualAllocationCreateInfo struct =
                VmaVirtualAllocationCreateInfo.calloc().alignment(ALIGNMENT);
        this.info = struct.address();
        this.sizeAt = info + VmaVirtualAllocationCreateInfo.SIZE;
        this.output = MemoryUtil.nmemAlloc(16);
    }

    @Override
    public long allocate(long bytes) {
        long size = (bytes + ALIGNMENT - 1) & -ALIGNMENT; // otherwise VMA pads every range
        MemoryUtil.memPutLong(sizeAt, size);
        if (Vma.nvmaVirtualAllocate(block, info, output, output + 8) != 0) {
            return NONE;
        }
        highest = Math.max(highest, MemoryUtil.memGetLong(output + 8) + size);
        return MemoryUtil.memGetLong(output);
    }

    @Override
    public void free(long number) {
        Vma.nvmaVirtualFree(block, number);
    }

    @Override
    public long reservedBytes() {
        return highest;
    }
}
