package dev.headroom.memory.model.placement;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryDomain;
import dev.headroom.memory.Selection;
import dev.headroom.memory.Verdict;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToLongFunction;

/** Makes the places of a model out of verdicts on devices. */
final class JudgedPlaces {

    private final GpuMemory memory;
    private final Selection selection;
    private final ToLongFunction<GpuDevice> overhead;

    JudgedPlaces(GpuMemory memory, Selection selection, ToLongFunction<GpuDevice> overhead) {
        this.memory = memory;
        this.selection = selection;
        this.overhead = overhead;
    }

    PlacementMachine machine() {
        Map<MemoryDomain, Verdict> judged = new LinkedHashMap<>();
        for (Verdict verdict : selection.verdicts()) {
            Optional<GpuDevice> device = verdict.device();
            if (answered(verdict) && device.isPresent() && device.get().deviceClass() != DeviceClass.HOST) {
                judged.putIfAbsent(memory.domain(device.get()), verdict);
            }
        }
        Optional<PlacementDevice> shared =
                Optional.ofNullable(judged.remove(MemoryDomain.HOST)).map(this::place);
        List<PlacementDevice> own =
                new ArrayList<>(judged.values().stream().map(this::place).toList());
        if (own.isEmpty() && shared.isPresent()) {
            return new PlacementMachine(List.of(shared.get()), Optional.empty());
        }
        Optional<PlacementDevice> host = host();
        if (host.isEmpty()) { // then nothing else stands for that memory
            shared.ifPresent(own::add);
        }
        return new PlacementMachine(own, host);
    }

    private Optional<PlacementDevice> host() {
        return host(selection)
                .or(() -> host(memory.explainSelection(selection.requiredBytes())))
                .map(this::place);
    }

    private static Optional<Verdict> host(Selection selection) {
        return selection.verdicts().stream()
                .filter(verdict -> answered(verdict)
                        && verdict.device()
                                .filter(device -> device.deviceClass() == DeviceClass.HOST)
                                .isPresent())
                .findFirst();
    }

    /** Whether the driver says how much memory there is. */
    private static boolean answered(Verdict verdict) {
        return verdict.budget().isPresent();
    }

    private PlacementDevice place(Verdict verdict) {
        return PlacementDevice.of(verdict.target(), verdict.usableBytes())
                .withOverhead(verdict.device().map(overhead::applyAsLong).orElse(0L))
                .withOccupied(verdict.budget().map(JudgedPlaces::occupied).orElse(0L));
    }

    private static long occupied(MemoryBudget budget) {
        return budget.totalBytes() - budget.freeBytes().orElse(budget.totalBytes());
    }
}
