package dev.headroom.memory.cuda;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.spi.DeviceDriver;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;

/**
 * Where a pool's memory lives: the primary context of its device, which CUDA's runtime and every library built on it
 * share. Modules and streams that use its buffers must be made while it is current. It is valid until the {@code GpuMemory}
 * of the pool closes; do not release or reset it. Immutable; may be used by several threads.
 *
 * {@snippet :
 * CudaContext context = CudaContext.of(pool);
 * cuCtxPushCurrent(context.context());
 * try {
 *     cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, null);
 * } finally {
 *     cuCtxPopCurrent(new CUcontext());
 * }
 * }
 *
 * <p>A context is current on a thread of the system. On a virtual thread let nothing between the two calls block.
 */
public final class CudaContext {

    private final PrimaryContext context;

    private CudaContext(PrimaryContext context) {
        this.context = context;
    }

    /**
     * The context of a pool.
     *
     * @param pool an open pool on a CUDA device
     * @return its context
     * @throws IllegalArgumentException if the pool is on a device of another backend
     * @throws dev.headroom.memory.BufferClosedException if the pool is closed
     */
    public static CudaContext of(GpuMemoryPool pool) {
        if (pool instanceof DeviceDriver.Source source && source.driver() instanceof CudaDriver driver) {
            return new CudaContext(driver.context());
        }
        throw new IllegalArgumentException("the pool on " + pool.device() + " is not a CUDA pool");
    }

    /**
     * The context.
     *
     * @return the context
     */
    public CUcontext context() {
        return context.handle();
    }

    /**
     * The device it belongs to.
     *
     * @return the device
     */
    public CUdevice device() {
        return context.device().handle();
    }
}
