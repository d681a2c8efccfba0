/**
 * NVIDIA GPUs, through <a href="http://www.jcuda.org">JCuda</a>. Programs that run kernels need the three classes that name
 * JCuda's types: {@link dev.headroom.memory.cuda.CudaPointer}, a buffer as an address; {@link
 * dev.headroom.memory.cuda.CudaStream}, a stream of the program's own; and {@link dev.headroom.memory.cuda.CudaContext},
 * where both must come from.
 *
 * <p>For readers of the code: {@link dev.headroom.memory.cuda.CudaBackend} finds devices and {@code CudaDriver} is the
 * contract call by call. {@code CudaApi} is the seam all calls to the driver go through, {@code JcudaApi} makes them, and
 * {@code CudaSymbols} lists them. {@code PrimaryContext} says how a context becomes current, and {@code CudaError} what the
 * codes mean.
 */
@NullMarked
package dev.headroom.memory.cuda;

import org.jspecify.annotations.NullMarked;
