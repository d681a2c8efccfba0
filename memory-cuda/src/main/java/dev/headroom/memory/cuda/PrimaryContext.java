package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntSupplier;
import jcuda.driver.CUcontext;
import org.jspecify.annotations.Nullable;

/**
 * The context of a device that CUDA's runtime and every library share, held open, and made current around each group of
 * calls. What was current before is current again behind it.
 *
 * <p>A context is current on a thread of the system. A virtual thread may move to another one whenever it blocks in Java,
 * so <b>nothing in a group may</b>: no lock, no wait, no call but {@link CudaApi}'s.
 *
 * <p>An error that poisons the context is remembered: from then on every group fails at once, without a call. Only what
 * gives objects back still reaches the driver, once for each.
 *
 * <p>Thread-safe.
 */
final class PrimaryContext {

    private final CudaApi cuda;
    private final CudaDevice device;
    private final CUcontext handle;
    private final AtomicBoolean released = new AtomicBoolean();
    private volatile @Nullable DriverException loss;

    private PrimaryContext(CudaApi cuda, CudaDevice device, CUcontext handle) {
        this.cuda = cuda;
        this.device = device;
        this.handle = handle;
    }

    /** Holds the context of a device; the driver makes it if nobody else does. */
    static PrimaryContext retain(CudaApi cuda, CudaDevice device) throws DriverException {
        CUcontext handle = new CUcontext();
        int code = cuda.retainPrimary(handle, device.handle());
        if (code != CudaApi.SUCCESS) {
            throw CudaError.failed("cuDevicePrimaryCtxRetain", code);
        }
        return new PrimaryContext(cuda, device, handle);
    }

    CUcontext handle() {
        return handle;
    }

    CudaDevice device() {
        return device;
    }

    /** Whether both are on one device, and so one context. */
    boolean sameAs(PrimaryContext other) {
        return handle.equals(other.handle);
    }

    /**
     * Makes one call in the context.
     *
     * @param name its name
     * @param call the call, which answers with its code
     * @throws DriverException if it failed, or the context is poisoned
     */
    void run(String name, IntSupplier call) throws DriverException {
        require(name, answer(call));
    }

    /**
     * Makes one call in the context that may answer with more than success or failure.
     *
     * @return its code
     * @throws DriverException if the context cannot be made current, or is poisoned
     */
    int answer(IntSupplier call) throws DriverException {
        requireSound();
        DriverException refusal = makeCurrent();
        if (refusal != null) {
            throw refusal;
        }
        try {
            return call.getAsInt();
        } finally {
            // What is wrong with the context, the next call in it says too.
            cuda.pop();
        }
    }

    /** Whether an error has poisoned it. */
    boolean isLost() {
        return loss != null;
    }

    /** Looks at a code, and takes note of a loss. */
    void require(String name, int code) throws DriverException {
        if (code != CudaApi.SUCCESS) {
            throw failed(name, code);
        }
    }

    /** A call that failed; a loss is remembered. */
    DriverException failed(String name, int code) {
        DriverException failure = CudaError.failed(name, code);
        note(failure);
        return failure;
    }

    private void note(DriverException failure) {
        if (failure.kind() == DriverException.Kind.DEVICE_LOST && loss == null) {
            loss = failure;
        }
    }

    /** Gives an object back, in a poisoned context too: one call, whatever comes of it. */
    FreeOutcome giveBack(String name, IntSupplier call) {
        DriverException refusal = makeCurrent();
        if (refusal != null) {
            return FreeOutcome.failed(refusal);
        }
        int code;
        try {
            code = call.getAsInt();
        } finally {
            cuda.pop();
        }
        return code == CudaApi.SUCCESS ? FreeOutcome.freed() : FreeOutcome.failed(failed(name, code));
    }

    /**
     * Makes the context current. Nothing has been asked of the driver yet, so a refusal is tried again. If the driver does
     * not know the context even then, somebody has destroyed it.
     *
     * @return what the driver says against it; null if it is current
     */
    private @Nullable DriverException makeCurrent() {
        int code = cuda.push(handle);
        if (code != CudaApi.SUCCESS) {
            code = cuda.push(handle);
        }
        if (code == CudaApi.SUCCESS) {
            return null;
        }
        DriverException failure = code == CudaError.INVALID_CONTEXT
                ? CudaError.lost("cuCtxPushCurrent", code)
                : CudaError.failed("cuCtxPushCurrent", code);
        note(failure);
        return failure;
    }

    private void requireSound() throws DriverException {
        DriverException known = loss;
        if (known != null) {
            throw known;
        }
    }

    /** Lets go of the context, the first time. */
    void release() {
        if (!released.getAndSet(true)) {
            // Whoever closes can do nothing about a refusal.
            cuda.releasePrimary(device.handle());
        }
    }
}
