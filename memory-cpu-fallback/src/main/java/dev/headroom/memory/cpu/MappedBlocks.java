package dev.headroom.memory.cpu;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * Blocks straight from Linux. A new mapping has no memory behind it: the kernel finds a page, and clears it, when it is
 * first touched. Taking a block therefore costs the same whatever its size, and nothing is cleared twice.
 */
final class MappedBlocks implements BlockSource {

    private final LinuxMemory linux;
    private final long pageSize;

    MappedBlocks(LinuxMemory linux) {
        this.linux = linux;
        pageSize = linux.pageSize();
    }

    @Override
    public long granularity() {
        return pageSize;
    }

    /**
     * {@inheritDoc}
     *
     * <p>Without {@code MAP_NORESERVE}: where the system checks at all, it then refuses a block larger than the machine
     * at once instead of ending the process when the block is filled.
     */
    @Override
    public HostBlock allocate(long byteSize, long byteAlignment, MemoryKind kind) throws DriverException {
        return map(byteSize, byteAlignment, LinuxMemory.PROT_READ_WRITE, LinuxMemory.MAP_PRIVATE_ANONYMOUS, kind);
    }

    /** Makes a mapping and the segment over it. */
    HostBlock map(long byteSize, long byteAlignment, int protection, int flags, MemoryKind kind)
            throws DriverException {
        long address = mapAligned(byteSize, byteAlignment, protection, flags);
        try {
            Arena arena = Arena.ofShared();
            return new HostBlock(kind, segmentAt(address, byteSize, arena), arena);
        } catch (Throwable noHeap) {
            // Java ran out of memory for its own small objects; the mapping must not be lost with them.
            linux.unmap(address, byteSize);
            throw noHeap;
        }
    }

    /**
     * Maps at a multiple of an alignment. The kernel promises pages and no more; for a larger alignment this maps as
     * much too much as the answer can be off, and gives both ends back.
     *
     * <p>Addresses given back belong to anybody from that moment on. So when a later step fails, only what is still
     * ours is given back, never the whole of the first mapping.
     */
    private long mapAligned(long byteSize, long byteAlignment, int protection, int flags) throws DriverException {
        long excess = Math.max(byteAlignment - pageSize, 0);
        long mapped = linux.map(byteSize + excess, protection, flags);
        if (mapped < 0) {
            throw LinuxMemory.failure("mmap", (int) -mapped);
        }
        long address = (mapped + byteAlignment - 1) & -byteAlignment;
        long before = address - mapped;
        long after = excess - before;
        int error = before > 0 ? linux.unmap(mapped, before) : 0;
        if (error != 0) {
            throw undo(mapped, byteSize + excess, error);
        }
        error = after > 0 ? linux.unmap(address + byteSize, after) : 0;
        if (error != 0) {
            throw undo(address, byteSize + after, error);
        }
        return address;
    }

    /** Gives back what is left of a mapping that could not be cut to size. */
    private DriverException undo(long address, long byteSize, int error) {
        DriverException failure = LinuxMemory.failure("munmap", error);
        int second = linux.unmap(address, byteSize);
        if (second != 0) {
            // Untouched pages: addresses are lost, memory is not.
            failure.addSuppressed(LinuxMemory.failure("munmap", second));
        }
        return failure;
    }

    /** {@inheritDoc} Segments end first, so that no thread is inside the memory when it goes. */
    @Override
    public FreeOutcome free(HostBlock block) {
        Optional<DriverException> inUse = block.endSegments();
        if (inUse.isPresent()) {
            return new FreeOutcome(inUse);
        }
        int error = linux.unmap(block.address(), block.byteSize());
        return error == 0 ? FreeOutcome.freed() : FreeOutcome.failed(LinuxMemory.failure("munmap", error));
    }

    /**
     * From here on the number is memory. The arena bounds its life; {@link #free} does the unmapping, to see whether it
     * works.
     */
    @SuppressWarnings("restricted")
    private static MemorySegment segmentAt(long address, long byteSize, Arena arena) {
        return MemorySegment.ofAddress(address).reinterpret(byteSize, arena, null);
    }
}
