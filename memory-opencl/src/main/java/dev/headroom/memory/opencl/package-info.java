/**
 * OpenCL devices, through <a href="http://www.jocl.org">JOCL</a>. Programs that run kernels need the three classes that
 * name JOCL's types: {@link dev.headroom.memory.opencl.OpenClMem}, a buffer as a {@code cl_mem}; {@link
 * dev.headroom.memory.opencl.OpenClQueue}, a queue of the program's own; and {@link
 * dev.headroom.memory.opencl.OpenClContext}, where both must come from.
 *
 * <p>For readers of the code: {@link dev.headroom.memory.opencl.OpenClBackend} finds devices and {@code OpenClDriver} is
 * the contract call by call. {@code ClApi} is the seam all native calls go through, {@code JoclApi} makes them. {@code
 * ClError} says what the codes mean.
 */
@NullMarked
package dev.headroom.memory.opencl;

import org.jspecify.annotations.NullMarked;
