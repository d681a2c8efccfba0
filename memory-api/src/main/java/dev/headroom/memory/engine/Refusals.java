package dev.headroom.memory.engine;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.ByteSize;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.spi.DriverException;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Says no in words an operator can act on: what was wanted, what there is and why, and what to change. */
final class Refusals {

    private final GpuDevice device;
    private final boolean limited;
    private final Supplier<MemoryStats> stats;
    private final LeakTracker leaks;
    private final ToLongFunction<DomainLedger> ownBytes;

    /**
     * Says no for one pool.
     *
     * @param device   its device
     * @param limited  whether an absolute limit is set
     * @param stats    its figures
     * @param leaks    what is known about its buffers
     * @param ownBytes what the pool itself holds, or lost, of a domain's memory
     */
    Refusals(
            GpuDevice device,
            boolean limited,
            Supplier<MemoryStats> stats,
            LeakTracker leaks,
            ToLongFunction<DomainLedger> ownBytes) {
        this.device = device;
        this.limited = limited;
        this.stats = stats;
        this.leaks = leaks;
        this.ownBytes = ownBytes;
    }

    /** The device gives no single block so large. */
    AllocationTooLargeException overLargestBlock(AllocationRequest request, long largest) {
        return new AllocationTooLargeException(
                "%s: %s wanted, but a single allocation can have at most %s here; split it"
                        .formatted(device, ByteSize.format(request.byteSize()), ByteSize.format(largest)),
                request.byteSize(),
                largest);
    }

    /** Not even an empty device would do. */
    AllocationTooLargeException overCeiling(AllocationRequest request, BudgetRule.Allowance allowance) {
        return new AllocationTooLargeException(
                "%s: %s wanted, but this pool can never hold more than %s (%s); %s"
                        .formatted(
                                device,
                                ByteSize.format(request.byteSize()),
                                ByteSize.format(allowance.ceilingBytes()),
                                allowance.terms(),
                                limited ? "raise limitBytes" : "raise gpuMemoryFraction, or choose a larger device"),
                request.byteSize(),
                allowance.ceilingBytes());
    }

    /** Every rung was climbed in vain. */
    DeviceOutOfMemoryException outOfMemory(Heap heap, AllocationRequest request, Heap.@Nullable Refusal refusal) {
        MemoryStats now = stats.get();
        BlockList.Figures figures = heap.blocks().figures();
        BudgetRule.Allowance allowance = refusal == null ? BudgetRule.Allowance.NONE : refusal.allowance();
        DriverException cause = refusal == null ? null : refusal.cause();
        long needed = refusal == null ? request.byteSize() : refusal.neededBytes();
        String why = cause == null
                ? "but only %s more can be had (%s)"
                        .formatted(ByteSize.format(allowance.usableBytes()), allowance.terms())
                : "and the budget allows it (%s), but the driver refused: %s"
                        .formatted(allowance.terms(), cause.getMessage());
        String cure = cause == null
                ? allowance.cure(Math.max(0, needed - allowance.usableBytes()))
                : "close other programs on the device";
        Particulars particulars = particulars(heap, request, figures);
        String message =
                "%s: %s wanted, %s. Largest free range %s, %s in buffers, %s held from the driver.%s To make room, %s%s%s"
                        .formatted(
                                device,
                                ByteSize.format(request.byteSize()),
                                why,
                                ByteSize.format(figures.largestFree()),
                                ByteSize.format(now.inUseBytes()),
                                ByteSize.format(now.totalAllocatedBytes()),
                                particulars.causes,
                                leaks.hint(now.activeBuffers()),
                                particulars.cures,
                                cure);
        DeviceOutOfMemoryException.Figures all = new DeviceOutOfMemoryException.Figures(
                device.id(),
                request.byteSize(),
                figures.largestFree(),
                now.inUseBytes(),
                now.totalAllocatedBytes(),
                allowance.usableBytes(),
                allowance.ceilingBytes(),
                allowance.byLimit(),
                now.activeBuffers());
        return cause == null
                ? new DeviceOutOfMemoryException(message, all)
                : new DeviceOutOfMemoryException(message, all, cause);
    }

    /** Further causes, as sentences, and their cures, each before an "or". */
    private static final class Particulars {
        private final StringBuilder causes = new StringBuilder();
        private final StringBuilder cures = new StringBuilder();

        private void add(String cause, String cure) {
            causes.append(' ').append(cause).append('.');
            cures.append(cure).append(" or ");
        }
    }

    private Particulars particulars(Heap heap, AllocationRequest request, BlockList.Figures figures) {
        Particulars particulars = new Particulars();
        DomainLedger ledger = heap.accountant().ledger();
        DomainLedger.Figures booked = ledger.figures();
        long elsewhere = booked.heldBytes() - ownBytes.applyAsLong(ledger);
        boolean inOnePiece = figures.largestFree() >= request.byteSize();
        if (inOnePiece && request.byteAlignment() > Tlsf.DEFAULT_GRANULE) {
            particulars.add(
                    "A free range is large enough, but has no place at a multiple of %s"
                            .formatted(ByteSize.format(request.byteAlignment())),
                    "ask for a smaller alignment");
        } else if (!inOnePiece && figures.freeBytes() >= request.byteSize()) {
            particulars.add(
                    "%s lie free in the pool, but in pieces, none of them large enough"
                            .formatted(ByteSize.format(figures.freeBytes())),
                    "ask for smaller pieces");
        }
        if (elsewhere > 0) {
            particulars.add(
                    "Other pools of this process hold %s of the same memory".formatted(ByteSize.format(elsewhere)),
                    "close buffers of those pools");
        }
        if (booked.reservedBytes() > 0) {
            particulars.add(
                    "Reservations hold %s of it back".formatted(ByteSize.format(booked.reservedBytes())),
                    "close reservations");
        }
        if (heap.blocks().hasClassFor(request.byteSize(), request.byteAlignment())) {
            String classes = heap.blocks().classFigures().stream()
                    .map(blocks -> "%d of %d blocks of %s"
                            .formatted(
                                    blocks.allocatedBlocks(),
                                    blocks.totalBlocks(),
                                    ByteSize.format(blocks.blockSize())))
                    .collect(Collectors.joining(", "));
            particulars.causes.append(" Block classes in use: ").append(classes).append('.');
        }
        return particulars;
    }

    /** The refusal of a device, with the reason why the host did not help. */
    static GpuMemoryException withoutHost(
            GpuMemoryException refusal, @Nullable String reason, @Nullable Throwable host) {
        String message = refusal.getMessage() + ". Host memory did not stand in: " + reason;
        Throwable cause = refusal.getCause();
        GpuMemoryException both = switch (refusal) {
            case AllocationTooLargeException large ->
                new AllocationTooLargeException(message, large.requestedBytes(), large.maxBytes());
            case DeviceOutOfMemoryException full ->
                cause == null
                        ? new DeviceOutOfMemoryException(message, full.figures())
                        : new DeviceOutOfMemoryException(message, full.figures(), cause);
            default -> refusal;
        };
        if (host != null) {
            both.addSuppressed(host);
        }
        return both;
    }
}
