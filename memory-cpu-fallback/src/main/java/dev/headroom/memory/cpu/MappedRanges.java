package dev.headroom.memory.cpu;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.VirtualMemory;

/**
 * Address ranges that Linux backs piece by piece.
 *
 * <table class="striped">
 * <caption>What each step asks of the kernel</caption>
 * <thead><tr><th>step</th><th>calls</th></tr></thead>
 * <tbody>
 * <tr><th>reserve</th><td>{@code mmap}, untouchable and not counted as promised memory; {@code madvise(MADV_HUGEPAGE)}</td></tr>
 * <tr><th>commit</th><td>{@code mprotect} to read and write</td></tr>
 * <tr><th>decommit</th><td>{@code madvise(MADV_DONTNEED)}</td></tr>
 * <tr><th>release</th><td>{@code munmap}</td></tr>
 * </tbody>
 * </table>
 *
 * <p><b>Decommit drops the memory and leaves the piece touchable.</b> A program that keeps the segment of a closed view and
 * reads it gets zeros instead of ending the process; what it writes takes memory that nobody counts, which is the lesser
 * evil. A kernel that counts promises rather than pages (strict overcommit) goes on counting the piece until release.
 *
 * <p><b>A failed {@code mprotect} may have changed part of its range</b>, namely where the kernel keeps the range as
 * several mappings. It is therefore always followed by one that puts the old state back.
 *
 * <p><b>Pieces are 2 MiB.</b> The kernel keeps neighbours in the same state as one mapping, but every change of state
 * along a range begins another, and a process may have only some 65,000 of them. In pieces of 2 MiB that many changes
 * span more than 100 GiB at the very worst, in pieces of a page a quarter of one. It is also the size of a large page
 * and of CUDA's pieces.
 *
 * <p><b>Large pages are asked for</b>, and it is no failure where there are none. A piece that is committed counts in full, so a
 * large page behind it takes nothing that was not counted; it is cleared in one go, and copies through it miss the processor's
 * address cache less often.
 *
 * <p>The engine commits a piece before anybody touches it. Touching one that never was committed ends the process, as it
 * would on a device.
 *
 * <p>Thread-safe: the kernel orders calls on one range, and there is no state here.
 */
final class MappedRanges implements VirtualMemory {

    private static final long PIECE_BYTES = 2L << 20;

    private final LinuxMemory linux;
    private final MappedBlocks blocks;
    private final long granularity;

    MappedRanges(LinuxMemory linux, MappedBlocks blocks) {
        this.linux = linux;
        this.blocks = blocks;
        granularity = Math.max(PIECE_BYTES, linux.pageSize());
    }

    @Override
    public boolean supports(MemoryKind kind) {
        return true;
    }

    @Override
    public long granularity() {
        return granularity;
    }

    @Override
    public DriverBlock reserve(long byteSize, MemoryKind kind) throws DriverException {
        int flags = LinuxMemory.MAP_PRIVATE_ANONYMOUS | LinuxMemory.MAP_NORESERVE;
        HostBlock range = blocks.map(byteSize, granularity, LinuxMemory.PROT_NONE, flags, kind);
        // Advice: a kernel built without large pages refuses it, and nothing else is different.
        int ignored = linux.advise(range.address(), byteSize, LinuxMemory.MADV_HUGEPAGE);
        return range;
    }

    @Override
    public void commit(DriverBlock range, long byteOffset, long byteSize) throws DriverException {
        long address = ((HostBlock) range).address() + byteOffset;
        int error = linux.protect(address, byteSize, LinuxMemory.PROT_READ_WRITE);
        if (error != 0) {
            throw restored(LinuxMemory.failure("mprotect", error), address, byteSize, LinuxMemory.PROT_NONE);
        }
    }

    @Override
    public FreeOutcome decommit(DriverBlock range, long byteOffset, long byteSize) {
        long address = ((HostBlock) range).address() + byteOffset;
        int error = linux.advise(address, byteSize, LinuxMemory.MADV_DONTNEED);
        return error == 0 ? FreeOutcome.freed() : FreeOutcome.failed(LinuxMemory.failure("madvise", error));
    }

    /**
     * Puts the old protection back, and says so in the failure if even that is refused: the engine leaves the piece
     * alone.
     */
    private DriverException restored(DriverException failure, long address, long byteSize, int protection) {
        int error = linux.protect(address, byteSize, protection);
        if (error != 0) {
            failure.addSuppressed(LinuxMemory.failure("mprotect", error));
        }
        return failure;
    }

    @Override
    public FreeOutcome release(DriverBlock range) {
        return blocks.free((HostBlock) range);
    }
}
