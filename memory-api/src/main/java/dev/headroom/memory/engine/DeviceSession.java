package dev.headroom.memory.engine;

import dev.headroom.memory.DeviceLostException;
import dev.headroom.memory.DriverFailedException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * An open driver and its health. Healthy, or lost for good because it says so or will not say anything:
 * from then on nothing reaches the driver but one release per live object. Thread-safe.
 */
final class DeviceSession {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    /** How often a question about work under way is put before the device counts as lost. */
    static final int ASKED = 3;

    private final DeviceDriver driver;
    private final AtomicLong quarantinedBytes = new AtomicLong();
    private final AtomicInteger quarantined = new AtomicInteger();
    private volatile @Nullable Throwable lostBy;
    private volatile boolean gone;
    private volatile boolean serving = true;

    DeviceSession(DeviceDriver driver) {
        this.driver = driver;
    }

    DeviceDriver driver() {
        return driver;
    }

    GpuDevice device() {
        return driver.device();
    }

    boolean isLost() {
        return lostBy != null;
    }

    /** Whether it is neither lost nor closed, as far as can be told in passing. */
    boolean isServing() {
        return serving;
    }

    /** It is being closed: nothing new is begun. */
    void stopServing() {
        serving = false;
    }

    /** Whether the driver itself says so: then nothing is under way any more. A device may also be lost because nobody can tell. */
    boolean isGone() {
        return gone;
    }

    /** Fails fast once the device is lost. */
    void requireAlive() {
        Throwable cause = lostBy;
        if (cause != null) {
            throw lost(cause);
        }
    }

    /** As {@link #requireAlive}, for those who expect a driver's failure. */
    void requireAnswering() throws DriverException {
        Throwable cause = lostBy;
        if (cause instanceof DriverException failure) {
            throw failure;
        }
        if (cause != null) {
            throw new DriverException(DriverException.Kind.DEVICE_LOST, 0, "budget", cause.toString());
        }
    }

    /** Turns a driver's failure into what users see, and takes note of a loss. */
    GpuMemoryException failed(String doing, DriverException failure) {
        if (failure.kind() == DriverException.Kind.DEVICE_LOST) {
            return lose(failure);
        }
        return new DriverFailedException(
                "%s: %s: %s. Nothing was changed; if it happens again, look at the driver's own log"
                        .formatted(device(), doing, failure.getMessage()),
                failure);
    }

    /** A question to the driver about work under way. */
    @FunctionalInterface
    interface Question {
        boolean ask() throws DriverException;
    }

    /**
     * Asks whether work has ended. A failure proves nothing about it, so the question is put again; if several in a row fail,
     * nothing will ever be known, which is as bad as a lost device. A driver that throws what it should not is no better.
     *
     * @param question asked unless the device is lost
     * @return true if it has, or the device is gone and with it the work; false also where that will never be known
     * @throws DeviceLostException if this question was the last
     */
    boolean tells(Question question) {
        for (int round = 1; !isLost(); round++) {
            try {
                return question.ask();
            } catch (DriverException | RuntimeException | Error e) {
                if (meansLoss(e) || round == ASKED) {
                    throw lose(e);
                }
            }
        }
        return gone;
    }

    /** Waits until the device is idle. An interrupt does not end the wait and stays set. */
    boolean awaitIdle(Duration patience) throws DriverException {
        long deadline = System.nanoTime() + patience.toNanos();
        boolean interrupted = false;
        try {
            while (true) {
                interrupted |= Thread.interrupted();
                long left = deadline - System.nanoTime();
                boolean idle = driver.awaitIdle(Duration.ofNanos(Math.max(0, left)));
                if (idle || left <= 0 || !Thread.currentThread().isInterrupted()) {
                    return idle;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Takes note of a failure that is on its way to the caller. */
    void note(DriverException failure) {
        if (meansLoss(failure)) {
            lose(failure);
        }
    }

    /** A question at close failed; the last one decides. */
    void doubt(Throwable failure, boolean last) {
        if (last || meansLoss(failure)) {
            lose(failure);
        }
    }

    /** Takes note of the loss. */
    DeviceLostException lose(Throwable cause) {
        if (meansLoss(cause)) {
            gone = true;
        }
        if (lostBy == null) {
            lostBy = cause;
            serving = false;
            LOG.log(System.Logger.Level.WARNING, () -> device() + " is lost: " + cause.getMessage());
        }
        return lost(cause);
    }

    private static boolean meansLoss(Throwable failure) {
        return failure instanceof DriverException driver && driver.kind() == DriverException.Kind.DEVICE_LOST;
    }

    private DeviceLostException lost(Throwable cause) {
        return new DeviceLostException(
                "%s is lost: %s. Close its GpuMemory and open a new one; other devices are not affected"
                        .formatted(device(), cause.getMessage()),
                cause);
    }

    /** Gives memory back and takes note of what became of it. True if it is gone. */
    boolean giveBack(Supplier<FreeOutcome> call, long bytes) {
        FreeOutcome outcome;
        try {
            outcome = call.get();
        } catch (RuntimeException | Error e) {
            // No driver should throw here. What follows in the same sweep must be given back all the same.
            DriverException failure =
                    new DriverException(DriverException.Kind.UNEXPECTED, 0, "giving memory back", e.toString());
            failure.initCause(e);
            outcome = FreeOutcome.failed(failure);
        }
        if (outcome.isFreed()) {
            return true;
        }
        quarantined.incrementAndGet();
        quarantinedBytes.addAndGet(bytes);
        DriverException failure = outcome.failure().orElseThrow();
        if (failure.kind() == DriverException.Kind.DEVICE_LOST) {
            lose(failure);
        }
        LOG.log(
                System.Logger.Level.WARNING,
                () -> device() + " did not take " + bytes + " bytes back: " + failure.getMessage());
        return false;
    }

    /** Lets go of something that is not memory; whatever the driver throws then stops nobody. */
    void letGo(Runnable call) {
        try {
            call.run();
        } catch (RuntimeException | Error e) {
            LOG.log(System.Logger.Level.WARNING, device() + ": the driver failed while something was closed", e);
        }
    }

    /** Blocks the driver did not take back. */
    int quarantined() {
        return quarantined.get();
    }

    /** Bytes the driver did not take back. */
    long quarantinedBytes() {
        return quarantinedBytes.get();
    }
}
