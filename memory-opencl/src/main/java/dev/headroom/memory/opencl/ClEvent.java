package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jocl.cl_event;

/**
 * An event, released once: when its owner and everybody who looks at it have let go. Releasing one that a second thread
 * is about to look at would end the process. Thread-safe.
 */
final class ClEvent {

    private final ClApi cl;
    private final cl_event handle;
    private final AtomicInteger holds = new AtomicInteger(1);

    /** Takes an event over; the caller is its first holder. */
    ClEvent(ClApi cl, cl_event handle) {
        this.cl = cl;
        this.handle = handle;
    }

    /** The event, for a holder. */
    cl_event handle() {
        return handle;
    }

    /** Becomes a holder, on behalf of one that is and stays one meanwhile. */
    void hold() {
        holds.incrementAndGet();
    }

    /** Becomes a holder, unless it is released already. */
    boolean tryHold() {
        return holds.getAndUpdate(count -> count == 0 ? 0 : count + 1) > 0;
    }

    /** Stops being a holder. The last one releases; what the driver says to that helps nobody. */
    void letGo() {
        if (holds.decrementAndGet() == 0) {
            cl.releaseEvent(handle);
        }
    }

    /**
     * How far the work is.
     *
     * @return above 0 while it goes on, 0 once it is finished, an error code below 0 if it ended in one
     */
    int status() throws DriverException {
        int[] status = new int[1];
        ClError.require("clGetEventInfo", cl.getEventStatus(handle, status));
        return status[0];
    }
}
