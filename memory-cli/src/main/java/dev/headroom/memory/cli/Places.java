package dev.headroom.memory.cli;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryDomain;
import dev.headroom.memory.Selection;
import dev.headroom.memory.Verdict;
import dev.headroom.memory.model.placement.PlacementDevice;
import dev.headroom.memory.model.placement.PlacementMachine;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToLongFunction;

/** The places a model can be laid out over, each physical memory once. */
final class Places {

    private Places() {}

    /**
     * The devices that were judged, the preferred one of each memory, and the host beside them even if it was not asked for.
     * Devices that share the host's memory count only where there are no others; the first of them then stands for the host
     * too. What was learned counts as overhead of the device.
     */
    static PlacementMachine of(GpuMemory memory, Selection selection, ToLongFunction<GpuDevice> learned) {
        Set<MemoryDomain> seen = new HashSet<>();
        List<PlacementDevice> own = new ArrayList<>();
        List<PlacementDevice> shared = new ArrayList<>();
        for (Verdict verdict : selection.verdicts()) {
            Optional<GpuDevice> device = verdict.device();
            if (device.isEmpty() || device.get().deviceClass() == DeviceClass.HOST) {
                continue;
            }
            MemoryDomain domain = memory.domain(device.get());
            if (seen.add(domain)) {
                (domain.host() ? shared : own).add(place(verdict, learned));
            }
        }
        if (own.isEmpty() && !shared.isEmpty()) {
            return new PlacementMachine(shared, Optional.empty());
        }
        return new PlacementMachine(own, host(memory, selection, learned));
    }

    private static Optional<PlacementDevice> host(
            GpuMemory memory, Selection selection, ToLongFunction<GpuDevice> learned) {
        return host(selection)
                .or(() -> host(memory.explainSelection(selection.requiredBytes())))
                .map(verdict -> place(verdict, learned));
    }

    private static Optional<Verdict> host(Selection selection) {
        return selection.verdicts().stream()
                .filter(verdict -> verdict.device()
                        .filter(device -> device.deviceClass() == DeviceClass.HOST)
                        .isPresent())
                .findFirst();
    }

    private static PlacementDevice place(Verdict verdict, ToLongFunction<GpuDevice> learned) {
        return PlacementDevice.of(verdict.target(), verdict.usableBytes())
                .withOverhead(verdict.device().map(learned::applyAsLong).orElse(0L))
                .withOccupied(verdict.budget().map(Places::occupied).orElse(0L));
    }

    private static long occupied(MemoryBudget budget) {
        return budget.totalBytes() - budget.freeBytes().orElse(budget.totalBytes());
    }
}
