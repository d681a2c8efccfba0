package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.DriverContract;

/** The contract of drivers on the first OpenCL device of this machine. */
class OpenClDriverContractTest extends DriverContract {

    @Override
    protected MemoryBackend newBackend() {
        return new OpenClBackend();
    }
}
