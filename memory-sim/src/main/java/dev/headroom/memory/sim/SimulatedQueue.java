package dev.headroom.memory.sim;

import dev.headroom.memory.NativeQueue;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * A queue of the user's own on a simulated device, for kernels. It may be closed while work is pending; the work goes
 * on. Thread-safe.
 */
public final class SimulatedQueue implements NativeQueue, AutoCloseable {

    private final SimulatedDevice device;
    private final Timeline timeline;
    private boolean closed;

    SimulatedQueue(SimulatedDevice device, Timeline timeline) {
        this.device = device;
        this.timeline = timeline;
    }

    @Override
    public String backend() {
        return device.device().backend();
    }

    /**
     * Launches a kernel. It ends after all work submitted here before it, its own duration later.
     *
     * @param kernel the kernel
     * @throws DriverMisuseException if it touches memory that is not there, or races with other pending work
     */
    public void submit(SimulatedKernel kernel) {
        device.clock().lock().lock();
        try {
            requireOpen();
            List<Timeline.Use> uses = new ArrayList<>();
            for (SimulatedKernel.Operand operand : kernel.operands()) {
                if (!(operand.block() instanceof SimulatedBlock block) || block.driver.simulated() != device) {
                    throw device.misuse(
                            Violation.Type.FOREIGN_OBJECT,
                            kernel.name() + " uses a block of another device: " + operand.block());
                }
                block.driver.requireUsable(block, operand.byteOffset(), operand.byteSize());
                uses.add(new Timeline.Use(
                        block, operand.byteOffset(), operand.byteSize(), operand.writes(), kernel.name()));
            }
            SimulatedDriver.requireOrdered(device, timeline, uses);
            timeline.submit(kernel.duration().toNanos(), uses, () -> run(kernel, uses));
        } finally {
            device.clock().lock().unlock();
        }
    }

    /**
     * Waits for all work submitted so far.
     *
     * @param timeout how long at most
     * @return true if it is done
     */
    public boolean synchronize(Duration timeout) {
        device.clock().lock().lock();
        try {
            Timeline.Point end = timeline.end();
            return device.clock().await(end::reached, timeout);
        } finally {
            device.clock().lock().unlock();
        }
    }

    /**
     * Whether nothing is pending.
     *
     * @return true if so
     */
    public boolean isIdle() {
        device.clock().lock().lock();
        try {
            return timeline.isIdle();
        } finally {
            device.clock().lock().unlock();
        }
    }

    /** Destroys the queue; pending work goes on. Using it afterwards is a violation. Closing twice does nothing. */
    @Override
    public void close() {
        device.clock().lock().lock();
        try {
            closed = true;
            device.closed(this);
        } finally {
            device.clock().lock().unlock();
        }
    }

    SimulatedDevice device() {
        return device;
    }

    Timeline timeline() {
        return timeline;
    }

    /** The caller holds the lock. */
    void requireOpen() {
        if (closed) {
            throw device.misuse(Violation.Type.USE_AFTER_CLOSE, "a user's queue was used after it was destroyed");
        }
    }

    private void run(SimulatedKernel kernel, List<Timeline.Use> uses) {
        List<MemorySegment> operands = new ArrayList<>();
        for (Timeline.Use use : uses) {
            BlockBytes bytes = use.block().bytes;
            if (!use.writes() && !bytes.isWritten(use.byteOffset(), use.byteSize())) {
                device.note(Violation.Type.UNWRITTEN_READ, use.what() + " reads bytes of " + use.block());
            }
            if (!bytes.isHollow()) {
                MemorySegment segment = bytes.at(use.byteOffset(), use.byteSize());
                operands.add(use.writes() ? segment : segment.asReadOnly());
            }
        }
        if (operands.size() == uses.size()) {
            try {
                kernel.body().accept(List.copyOf(operands));
            } catch (RuntimeException | AssertionError e) {
                // It would reach whoever let the time pass, who has nothing to do with it.
                device.note(Violation.Type.KERNEL_FAILED, kernel.name() + ": " + e);
            }
        }
        for (Timeline.Use use : uses) {
            if (use.writes()) {
                use.block().bytes.markWritten(use.byteOffset(), use.byteSize());
            }
        }
    }
}
