package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import java.util.Deque;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import org.jspecify.annotations.Nullable;

/**
 * The events of a driver. Making one costs more than recording it, so those nobody needs any more are recorded again.
 * Thread-safe; no driver is called under a lock.
 */
final class CudaEvents {

    private static final int WITHOUT_TIMES = 2;

    /** What a busy driver needs at once, and no more than a burst should leave behind. */
    private static final int MOST_IDLE = 256;

    private final CudaApi cuda;
    private final PrimaryContext context;
    private final Deque<CUevent> idle = new ConcurrentLinkedDeque<>();
    private final AtomicInteger idleCount = new AtomicInteger();

    CudaEvents(CudaApi cuda, PrimaryContext context) {
        this.cuda = cuda;
        this.context = context;
    }

    /** Puts an event behind what a stream has been given so far. The caller is its first holder. */
    CudaEvent record(CUstream stream) throws DriverException {
        CUevent handle = take();
        boolean recorded = false;
        try {
            context.run("cuEventRecord", () -> cuda.recordEvent(handle, stream));
            recorded = true;
            return new CudaEvent(this, handle);
        } finally {
            if (!recorded) {
                destroy(handle); // whether it stands somewhere is not known
            }
        }
    }

    /** Makes later work of a stream wait for an event the caller holds. */
    void await(CUstream stream, CudaEvent event) throws DriverException {
        context.run("cuStreamWaitEvent", () -> cuda.waitEvent(stream, event.handle()));
    }

    /** Whether everything before an event is finished. */
    boolean isDone(CUevent handle) throws DriverException {
        int code = context.answer(() -> cuda.queryEvent(handle));
        if (code == CudaError.NOT_READY) {
            return false;
        }
        context.require("cuEventQuery", code);
        return true;
    }

    private CUevent take() throws DriverException {
        CUevent known = idle.pollFirst();
        if (known != null) {
            idleCount.decrementAndGet();
            return known;
        }
        CUevent fresh = new CUevent();
        context.run("cuEventCreate", () -> cuda.createEvent(fresh, WITHOUT_TIMES));
        return fresh;
    }

    /** Takes back an event nobody holds; recorded again, it forgets what it stood for. */
    void giveBack(CUevent handle) {
        if (idleCount.incrementAndGet() <= MOST_IDLE) {
            idle.addFirst(handle);
        } else {
            idleCount.decrementAndGet();
            destroy(handle);
        }
    }

    private void destroy(CUevent handle) {
        // What the driver says to that helps nobody.
        context.giveBack("cuEventDestroy", () -> cuda.destroyEvent(handle));
    }

    /** Destroys those that are idle. Called last, when nobody holds one. */
    void close() {
        for (@Nullable CUevent next = idle.pollFirst(); next != null; next = idle.pollFirst()) {
            destroy(next);
        }
    }
}
