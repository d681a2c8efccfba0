package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.PoolContract;

/** The contract of pools on the first OpenCL device of this machine. */
class OpenClPoolContractTest extends PoolContract {

    @Override
    protected MemoryBackend newBackend() {
        return new OpenClBackend();
    }
}
