package dev.headroom.memory.sim;

import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import java.time.Duration;

/** An event of a driver behind a user's work. */
final class SimulatedFence implements DriverFence {

    private final SimulatedDriver driver;
    private final Timeline.Point point;
    private boolean closed;

    SimulatedFence(SimulatedDriver driver, Timeline.Point point) {
        this.driver = driver;
        this.point = point;
    }

    SimulatedDriver driver() {
        return driver;
    }

    Timeline.Point point() {
        return point;
    }

    boolean closed() {
        return closed;
    }

    @Override
    public boolean done() throws DriverException {
        driver.meet("done");
        driver.lock();
        try {
            driver.requireUsable(this);
            if (!point.reached()) {
                driver.simulated().clock().poll();
            }
            driver.requireNotLost("done");
            return point.reached();
        } finally {
            driver.unlock();
        }
    }

    @Override
    public boolean await(Duration timeout) throws DriverException {
        driver.meet("awaitFence");
        driver.lock();
        try {
            driver.requireUsable(this);
            boolean reached = driver.simulated().clock().await(() -> driver.isLost() || point.reached(), timeout);
            driver.requireNotLost("awaitFence");
            return reached;
        } finally {
            driver.unlock();
        }
    }

    @Override
    public void close() {
        Throwable failure = driver.meetAnyway("closeFence");
        driver.lock();
        try {
            if (closed) {
                throw driver.simulated().misuse(Violation.Type.DOUBLE_CLOSE, "a fence was closed twice");
            }
            closed = true;
            driver.closed(this);
        } finally {
            driver.unlock();
        }
        SimulatedDriver.throwUnchecked(failure);
    }
}
