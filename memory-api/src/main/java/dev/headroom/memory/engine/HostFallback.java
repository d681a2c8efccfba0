package dev.headroom.memory.engine;

import static dev.headroom.memory.engine.EventSink.EVENTS;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BiPredicate;

/** The top of the ladder: host memory, where that is allowed and is not the memory that ran out. Thread-safe. */
final class HostFallback {

    private static final System.Logger LOG = System.getLogger("dev.headroom.memory");

    private final GpuDevice device;
    private final PoolSetting setting;
    private final BiPredicate<GpuMemoryPool, AllocationRequest> isSameMemory;
    private final AtomicLong buffers = new AtomicLong();
    private final AtomicLong bytes = new AtomicLong();

    /**
     * The host behind one pool.
     *
     * @param device       the pool's device
     * @param setting      whether there is a fallback, and which
     * @param isSameMemory whether a host pool's memory is what the pool would serve the request from
     */
    HostFallback(GpuDevice device, PoolSetting setting, BiPredicate<GpuMemoryPool, AllocationRequest> isSameMemory) {
        this.device = device;
        this.setting = setting;
        this.isSameMemory = isSameMemory;
    }

    /** Buffers the host stood in for. */
    long buffers() {
        return buffers.get();
    }

    /** Bytes the host stood in for. */
    long bytes() {
        return bytes.get();
    }

    /** Serves what the device refused, or says in addition why the host does not. */
    FallbackBuffer allocate(AllocationRequest request, GpuMemoryException refusal) {
        GpuMemoryPool host = hostFor(request, refusal);
        FallbackBuffer buffer;
        try {
            buffer = FallbackBuffer.onHost(host.allocate(request));
        } catch (GpuMemoryException e) {
            throw Refusals.withoutHost(refusal, e.getMessage(), e);
        }
        EVENTS.fellBack(device, host.device(), request.byteSize(), String.valueOf(refusal.getMessage()));
        bytes.addAndGet(request.byteSize());
        if (buffers.getAndIncrement() == 0) {
            LOG.log(
                    System.Logger.Level.INFO,
                    () -> "host memory stands in for " + device + "; later cases are counted, not logged. "
                            + refusal.getMessage());
        }
        return buffer;
    }

    private GpuMemoryPool hostFor(AllocationRequest request, GpuMemoryException refusal) {
        if (!setting.config().cpuFallbackEnabled()) {
            throw Refusals.withoutHost(refusal, "cpuFallbackEnabled is false", null);
        }
        if (!request.fallbackAllowed()) {
            throw Refusals.withoutHost(refusal, "the request forbids it", null);
        }
        GpuMemoryPool host;
        try {
            host = setting.fallback().get();
        } catch (GpuMemoryException e) {
            throw Refusals.withoutHost(refusal, e.getMessage(), e);
        }
        if (host == null) {
            throw Refusals.withoutHost(
                    refusal, "there is no other host pool; dev.headroom:memory-cpu-fallback brings one", null);
        }
        boolean memoryRanOut = refusal instanceof DeviceOutOfMemoryException full
                && !full.figures().byLimit();
        if (memoryRanOut && isSameMemory.test(host, request)) {
            throw Refusals.withoutHost(refusal, "it is the same memory", null);
        }
        return host;
    }
}
