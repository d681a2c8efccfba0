package dev.headroom.memory.cuda;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.cuda.CudaSymbols.Feature;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.HostTotal;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.Polling;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.VirtualMemory;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.driver.CUcontext;
import jcuda.driver.CUstream;

/**
 * One CUDA device, call by call, in its primary context.
 *
 * <p>Thread-safe: the driver allows every call made here from any thread, and {@link PrimaryContext} sees to what is
 * current.
 */
final class CudaDriver implements DeviceDriver {

    /** What the manual promises of {@code cuMemAlloc} and its siblings. */
    private static final long BASE_ALIGNMENT = 256;

    private final CudaApi cuda;
    private final PrimaryContext context;
    private final Optional<VirtualMemory> ranges;
    private final CudaEvents events;
    private final CudaTransfers transfers;
    private final KindTraits own;
    private final KindTraits staging;
    private final Set<CudaQueue> queues = ConcurrentHashMap.newKeySet();
    private final Set<CudaFence> fences = ConcurrentHashMap.newKeySet();

    private CudaDriver(CudaApi cuda, PrimaryContext context, Optional<VirtualMemory> ranges) {
        this.cuda = cuda;
        this.context = context;
        this.ranges = ranges;
        events = new CudaEvents(cuda, context);
        transfers = new CudaTransfers(cuda, context);
        long largest = Math.max(context.device().totalBytes() & -BASE_ALIGNMENT, BASE_ALIGNMENT);
        own = KindTraits.deviceOnly(BASE_ALIGNMENT, BASE_ALIGNMENT, largest);
        long largestOfHost = Math.max(HostTotal.budget("CUDA").totalBytes() & -BASE_ALIGNMENT, BASE_ALIGNMENT);
        staging = KindTraits.hostVisible(Placement.HOST, BASE_ALIGNMENT, BASE_ALIGNMENT, largestOfHost);
    }

    /** Opens a device, or leaves nothing behind. */
    static CudaDriver open(CudaApi cuda, CudaDevice device) throws DriverException {
        PrimaryContext context = PrimaryContext.retain(cuda, device);
        boolean opened = false;
        try {
            CudaDriver driver = new CudaDriver(cuda, context, CudaRanges.find(cuda, context));
            opened = true;
            return driver;
        } finally {
            if (!opened) {
                context.release();
            }
        }
    }

    @Override
    public GpuDevice device() {
        return context.device().device();
    }

    @Override
    public KindTraits traits(MemoryKind kind) {
        return switch (kind) {
            case DEVICE -> own;
            case UPLOAD, READBACK -> staging;
            case UNIFIED -> KindTraits.unsupported();
        };
    }

    @Override
    public MemoryBudget budget(MemoryKind kind) throws DriverException {
        if (kind != MemoryKind.DEVICE) {
            return HostTotal.budget("CUDA");
        }
        long[] free = new long[1];
        long[] total = new long[1];
        context.run("cuMemGetInfo", () -> cuda.memoryInfo(free, total));
        return MemoryBudget.measured(unsigned(total[0]), unsigned(free[0]), "cuMemGetInfo");
    }

    private static long unsigned(long bytes) {
        return bytes < 0 ? Long.MAX_VALUE : bytes;
    }

    @Override
    public DriverBlock allocate(BlockRequest request) throws DriverException {
        return request.kind() == MemoryKind.DEVICE
                ? DeviceBlock.allocate(cuda, context, request)
                : PinnedBlock.allocate(cuda, context, request);
    }

    @Override
    public FreeOutcome free(DriverBlock block) {
        return switch ((CudaBlock) block) {
            case DeviceBlock device -> device.free();
            case PinnedBlock pinned -> pinned.free();
            case CudaRange range -> range.release();
        };
    }

    @Override
    public HostMapping map(DriverBlock block, long byteOffset, long byteSize, MapAccess access) {
        // Always reachable: the access decides which way bytes would have to travel, and they need not.
        return ((PinnedBlock) block).map(byteOffset, byteSize);
    }

    @Override
    public DriverQueue openQueue() throws DriverException {
        CudaQueue queue = CudaQueue.open(cuda, context, events, queues::remove);
        queues.add(queue);
        return queue;
    }

    @Override
    public void submit(TransferCommand command, DriverQueue queue) throws DriverException {
        transfers.submit(command, ((CudaQueue) queue).stream());
    }

    @Override
    public long signal(DriverQueue queue) throws DriverException {
        return ((CudaQueue) queue).signal();
    }

    @Override
    public long completed(DriverQueue queue) throws DriverException {
        return ((CudaQueue) queue).completed();
    }

    @Override
    public boolean await(DriverQueue queue, long value, Duration timeout) throws DriverException {
        CudaQueue ours = (CudaQueue) queue;
        return Polling.await(() -> ours.completed() >= value, timeout);
    }

    @Override
    public void waitFor(DriverQueue queue, DriverQueue other, long value) throws DriverException {
        CudaEvent event = ((CudaQueue) other).holdAt(value).orElse(null);
        if (event != null) {
            try {
                ((CudaQueue) queue).waitFor(event);
            } finally {
                event.letGo();
            }
        }
    }

    @Override
    public void waitFor(DriverQueue queue, DriverFence fence) throws DriverException {
        // The engine keeps the fence open during the call.
        ((CudaQueue) queue).waitFor(((CudaFence) fence).event());
    }

    @Override
    public DriverFence record(NativeQueue queue) throws DriverException {
        CudaFence fence = new CudaFence(events.record(theirs(queue)), fences::remove);
        fences.add(fence);
        return fence;
    }

    @Override
    public void hold(NativeQueue queue, DriverQueue ours, long value) throws DriverException {
        CUstream theirs = theirs(queue);
        CudaEvent event = ((CudaQueue) ours).holdAt(value).orElse(null);
        if (event != null) {
            try {
                events.await(theirs, event);
            } finally {
                event.letGo();
            }
        }
    }

    /** The user's stream, if our events can stand in it at all. */
    private CUstream theirs(NativeQueue queue) throws DriverException {
        CUstream theirs = ((CudaStream) queue).stream();
        if (cuda.offers(Feature.STREAM_CONTEXT)) {
            CUcontext its = new CUcontext();
            context.run("cuStreamGetCtx", () -> cuda.streamContext(theirs, its));
            if (!its.equals(context.handle())) {
                throw new IllegalArgumentException("the stream belongs to another CUDA context than " + device()
                        + ": create it while CudaContext.of(pool).context() is current");
            }
        }
        return theirs;
    }

    @Override
    public boolean awaitIdle(Duration timeout) throws DriverException {
        return Polling.await(this::isIdle, timeout);
    }

    private boolean isIdle() throws DriverException {
        for (CudaQueue queue : queues) {
            if (!queue.isIdle()) {
                return false;
            }
        }
        for (CudaFence fence : fences) {
            if (!fence.done()) {
                return false;
            }
        }
        return true;
    }

    @Override
    public Optional<VirtualMemory> virtualMemory() {
        return ranges;
    }

    @Override
    public void close() {
        events.close();
        context.release();
    }

    /** For the native views. */
    PrimaryContext context() {
        return context;
    }
}
