package dev.headroom.memory.sim;

import dev.headroom.memory.spi.DriverQueue;

/** A queue of a driver's own. */
final class SimulatedDriverQueue implements DriverQueue {

    private final SimulatedDriver driver;
    private final Timeline timeline;
    private boolean closed;

    SimulatedDriverQueue(SimulatedDriver driver, Timeline timeline) {
        this.driver = driver;
        this.timeline = timeline;
    }

    SimulatedDriver driver() {
        return driver;
    }

    Timeline timeline() {
        return timeline;
    }

    boolean closed() {
        return closed;
    }

    @Override
    public void close() {
        Throwable failure = driver.meetAnyway("closeQueue");
        driver.lock();
        try {
            if (closed) {
                throw driver.simulated().misuse(Violation.Type.DOUBLE_CLOSE, "a queue was closed twice");
            }
            if (!timeline.isIdle() && !driver.isLost()) {
                throw driver.simulated()
                        .misuse(Violation.Type.CLOSED_IN_USE, "a queue was closed while work was pending");
            }
            closed = true;
            driver.closed(this);
        } finally {
            driver.unlock();
        }
        SimulatedDriver.throwUnchecked(failure);
    }
}
