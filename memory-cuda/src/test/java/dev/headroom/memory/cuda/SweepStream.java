package dev.headroom.memory.cuda;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import java.util.function.IntSupplier;
import jcuda.driver.CUcontext;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** A stream a program has made for itself, past Headroom. What it asks of the driver is not swept, but may fail in a dead context. */
final class SweepStream implements AutoCloseable {

    private final CudaDouble driver;
    private final CUcontext context;
    private final CUstream stream = new CUstream();

    SweepStream(CudaDouble driver, GpuMemoryPool pool) {
        this.driver = driver;
        context = CudaContext.of(pool).context();
        inContext("cuStreamCreate", () -> JCudaDriver.cuStreamCreate(stream, 1));
    }

    CudaStream queue() {
        return CudaStream.of(stream);
    }

    /** A user's kernel, as a careful user launches it: work that could not be declared is waited for. */
    void fill(DeviceBuffer buffer, long size, int value) {
        boolean declared = false;
        try (CudaPointer view = CudaPointer.of(buffer)) {
            inContext("cuMemsetD8Async", () -> JCudaDriver.cuMemsetD8Async(view.pointer(), (byte) value, size, stream));
            buffer.usedOn(queue());
            declared = true;
        } finally {
            if (!declared) {
                tryInContext(() -> JCudaDriver.cuStreamSynchronize(stream));
            }
        }
    }

    private void inContext(String name, IntSupplier call) {
        int code = tryInContext(call);
        if (code != 0) {
            throw new GpuMemoryException("the user's own %s failed (code %d)".formatted(name, code));
        }
    }

    private int tryInContext(IntSupplier call) {
        int[] code = new int[1];
        driver.unnoticed(() -> {
            code[0] = JCudaDriver.cuCtxPushCurrent(context);
            if (code[0] == 0) {
                code[0] = call.getAsInt();
                JCudaDriver.cuCtxPopCurrent(new CUcontext());
            }
        });
        return code[0];
    }

    @Override
    public void close() {
        tryInContext(() -> JCudaDriver.cuStreamDestroy(stream));
    }
}
