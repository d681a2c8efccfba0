package dev.headroom.memory.vulkan;

import java.lang.foreign.Arena;
import org.lwjgl.system.MemoryStack;

/**
 * Memory for the structures of one call. LWJGL's own stack is one of 64 KiB for each thread that ever called it, which a
 * hundred thousand virtual threads would notice.
 */
final class NativeFrame implements AutoCloseable {

    /** Enough for any call but the lists. */
    private static final int SMALL = 2 << 10;

    private static final long ALIGNMENT = 16;

    private final Arena arena = Arena.ofConfined();
    private final MemoryStack stack;

    /** A frame for the structures of a usual call. */
    NativeFrame() {
        this(SMALL);
    }

    /** A frame of a size. */
    NativeFrame(int byteSize) {
        stack = MemoryStack.ncreate(arena.allocate(byteSize, ALIGNMENT).address(), byteSize);
    }

    /** Where structures are put. */
    MemoryStack stack() {
        return stack;
    }

    @Override
    public void close() {
        arena.close();
    }
}
