package dev.headroom.examples;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Four numbers go to the best device of this machine and come back. */
final class HelloBuffer {

    private HelloBuffer() {}

    public static void main(String[] args) {
        try (GpuMemory memory = GpuMemory.open()) {
            // Real GPUs come first; the host is always there.
            GpuDevice device = memory.recommended().orElseThrow();
            GpuMemoryPool pool = memory.pool(device);

            float[] sent = {1, 2, 3, 4};
            float[] received = new float[4];
            try (DeviceBuffer buffer = pool.allocate(4 * Float.BYTES)) {
                buffer.write(0, MemorySegment.ofArray(sent));
                buffer.read(0, MemorySegment.ofArray(received));
            } // back in the pool, ready for the next one

            System.out.println(device + " returned " + Arrays.toString(received));
        } // back to the system
    }
}
