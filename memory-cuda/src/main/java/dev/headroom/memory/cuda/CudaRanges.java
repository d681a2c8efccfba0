package dev.headroom.memory.cuda;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.FreeOutcome;
import dev.headroom.memory.spi.VirtualMemory;
import java.util.Optional;

/**
 * Address ranges that the device backs granule by granule.
 *
 * <table class="striped">
 * <caption>What each step asks of the driver</caption>
 * <thead><tr><th>step</th><th>calls</th></tr></thead>
 * <tbody>
 * <tr><th>reserve</th><td>{@code cuMemAddressReserve}</td></tr>
 * <tr><th>commit</th><td>for each granule {@code cuMemCreate} and {@code cuMemMap}; {@code cuMemSetAccess} for all</td></tr>
 * <tr><th>decommit</th><td>{@code cuMemUnmap} for all; {@code cuMemRelease} for each granule</td></tr>
 * <tr><th>release</th><td>both, for what is left; {@code cuMemAddressFree}</td></tr>
 * </tbody>
 * </table>
 *
 * <p>Thread-safe for disjoint pieces.
 */
final class CudaRanges implements VirtualMemory {

    private final CudaApi cuda;
    private final PrimaryContext context;
    private final long granularity;

    private CudaRanges(CudaApi cuda, PrimaryContext context, long granularity) {
        this.cuda = cuda;
        this.context = context;
        this.granularity = granularity;
    }

    /**
     * Looks whether a device has them, and how large a granule is.
     *
     * @return the operations; empty where the device or its driver has none, or does not say
     * @throws DriverException if the device is lost
     */
    static Optional<VirtualMemory> find(CudaApi cuda, PrimaryContext context) throws DriverException {
        if (!context.device().hasVirtualMemory()) {
            return Optional.empty();
        }
        long[] granule = new long[1];
        int device = context.device().handle().number();
        int code = context.answer(() -> cuda.granularity(granule, device));
        if (code != CudaApi.SUCCESS) {
            DriverException failure = context.failed("cuMemGetAllocationGranularity", code);
            if (failure.kind() == DriverException.Kind.DEVICE_LOST) {
                throw failure;
            }
            return Optional.empty();
        }
        return Long.bitCount(granule[0]) == 1
                ? Optional.of(new CudaRanges(cuda, context, granule[0]))
                : Optional.empty();
    }

    @Override
    public boolean supports(MemoryKind kind) {
        return kind == MemoryKind.DEVICE;
    }

    @Override
    public long granularity() {
        return granularity;
    }

    @Override
    public DriverBlock reserve(long byteSize, MemoryKind kind) throws DriverException {
        long alignment = Math.max(granularity, AllocationRequest.MAX_ALIGNMENT);
        long[] address = new long[1];
        context.run("cuMemAddressReserve", () -> cuda.reserveAddresses(address, byteSize, alignment));
        return new CudaRange(cuda, context, address[0], byteSize, granularity);
    }

    @Override
    public void commit(DriverBlock range, long byteOffset, long byteSize) throws DriverException {
        ((CudaRange) range).commit(byteOffset, byteSize);
    }

    @Override
    public FreeOutcome decommit(DriverBlock range, long byteOffset, long byteSize) {
        return ((CudaRange) range).decommit(byteOffset, byteSize);
    }

    @Override
    public FreeOutcome release(DriverBlock range) {
        return ((CudaRange) range).release();
    }
}
