package dev.headroom.memory.opencl;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.Polling;
import java.time.Duration;
import java.util.function.Consumer;

/**
 * Our event behind work in a user's queue. Work that ended in an error has ended: the memory is free, and its owner learns
 * of the error from their own calls. Only a lost device is ours to report.
 */
final class ClFence implements DriverFence {

    private final ClEvent event;
    private final Consumer<ClFence> closed;

    ClFence(ClEvent event, Consumer<ClFence> closed) {
        this.event = event;
        this.closed = closed;
    }

    /** The event, for whoever knows that the fence is not closed meanwhile. */
    ClEvent event() {
        return event;
    }

    @Override
    public boolean done() throws DriverException {
        if (!event.tryHold()) {
            return true; // closed: nobody waits for it any more
        }
        try {
            int status = event.status();
            if (status < 0 && ClError.meansLoss(status)) {
                throw ClError.workFailed(status);
            }
            return status <= 0;
        } finally {
            event.letGo();
        }
    }

    @Override
    public boolean await(Duration timeout) throws DriverException {
        return Polling.await(this::done, timeout);
    }

    @Override
    public void close() {
        closed.accept(this);
        event.letGo();
    }
}
