package dev.headroom.examples.backend;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverException.Kind;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** The toy card, call by call: each translates to one call of the library. */
final class ToyDriver implements DeviceDriver {

    private static final KindTraits ON_CARD = KindTraits.deviceOnly(256, 4096, ToyLibrary.TOTAL_BYTES);
    private static final KindTraits PINNED = KindTraits.hostVisible(Placement.HOST, 256, 4096, ToyLibrary.TOTAL_BYTES);

    private record Block(long handle, long byteSize, MemoryKind kind) implements DriverBlock {}

    /** Pinned memory always has an address and is coherent, so there is nothing to do but to know it. */
    private record Mapping(MemorySegment segment) implements HostMapping {
        @Override
        public void flush() {}

        @Override
        public void invalidate() {}

        @Override
        public void close() {}
    }

    /** Work is finished when it is submitted, so all there is to know of a queue is its last signal. */
    private record Queue(AtomicLong signalled) implements DriverQueue {
        @Override
        public void close() {}
    }

    private final GpuDevice device;

    ToyDriver(GpuDevice device) {
        this.device = device;
    }

    @Override
    public GpuDevice device() {
        return device;
    }

    @Override
    public KindTraits traits(MemoryKind kind) {
        return switch (kind) {
            case DEVICE -> ON_CARD;
            case UPLOAD, READBACK -> PINNED;
            case UNIFIED -> KindTraits.unsupported();
        };
    }

    @Override
    public MemoryBudget budget(MemoryKind kind) {
        return kind == MemoryKind.DEVICE
                ? MemoryBudget.measured(ToyLibrary.TOTAL_BYTES, ToyLibrary.freeBytes(), "toyFreeBytes")
                : MemoryBudget.unknown(ToyLibrary.TOTAL_BYTES, "the toy tells nothing about the host's memory");
    }

    // Memory.

    @Override
    public DriverBlock allocate(BlockRequest request) throws DriverException {
        long[] handle = new long[1];
        if (request.kind() == MemoryKind.DEVICE) {
            check(ToyLibrary.allocate(request.byteSize(), handle), "toyAllocate");
        } else {
            check(ToyLibrary.allocatePinned(request.byteSize(), handle), "toyAllocatePinned");
        }
        return new Block(handle[0], request.byteSize(), request.kind());
    }

    @Override
    public FreeOutcome free(DriverBlock block) {
        try {
            check(ToyLibrary.free(((Block) block).handle()), "toyFree");
            return FreeOutcome.freed();
        } catch (DriverException kept) {
            return FreeOutcome.failed(kept);
        }
    }

    @Override
    public HostMapping map(DriverBlock block, long byteOffset, long byteSize, MapAccess access) {
        return new Mapping(ToyLibrary.addressOfPinned(((Block) block).handle(), byteOffset, byteSize));
    }

    @Override
    public Optional<VirtualMemory> virtualMemory() {
        return Optional.empty();
    }

    // Work.

    @Override
    public DriverQueue openQueue() {
        return new Queue(new AtomicLong());
    }

    @Override
    public void submit(TransferCommand command, DriverQueue queue) throws DriverException {
        switch (command) {
            case Copy(InHost(MemorySegment source), InBlock(Block target, long offset), long _) ->
                check(ToyLibrary.write(source, target.handle(), offset), "toyWrite");
            case Copy(InBlock(Block source, long offset), InHost(MemorySegment target), long _) ->
                check(ToyLibrary.read(source.handle(), offset, target), "toyRead");
            case Copy(InBlock(Block source, long from), InBlock(Block target, long to), long byteSize) ->
                check(ToyLibrary.copy(source.handle(), from, target.handle(), to, byteSize), "toyCopy");
            case Fill(Block block, long byteOffset, long byteSize, byte value) ->
                check(ToyLibrary.fill(block.handle(), byteOffset, byteSize, value), "toyFill");
            default -> throw unsupported("submit"); // the engine finds another way
        }
    }

    @Override
    public long signal(DriverQueue queue) {
        return ((Queue) queue).signalled().incrementAndGet();
    }

    @Override
    public long completed(DriverQueue queue) {
        return ((Queue) queue).signalled().get();
    }

    @Override
    public boolean await(DriverQueue queue, long value, Duration timeout) {
        return value <= completed(queue);
    }

    @Override
    public void waitFor(DriverQueue queue, DriverQueue other, long value) {
        // A value that exists has been reached.
    }

    @Override
    public boolean awaitIdle(Duration timeout) {
        return true;
    }

    // Queues of the user's own: the toy has none.

    @Override
    public DriverFence record(NativeQueue queue) throws DriverException {
        throw unsupported("record");
    }

    @Override
    public void waitFor(DriverQueue queue, DriverFence fence) throws DriverException {
        throw unsupported("waitFor");
    }

    @Override
    public void hold(NativeQueue queue, DriverQueue ours, long value) throws DriverException {
        throw unsupported("hold");
    }

    @Override
    public void close() {
        // The library needs no context.
    }

    /** The one place that knows what the library's codes mean. */
    private static void check(int status, String call) throws DriverException {
        switch (status) {
            case ToyLibrary.OK -> {}
            case ToyLibrary.OUT_OF_CARD_MEMORY ->
                throw new DriverException(Kind.OUT_OF_MEMORY, status, call, "OUT_OF_CARD_MEMORY");
            case ToyLibrary.CARD_FELL_OFF_THE_BUS ->
                throw new DriverException(Kind.DEVICE_LOST, status, call, "CARD_FELL_OFF_THE_BUS");
            default -> throw new DriverException(Kind.UNEXPECTED, status, call, "see the manual of the toy");
        }
    }

    private static DriverException unsupported(String call) {
        return new DriverException(Kind.UNSUPPORTED, 0, call, "the toy cannot do that");
    }
}
