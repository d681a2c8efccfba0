package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import java.util.concurrent.atomic.AtomicInteger;
import jcuda.driver.CUevent;

/**
 * An event that stands in a stream. It is used again once its owner and everybody who looks at it have let go: one that a
 * second thread still asks about would answer for somebody else's work. Thread-safe.
 */
final class CudaEvent {

    private final CudaEvents events;
    private final CUevent handle;
    private final AtomicInteger holds = new AtomicInteger(1);

    /** The caller is its first holder. */
    CudaEvent(CudaEvents events, CUevent handle) {
        this.events = events;
        this.handle = handle;
    }

    /** The event, for a holder. */
    CUevent handle() {
        return handle;
    }

    /** Becomes a holder, on behalf of one that is and stays one meanwhile. */
    void hold() {
        holds.incrementAndGet();
    }

    /** Becomes a holder, unless it is let go of already. */
    boolean tryHold() {
        return holds.getAndUpdate(count -> count == 0 ? 0 : count + 1) > 0;
    }

    /** Stops being a holder. */
    void letGo() {
        if (holds.decrementAndGet() == 0) {
            events.giveBack(handle);
        }
    }

    /** Whether everything before it is finished, for a holder. */
    boolean isDone() throws DriverException {
        return events.isDone(handle);
    }
}
