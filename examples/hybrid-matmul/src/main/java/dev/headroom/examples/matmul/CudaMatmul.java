package dev.headroom.examples.matmul;

import static dev.headroom.examples.matmul.KernelSource.TILE;
import static dev.headroom.examples.matmul.KernelSource.tiles;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.cuda.CudaContext;
import dev.headroom.memory.cuda.CudaPointer;
import dev.headroom.memory.cuda.CudaStream;
import java.nio.charset.StandardCharsets;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** The kernel through JCuda, in the context the pool's memory lives in. */
final class CudaMatmul implements MatmulKernels {

    /** The most groups a grid has downwards, on every device. */
    private static final int MAX_GROUPS_DOWN = 65_535;

    private final CudaContext context;
    private final CUmodule module;
    private final CUfunction function;
    private final CUstream stream;

    private CudaMatmul(CudaContext context, CUmodule module, CUfunction function, CUstream stream) {
        this.context = context;
        this.module = module;
        this.function = function;
        this.stream = stream;
    }

    /** Has the driver assemble the kernel for the device of a CUDA pool. */
    static CudaMatmul of(GpuMemoryPool pool) {
        CudaContext context = CudaContext.of(pool);
        CUmodule module = new CUmodule();
        CUfunction function = new CUfunction();
        CUstream stream = new CUstream();
        inContext(context, () -> {
            check("cuModuleLoadData", JCudaDriver.cuModuleLoadData(module, ptx()));
            check("cuModuleGetFunction", JCudaDriver.cuModuleGetFunction(function, module, "matmul"));
            check("cuStreamCreate", JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING));
        });
        return new CudaMatmul(context, module, function, stream);
    }

    /** The kernel's text as the driver wants it: with a 0 at its end. */
    static byte[] ptx() {
        return (KernelSource.read("matmul.ptx") + "\0").getBytes(StandardCharsets.US_ASCII);
    }

    @Override
    public boolean supports(MatmulShape shape) {
        return tiles(shape.m()) <= MAX_GROUPS_DOWN;
    }

    @Override
    public QueueFence launch(MatmulShape shape, DeviceBuffer a, DeviceBuffer b, DeviceBuffer c) {
        CudaStream queue = CudaStream.of(stream);
        try (CudaPointer pointerToA = CudaPointer.of(a);
                CudaPointer pointerToB = CudaPointer.of(b);
                CudaPointer pointerToC = CudaPointer.of(c)) {
            Pointer arguments = Pointer.to(
                    Pointer.to(new int[] {shape.m()}),
                    Pointer.to(new int[] {shape.k()}),
                    Pointer.to(new int[] {shape.n()}),
                    Pointer.to(pointerToA.pointer()),
                    Pointer.to(pointerToB.pointer()),
                    Pointer.to(pointerToC.pointer()));
            a.waitOn(queue); // the kernel waits for our copies
            b.waitOn(queue);
            c.waitOn(queue);
            inContext(
                    context,
                    () -> check(
                            "cuLaunchKernel",
                            JCudaDriver.cuLaunchKernel(
                                    function,
                                    tiles(shape.n()),
                                    tiles(shape.m()),
                                    1,
                                    TILE,
                                    TILE,
                                    1,
                                    0,
                                    stream,
                                    arguments,
                                    null)));
            a.usedOn(queue); // and later copies, reuse and close wait for the kernel
            b.usedOn(queue);
            return c.usedOn(queue);
        }
    }

    /** Calls of the driver with the context current on this thread. Nothing in between may block. */
    private static void inContext(CudaContext context, Runnable calls) {
        check("cuCtxPushCurrent", JCudaDriver.cuCtxPushCurrent(context.context()));
        try {
            calls.run();
        } finally {
            JCudaDriver.cuCtxPopCurrent(new CUcontext());
        }
    }

    private static void check(String call, int code) {
        if (code != CUresult.CUDA_SUCCESS) {
            throw new KernelFailedException(call + ": " + CUresult.stringFor(code));
        }
    }

    /** CUDA keeps the stream for launches that are still queued; the module must stay until they are through. */
    @Override
    public void close() {
        inContext(context, () -> {
            JCudaDriver.cuStreamSynchronize(stream);
            JCudaDriver.cuStreamDestroy(stream);
            JCudaDriver.cuModuleUnload(module);
        });
    }
}
