package dev.headroom.examples.matmul;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import java.util.Optional;

/** The one thing that differs between backends: how a kernel is launched. Safe for use by several threads. */
public interface MatmulKernels extends AutoCloseable {

    /**
     * Whether the device can compute this product. Where it cannot, the host does.
     *
     * @param shape the extents
     * @return false if a matrix is larger than a kernel can reach
     */
    default boolean supports(MatmulShape shape) {
        return true;
    }

    /**
     * Launches C = A x B behind all copies into the buffers, and declares it on them. Returns without waiting for the device.
     *
     * @param shape the extents
     * @param a     A, to be read
     * @param b     B, to be read
     * @param c     C, every value of which is written
     * @return done once the kernel has run
     * @throws KernelFailedException if the launch failed; the device has not touched the buffers then
     */
    QueueFence launch(MatmulShape shape, DeviceBuffer a, DeviceBuffer b, DeviceBuffer c);

    /** Releases kernels, programs and queues. Call it once no launch is pending. */
    @Override
    void close();

    /**
     * The kernels for the device of a pool.
     *
     * @param pool an open pool
     * @return its kernels; empty for the host, which needs none
     * @throws KernelFailedException if they cannot be compiled
     */
    static Optional<MatmulKernels> of(GpuMemoryPool pool) {
        return switch (pool.backendName()) {
            case "cuda" -> Optional.of(CudaMatmul.of(pool));
            case "opencl" -> Optional.of(OpenClMatmul.of(pool));
            case "vulkan" -> Optional.of(VulkanMatmul.of(pool));
            default -> Optional.empty();
        };
    }
}
