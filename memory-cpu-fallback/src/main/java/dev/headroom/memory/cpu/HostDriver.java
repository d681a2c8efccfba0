package dev.headroom.memory.cpu;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverFence;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.KindTraits.Placement;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Endpoint;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Optional;

/**
 * The host device, call by call.
 *
 * <p><b>Commands run in {@link #submit}, on the caller's thread.</b> On a device with engines of its own a queue lets
 * the host go on while something else copies. Here the only thing that can copy is a thread, and the caller has one:
 * handing the work to another would add a queue, a wake-up and a place for failures to hide, and save nothing. So a
 * queue is a counter, every signalled value has been reached when it is given out, and the waiting calls return at
 * once. Two threads that submit to one queue at the same time copy side by side, as fast as memory lets them; a command
 * counts as submitted when its {@code submit} returns.
 *
 * <p><b>All kinds are the same memory</b>, reachable by everybody and coherent. They differ in placement only, which
 * tells the engine whose memory a kind takes: {@code DEVICE} and {@code UNIFIED} are this device's own, the staging
 * kinds are the host's. The domain of both is the host's DRAM.
 *
 * <p>Thread-safe: every field is final, and the objects behind them keep no state.
 */
final class HostDriver implements DeviceDriver {

    /**
     * The most one native copy or fill moves. The JVM can stop a thread between two of them but not within one, and
     * until it has stopped every thread a collection waits: one copy of a gibibyte would hold up the whole program.
     * Large enough that the copy routine still takes its path for large blocks, which starts at a few mebibytes.
     */
    private static final long PIECE_BYTES = 16L << 20;

    private final GpuDevice device;
    private final HostMemory memory;
    private final BlockSource blocks;
    private final Optional<VirtualMemory> ranges;
    private final KindTraits own;
    private final KindTraits staging;

    HostDriver(GpuDevice device, HostMemory memory, BlockSource blocks, Optional<VirtualMemory> ranges) {
        this.device = device;
        this.memory = memory;
        this.blocks = blocks;
        this.ranges = ranges;
        long granularity = blocks.granularity();
        // The system would promise more than there is, and end the process when the promise is called in.
        long maxBlockBytes = Math.max(memory.read().totalBytes(), granularity);
        own = KindTraits.hostVisible(Placement.DEVICE, granularity, granularity, maxBlockBytes);
        staging = KindTraits.hostVisible(Placement.HOST, granularity, granularity, maxBlockBytes);
    }

    @Override
    public GpuDevice device() {
        return device;
    }

    @Override
    public KindTraits traits(MemoryKind kind) {
        return switch (kind) {
            case DEVICE, UNIFIED -> own;
            case UPLOAD, READBACK -> staging;
        };
    }

    @Override
    public MemoryBudget budget(MemoryKind kind) {
        return memory.read();
    }

    @Override
    public DriverBlock allocate(BlockRequest request) throws DriverException {
        return blocks.allocate(request.byteSize(), request.byteAlignment(), request.kind());
    }

    @Override
    public FreeOutcome free(DriverBlock block) {
        return blocks.free((HostBlock) block);
    }

    @Override
    public HostMapping map(DriverBlock block, long byteOffset, long byteSize, MapAccess access) {
        // Always mapped: the access decides which way bytes would have to travel, and they need not.
        return new Mapping(((HostBlock) block).segment().asSlice(byteOffset, byteSize));
    }

    @Override
    public DriverQueue openQueue() {
        return new HostQueue();
    }

    @Override
    public void submit(TransferCommand command, DriverQueue queue) throws DriverException {
        switch (command) {
            case Copy(Endpoint source, Endpoint target, long byteSize) ->
                copy(bytes(source, byteSize), bytes(target, byteSize), byteSize);
            case Fill(DriverBlock block, long byteOffset, long byteSize, byte value) ->
                fill(((HostBlock) block).segment().asSlice(byteOffset, byteSize), value);
        }
    }

    /**
     * The bytes behind one side of a copy. Whoever's they are, they are host memory; only a foreign block is not ours
     * to read.
     */
    private static MemorySegment bytes(Endpoint endpoint, long byteSize) throws DriverException {
        return switch (endpoint) {
            case InBlock(DriverBlock block, long byteOffset) ->
                ((HostBlock) block).segment().asSlice(byteOffset, byteSize);
            case InHost(MemorySegment segment) -> segment;
            case InPeer(HostBlock block, long byteOffset) -> block.segment().asSlice(byteOffset, byteSize);
            case InPeer(DriverBlock _, long _) -> throw unsupported("copy", "the peer's block is not host memory");
        };
    }

    private static void copy(MemorySegment source, MemorySegment target, long byteSize) {
        for (long done = 0; done < byteSize; done += PIECE_BYTES) {
            MemorySegment.copy(source, done, target, done, Math.min(PIECE_BYTES, byteSize - done));
        }
    }

    private static void fill(MemorySegment target, byte value) {
        long byteSize = target.byteSize();
        for (long done = 0; done < byteSize; done += PIECE_BYTES) {
            target.asSlice(done, Math.min(PIECE_BYTES, byteSize - done)).fill(value);
        }
    }

    @Override
    public long signal(DriverQueue queue) {
        return ((HostQueue) queue).signal();
    }

    @Override
    public long completed(DriverQueue queue) {
        return ((HostQueue) queue).signalled();
    }

    @Override
    public void waitFor(DriverQueue queue, DriverQueue other, long value) {
        // A value that exists has been reached.
    }

    @Override
    public boolean await(DriverQueue queue, long value, Duration timeout) {
        return value <= ((HostQueue) queue).signalled();
    }

    @Override
    public DriverFence record(NativeQueue queue) throws DriverException {
        throw noUserQueues("record");
    }

    @Override
    public void waitFor(DriverQueue queue, DriverFence fence) throws DriverException {
        throw noUserQueues("waitFor");
    }

    @Override
    public void hold(NativeQueue queue, DriverQueue ours, long value) throws DriverException {
        throw noUserQueues("hold");
    }

    @Override
    public boolean awaitIdle(Duration timeout) {
        return true;
    }

    @Override
    public Optional<VirtualMemory> virtualMemory() {
        return ranges;
    }

    @Override
    public void close() {
        // The memory of the process is not a thing one can let go of.
    }

    private static DriverException noUserQueues(String call) {
        return unsupported(call, "host memory has no queues of a user's own");
    }

    private static DriverException unsupported(String call, String detail) {
        return new DriverException(DriverException.Kind.UNSUPPORTED, 0, call, detail);
    }

    /** A part of a block. Its segment lives as long as the block does. */
    private record Mapping(MemorySegment segment) implements HostMapping {

        @Override
        public void flush() {
            // Coherent: what the host wrote is where the device reads.
        }

        @Override
        public void invalidate() {
            // Coherent: what the device wrote is where the host reads.
        }

        @Override
        public void close() {
            // The memory was reachable before and stays so.
        }
    }
}
