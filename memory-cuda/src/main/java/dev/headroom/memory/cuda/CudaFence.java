package dev.headroom.memory.cuda;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.Polling;
import java.time.Duration;
import java.util.function.Consumer;

/** Our event behind work in a user's stream. Thread-safe. */
final class CudaFence implements DriverFence {

    private final CudaEvent event;
    private final Consumer<CudaFence> closed;

    CudaFence(CudaEvent event, Consumer<CudaFence> closed) {
        this.event = event;
        this.closed = closed;
    }

    /** The event, for whoever knows that the fence is not closed meanwhile. */
    CudaEvent event() {
        return event;
    }

    @Override
    public boolean done() throws DriverException {
        if (!event.tryHold()) {
            return true; // closed: nobody waits for it any more
        }
        try {
            return event.isDone();
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
