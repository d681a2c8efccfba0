package dev.headroom.memory.cuda;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.HostMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Memory of the host that stays where it is, by {@code cuMemHostAlloc}: the device copies from and to it on its own, and
 * kernels reach it under the same address.
 *
 * <p>Its segment belongs to one arena, which ends with the block: one that somebody kept throws, where a bare address
 * would end the process. Thread-safe.
 */
final class PinnedBlock implements CudaBlock {

    /** For all devices, so that staging memory of one serves another too. */
    private static final int PORTABLE = 1;

    private static final int MAPPED = 2;

    /** Faster for a device that reads, and very slow for a host that does. */
    private static final int WRITE_COMBINED = 4;

    private final PrimaryContext context;
    private final MemoryKind kind;
    private final Alignment.Place place;
    private final Alignment.Source source;
    private final Arena arena;
    private final MemorySegment segment;
    private final AtomicBoolean freed = new AtomicBoolean();

    @SuppressWarnings("restricted")
    private PinnedBlock(
            PrimaryContext context,
            MemoryKind kind,
            long byteSize,
            Alignment.Place place,
            Alignment.Source source,
            Arena arena) {
        this.context = context;
        this.kind = kind;
        this.place = place;
        this.source = source;
        this.arena = arena;
        segment = MemorySegment.ofAddress(place.address()).reinterpret(byteSize, arena, null);
    }

    static PinnedBlock allocate(CudaApi cuda, PrimaryContext context, BlockRequest request) throws DriverException {
        int flags = PORTABLE | MAPPED | (request.kind() == MemoryKind.UPLOAD ? WRITE_COMBINED : 0);
        Alignment.Source source = new Source(cuda, context, flags);
        Arena arena = Arena.ofShared();
        boolean taken = false;
        try {
            Alignment.Place place = Alignment.take(request.byteSize(), request.byteAlignment(), source);
            taken = true;
            return new PinnedBlock(context, request.kind(), request.byteSize(), place, source, arena);
        } finally {
            if (!taken) {
                arena.close();
            }
        }
    }

    @Override
    public PrimaryContext context() {
        return context;
    }

    @Override
    public long address() {
        return place.address();
    }

    @Override
    public long byteSize() {
        return segment.byteSize();
    }

    @Override
    public MemoryKind kind() {
        return kind;
    }

    /** The host always reaches it. */
    HostMapping map(long byteOffset, long size) {
        return new Mapping(segment.asSlice(byteOffset, size));
    }

    /** Gives it back, the first time. */
    FreeOutcome free() {
        if (freed.getAndSet(true)) {
            return FreeOutcome.failed(CudaBlock.freedBefore("cuMemFreeHost"));
        }
        try {
            arena.close();
        } catch (IllegalStateException inUse) {
            return FreeOutcome.failed(new DriverException(
                    DriverException.Kind.UNEXPECTED,
                    0,
                    "cuMemFreeHost",
                    "somebody is inside native code with its memory"));
        }
        return source.giveBack(place.given());
    }

    private record Source(CudaApi cuda, PrimaryContext context, int flags) implements Alignment.Source {

        @Override
        public long take(long byteSize) throws DriverException {
            long[] address = new long[1];
            context.run("cuMemHostAlloc", () -> cuda.allocateHost(address, byteSize, flags));
            return address[0];
        }

        @Override
        public FreeOutcome giveBack(long address) {
            return context.giveBack("cuMemFreeHost", () -> cuda.freeHost(address));
        }
    }

    /**
     * A part of a block.
     *
     * @param segment its bytes
     */
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
