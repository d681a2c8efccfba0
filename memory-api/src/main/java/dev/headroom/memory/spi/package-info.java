/**
 * What a backend author implements: CUDA, OpenCL, Vulkan and host memory stand on it.
 *
 * <p>A {@link dev.headroom.memory.spi.MemoryBackend} finds devices and opens a {@link dev.headroom.memory.spi.DeviceDriver}
 * on one. A driver translates single calls, nothing more: it never validates, pools, retries, counts or logs, because the
 * engine does all of that once for every backend. The engine promises in return that arguments are valid, that a block is
 * freed once, and that no work is pending on memory that is freed or mapped.
 *
 * <p>Which native memory a kind stands for:
 *
 * <table class="striped">
 * <caption>Kind and backend</caption>
 * <thead><tr><th>kind</th><th>cuda</th><th>opencl</th><th>vulkan</th><th>cpu</th></tr></thead>
 * <tbody>
 * <tr><th>DEVICE</th><td>cuMemAlloc, or mapped granules</td><td>clCreateBuffer</td><td>DEVICE_LOCAL</td><td>mmap</td></tr>
 * <tr><th>UPLOAD</th><td>cuMemHostAlloc, write-combined</td><td>ALLOC_HOST_PTR</td><td>HOST_VISIBLE, COHERENT</td><td>mmap</td></tr>
 * <tr><th>READBACK</th><td>cuMemHostAlloc</td><td>ALLOC_HOST_PTR</td><td>HOST_VISIBLE, CACHED</td><td>mmap</td></tr>
 * <tr><th>UNIFIED</th><td>unsupported</td><td>ALLOC_HOST_PTR, shared DRAM only</td><td>DEVICE_LOCAL, HOST_VISIBLE</td><td>mmap</td></tr>
 * </tbody>
 * </table>
 *
 * <p>Register the backend both in {@code META-INF/services/dev.headroom.memory.spi.MemoryBackend} and, for a named module,
 * with {@code provides}. The contract suites of {@code memory-testkit} say whether it is right.
 */
@NullMarked
package dev.headroom.memory.spi;

import org.jspecify.annotations.NullMarked;
