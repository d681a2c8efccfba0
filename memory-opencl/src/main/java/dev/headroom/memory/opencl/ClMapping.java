package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.HostMapping;
import java.lang.foreign.MemorySegment;

/**
 * A mapped part of a block. OpenCL brings bytes over when a part is mapped and when it is unmapped, and has no call in
 * between.
 *
 * @param segment the bytes
 * @param end     unmaps them
 */
record ClMapping(MemorySegment segment, End end) implements HostMapping {

    /** What ends a mapping. */
    @FunctionalInterface
    interface End {
        void run() throws DriverException;
    }

    @Override
    public void flush() {
        // The device sees what was written once the part is unmapped.
    }

    @Override
    public void invalidate() {
        // The host has seen what the device wrote since the part was mapped.
    }

    @Override
    public void close() throws DriverException {
        end.run();
    }
}
