package dev.headroom.examples.matmul;

import java.nio.LongBuffer;
import org.lwjgl.system.MemoryStack;

/** What every call of Vulkan has in common: it answers with a code, and writes a new handle where it is told to. */
final class VulkanCalls {

    private VulkanCalls() {}

    /** A call that makes one object. */
    @FunctionalInterface
    interface Creation {
        int into(LongBuffer handle);
    }

    static long created(String call, MemoryStack stack, Creation creation) {
        LongBuffer handle = stack.mallocLong(1);
        check(call, creation.into(handle));
        return handle.get(0);
    }

    static void check(String call, int code) {
        if (code != 0) {
            throw new KernelFailedException(call + " answered " + code);
        }
    }
}
