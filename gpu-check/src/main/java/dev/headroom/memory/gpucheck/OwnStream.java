package dev.headroom.memory.gpucheck;

import dev.headroom.memory.cuda.CudaStream;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** A stream made past Headroom, in the device's primary context, as a program with kernels makes one. */
final class OwnStream implements AutoCloseable {

    private static final int NON_BLOCKING = 1;

    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final CUstream stream = new CUstream();

    private OwnStream() {}

    static OwnStream open(int number) {
        OwnStream made = new OwnStream();
        require("cuDeviceGet", JCudaDriver.cuDeviceGet(made.device, number));
        require("cuDevicePrimaryCtxRetain", JCudaDriver.cuDevicePrimaryCtxRetain(made.context, made.device));
        made.enter();
        try {
            require("cuStreamCreate", JCudaDriver.cuStreamCreate(made.stream, NON_BLOCKING));
        } finally {
            leave();
        }
        return made;
    }

    /** Makes the context current on this thread, until {@link #leave}. */
    void enter() {
        require("cuCtxPushCurrent", JCudaDriver.cuCtxPushCurrent(context));
    }

    static void leave() {
        require("cuCtxPopCurrent", JCudaDriver.cuCtxPopCurrent(new CUcontext()));
    }

    CUstream stream() {
        return stream;
    }

    CudaStream queue() {
        return CudaStream.of(stream);
    }

    /** A call that must go well; what does not is an {@code IllegalStateException}. */
    static void require(String call, int code) {
        if (code != CUresult.CUDA_SUCCESS) {
            throw new IllegalStateException("%s failed: %s (code %d)".formatted(call, CUresult.stringFor(code), code));
        }
    }

    @Override
    public void close() {
        enter();
        try {
            require("cuStreamDestroy", JCudaDriver.cuStreamDestroy(stream));
        } finally {
            leave();
            require("cuDevicePrimaryCtxRelease", JCudaDriver.cuDevicePrimaryCtxRelease(device));
        }
    }
}
