package dev.headroom.memory.engine;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryBudget.Source;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * The best free figure of a memory, whichever of those that show it has it. Measured beats derived, derived beats unknown;
 * the device's own comes first, then the kernel's, then that of another API. Stateless.
 */
final class FreeFigures {

    /**
     * What another API says of the same memory.
     *
     * @param device the device it shows
     * @param ask    its figures, empty if its driver does not answer
     */
    record Other(GpuDevice device, Function<GpuDevice, Optional<MemoryBudget>> ask) {}

    /** A card's total may differ from API to API, but not by so many times: then it is another memory. */
    private static final int MOST_TIMES = 2;

    private final CardFiles files;

    FreeFigures(CardFiles files) {
        this.files = files;
    }

    /**
     * Betters a free figure that is not measured.
     *
     * @param device     the device
     * @param own        what its own driver says
     * @param hostMemory whether its memory is the host's, of which the files of cards know nothing
     * @param others     the other devices of the same memory, the one to believe most first
     * @return the figures, with the device's own total
     */
    MemoryBudget best(GpuDevice device, MemoryBudget own, boolean hostMemory, List<Other> others) {
        if (own.source() == Source.MEASURED) {
            return own;
        }
        if (!hostMemory) {
            Optional<MemoryBudget> kernels = ofKernel(device, own, others);
            if (kernels.isPresent()) {
                return kernels.get();
            }
        }
        MemoryBudget best = own;
        for (Other other : others) {
            MemoryBudget theirs = other.ask().apply(other.device()).orElse(own);
            if (theirs.source() == Source.MEASURED) {
                return borrowed(own, theirs, "measured by " + other.device().id());
            }
            if (theirs.source() == Source.DERIVED && best.source() == Source.UNKNOWN) {
                best = borrowed(own, theirs, "derived by " + other.device().id());
            }
        }
        return best;
    }

    private Optional<MemoryBudget> ofKernel(GpuDevice device, MemoryBudget own, List<Other> others) {
        List<GpuDevice> all = new ArrayList<>();
        all.add(device);
        others.forEach(other -> all.add(other.device()));
        return all.stream()
                .filter(one -> !one.physicalId().isSlice())
                .flatMap(one -> one.physicalId().pciAddress().stream())
                .distinct()
                .flatMap(address -> files.read(address).stream())
                .filter(figures -> isOfSameSize(figures.totalBytes(), own.totalBytes()))
                .findFirst()
                .map(figures -> lagging(
                        own.lagging(),
                        MemoryBudget.measured(
                                own.totalBytes(),
                                figures.freeBytes(),
                                figures.file().toString())));
    }

    private static boolean isOfSameSize(long one, long other) {
        return one / MOST_TIMES <= other && other / MOST_TIMES <= one;
    }

    private static MemoryBudget borrowed(MemoryBudget own, MemoryBudget theirs, String how) {
        MemoryBudget derived =
                MemoryBudget.derived(own.totalBytes(), theirs.freeBytes().orElseThrow(), theirs.detail() + ", " + how);
        return lagging(own.lagging() || theirs.lagging(), derived);
    }

    private static MemoryBudget lagging(boolean lags, MemoryBudget budget) {
        return lags ? budget.withLag() : budget;
    }
}
