package dev.headroom.memory.spi;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import java.time.Duration;
import java.util.Optional;

/**
 * One open device, call by call. Thread-safe; never validates, pools, counts or logs. Any call may block, and the engine
 * holds no lock while it does.
 *
 * <p>A failed call leaves nothing behind: whatever it had done before the failure is undone.
 */
public interface DeviceDriver extends AutoCloseable {

    /**
     * The device this driver was opened on.
     *
     * @return the device
     */
    GpuDevice device();

    /**
     * What a kind of memory is like here. Constant while the driver is open, and cheap.
     *
     * @param kind the kind
     * @return its traits; {@link KindTraits#unsupported()} where the device has no such memory
     */
    KindTraits traits(MemoryKind kind);

    /**
     * Total and free memory of the place a kind lives in.
     *
     * @param kind a supported kind
     * @return the figures
     * @throws DriverException if the driver does not answer
     */
    MemoryBudget budget(MemoryKind kind) throws DriverException;

    /**
     * Takes memory. Its contents are undefined.
     *
     * @param request how much and of what kind
     * @return the block
     * @throws DriverException {@code OUT_OF_MEMORY} if there is none
     */
    DriverBlock allocate(BlockRequest request) throws DriverException;

    /**
     * Gives a block back. Called once per block.
     *
     * @param block a block of {@link #allocate}
     * @return whether it is gone; a block that is not is never touched again
     */
    FreeOutcome free(DriverBlock block);

    /**
     * Gives the host access to part of a block. The engine guarantees that no work is pending there, and closes the mapping
     * before the block is freed.
     *
     * @param block      a block of a host-visible kind
     * @param byteOffset where the part begins
     * @param byteSize   how long it is
     * @param access     what the host will do
     * @return the mapping
     * @throws DriverException if the driver refuses
     */
    HostMapping map(DriverBlock block, long byteOffset, long byteSize, MapAccess access) throws DriverException;

    /**
     * Opens a queue that runs commands in the order they are submitted.
     *
     * @return the queue
     * @throws DriverException if the driver refuses
     */
    DriverQueue openQueue() throws DriverException;

    /**
     * Puts a command into a queue. A host endpoint stays valid until the queue has passed the next signal.
     *
     * @param command what to do
     * @param queue   where
     * @throws DriverException {@code UNSUPPORTED} for endpoints this driver cannot serve: the engine then goes through
     *                         staging memory
     */
    void submit(TransferCommand command, DriverQueue queue) throws DriverException;

    /**
     * Marks the present end of a queue.
     *
     * @param queue the queue
     * @return a value above all earlier ones of this queue; reached when everything submitted so far is finished
     * @throws DriverException if the driver refuses
     */
    long signal(DriverQueue queue) throws DriverException;

    /**
     * How far a queue has come. Never blocks.
     *
     * @param queue the queue
     * @return the highest signalled value reached, 0 if none
     * @throws DriverException {@code DEVICE_LOST} or {@code UNEXPECTED} if work of this queue failed
     */
    long completed(DriverQueue queue) throws DriverException;

    /**
     * Makes later commands of a queue wait for a point in another queue of this driver.
     *
     * @param queue the queue that waits
     * @param other the queue waited for
     * @param value a value of {@link #signal} on {@code other}
     * @throws DriverException if the driver refuses
     */
    void waitFor(DriverQueue queue, DriverQueue other, long value) throws DriverException;

    /**
     * Blocks until a queue has reached a value. An interrupt ends the wait early and stays set.
     *
     * @param queue   the queue
     * @param value   a value of {@link #signal}
     * @param timeout how long at most
     * @return true if it is reached
     * @throws DriverException {@code DEVICE_LOST} or {@code UNEXPECTED} if work of this queue failed
     */
    boolean await(DriverQueue queue, long value, Duration timeout) throws DriverException;

    /**
     * Puts an event of this driver behind the work a user has submitted to a queue of their own.
     *
     * @param queue the user's queue, used only during this call
     * @return the event
     * @throws DriverException {@code UNSUPPORTED} if the device has no user queues
     */
    DriverFence record(NativeQueue queue) throws DriverException;

    /**
     * Makes later commands of a queue wait for an event.
     *
     * @param queue the queue that waits
     * @param fence an event of {@link #record}
     * @throws DriverException if the driver refuses
     */
    void waitFor(DriverQueue queue, DriverFence fence) throws DriverException;

    /**
     * Makes later work of a user's queue wait for a point in one of ours.
     *
     * @param queue the user's queue, used only during this call
     * @param ours  the queue waited for
     * @param value a value of {@link #signal} on {@code ours}
     * @throws DriverException {@code UNSUPPORTED} if the device has no user queues
     */
    void hold(NativeQueue queue, DriverQueue ours, long value) throws DriverException;

    /**
     * Blocks until all work on the device that this driver knows of is finished.
     *
     * @param timeout how long at most
     * @return true if it is
     * @throws DriverException if the device is lost
     */
    boolean awaitIdle(Duration timeout) throws DriverException;

    /**
     * Address ranges that are backed piece by piece, where the device has them.
     *
     * @return the operations, the same object each time; or empty
     */
    Optional<VirtualMemory> virtualMemory();

    /** Lets go of the device. Called once, after all blocks and queues are gone, or after the device is lost. Never throws. */
    @Override
    void close();

    /** A pool that tells its driver; the engine's pools do. The base of a backend's native context. */
    interface Source {

        /**
         * The driver behind the pool.
         *
         * @return the driver, not to be closed by the caller
         * @throws dev.headroom.memory.BufferClosedException if the pool is closed
         */
        DeviceDriver driver();
    }
}
