package dev.headroom.memory.cuda;

import static jcuda.driver.JCudaDriver.cuCtxPopCurrent;
import static jcuda.driver.JCudaDriver.cuCtxPushCurrent;
import static jcuda.driver.JCudaDriver.cuStreamCreate;
import static jcuda.driver.JCudaDriver.cuStreamDestroy;
import static org.assertj.core.api.Assertions.assertThat;

import jcuda.driver.CUcontext;
import jcuda.driver.CUstream;

/** A stream as a program makes it for its kernels, past Headroom. */
final class UserStream implements AutoCloseable {

    private final CUcontext context;
    private final CUstream stream = new CUstream();

    UserStream(CUcontext context) {
        this.context = context;
        assertThat(cuCtxPushCurrent(context)).isZero();
        assertThat(cuStreamCreate(stream, 0)).isZero();
        assertThat(cuCtxPopCurrent(new CUcontext())).isZero();
    }

    CudaStream queue() {
        return CudaStream.of(stream);
    }

    @Override
    public void close() {
        assertThat(cuCtxPushCurrent(context)).isZero();
        assertThat(cuStreamDestroy(stream)).isZero();
        assertThat(cuCtxPopCurrent(new CUcontext())).isZero();
    }
}
