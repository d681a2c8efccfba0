package dev.headroom.memory.opencl;

import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.spi.DeviceDriver;
import org.jocl.cl_command_queue;
import org.jocl.cl_context;
import org.jocl.cl_device_id;
import org.jocl.cl_platform_id;

/**
 * Where a pool's memory lives: programs, kernels and queues that use its buffers must be made in this context. All of it
 * belongs to Headroom and is valid until the {@code GpuMemory} of the pool closes; release none of it. Immutable; may be
 * used by several threads.
 */
public final class OpenClContext {

    private final OpenClDriver driver;

    private OpenClContext(OpenClDriver driver) {
        this.driver = driver;
    }

    /**
     * The context of a pool.
     *
     * @param pool an open pool on an OpenCL device
     * @return its context
     * @throws IllegalArgumentException if the pool is on a device of another backend
     * @throws dev.headroom.memory.BufferClosedException if the pool is closed
     */
    public static OpenClContext of(GpuMemoryPool pool) {
        if (pool instanceof DeviceDriver.Source source && source.driver() instanceof OpenClDriver driver) {
            return new OpenClContext(driver);
        }
        throw new IllegalArgumentException("the pool on " + pool.device() + " is not an OpenCL pool");
    }

    /**
     * The context.
     *
     * @return the context
     */
    public cl_context context() {
        return driver.context();
    }

    /**
     * The platform of the device.
     *
     * @return the platform
     */
    public cl_platform_id platform() {
        return driver.clDevice().platform();
    }

    /**
     * The one device in the context.
     *
     * @return the device
     */
    public cl_device_id device() {
        return driver.clDevice().id();
    }

    /**
     * A queue for kernels, in order, shared by all who ask. Headroom itself puts nothing into it but the markers of {@code
     * waitOn} and {@code usedOn}.
     *
     * @return the queue, ready for those two calls
     */
    public OpenClQueue queue() {
        return OpenClQueue.of(driver.sharedQueue());
    }

    /**
     * The queue as JOCL knows it.
     *
     * @return the same queue as {@link #queue()}
     */
    public cl_command_queue commandQueue() {
        return driver.sharedQueue();
    }
}
