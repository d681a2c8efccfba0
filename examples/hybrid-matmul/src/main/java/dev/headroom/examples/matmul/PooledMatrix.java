package dev.headroom.examples.matmul;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.QueueFence;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A product that stays where it was computed: in a buffer of the device, ready for the caller's next kernel, or in an array
 * where the host has computed it. Goes back with {@link HybridScheduler#releaseBuffer}, and must not be used after that.
 * Thread-safe.
 */
public final class PooledMatrix {

    /** What the device is working on. */
    record OnDevice(DeviceBuffer buffer, CompletableFuture<Void> uploads, QueueFence kernel) {}

    private final Optional<OnDevice> onDevice;
    /** What the host has computed; empty on a device. */
    private final float[] onHost;

    private final int size;
    private final AtomicBoolean released = new AtomicBoolean();

    private PooledMatrix(int size, Optional<OnDevice> onDevice, float[] onHost) {
        this.size = size;
        this.onDevice = onDevice;
        this.onHost = onHost;
    }

    static PooledMatrix onDevice(int size, OnDevice work) {
        return new PooledMatrix(size, Optional.of(work), new float[0]);
    }

    static PooledMatrix onHost(float[] values) {
        return new PooledMatrix(values.length, Optional.empty(), values);
    }

    /**
     * The buffer with the values, for kernels of the caller's own: declare those with {@code waitOn} and {@code usedOn}, as
     * always.
     *
     * @return the buffer; empty if the host has computed the product
     */
    public Optional<DeviceBuffer> buffer() {
        return onDevice.map(OnDevice::buffer);
    }

    /**
     * Waits for the device, and copies the values.
     *
     * @return m rows of n values
     * @throws dev.headroom.memory.GpuMemoryException if the device failed: the values are lost then
     */
    public float[] toArray() {
        return AsyncGpuResult.of(readAsync()).await();
    }

    /** Copies the values once they are there. Fails also if the operands never got to the device. */
    CompletableFuture<float[]> readAsync() {
        if (onDevice.isEmpty()) {
            return CompletableFuture.completedFuture(onHost.clone());
        }
        OnDevice work = onDevice.get();
        float[] values = new float[size];
        CompletableFuture<Void> read = work.buffer().readAsync(0, MemorySegment.ofArray(values));
        return CompletableFuture.allOf(work.uploads(), read).thenApply(_ -> values);
    }

    /** What is to be given back: nothing the second time, so that no buffer gets two owners. */
    Optional<OnDevice> release() {
        return released.getAndSet(true) ? Optional.empty() : onDevice;
    }
}
