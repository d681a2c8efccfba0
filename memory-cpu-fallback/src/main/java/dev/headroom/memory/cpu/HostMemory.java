package dev.headroom.memory.cpu;

import com.sun.management.OperatingSystemMXBean;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.cpu.ControlGroups.Limit;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;

/**
 * How much memory the host has and how much of it is free: what Linux says of the machine and what the container
 * allows, whichever is lower, each figure for itself.
 *
 * <p>All figures are the kernel's and see every process, so they count as measured. They are read anew each time, which
 * is a handful of small files. They lag: a mapping lowers them only when it is touched.
 *
 * <p>Thread-safe, without state.
 */
final class HostMemory {

    private final Path root;
    private final Supplier<MemoryBudget> elsewhere;

    /**
     * Reads below a folder, which is another one in tests.
     *
     * @param root      the folder {@code proc} and {@code sys} are in
     * @param elsewhere who answers if they are not
     */
    HostMemory(Path root, Supplier<MemoryBudget> elsewhere) {
        this.root = root;
        this.elsewhere = elsewhere;
    }

    /** The memory of this machine. */
    static HostMemory ofSystem() {
        return new HostMemory(Path.of("/"), HostMemory::askJava);
    }

    /** Total and free memory now. Never fails: what nothing tells is unknown. */
    MemoryBudget read() {
        List<String> lines = KernelFiles.lines(root.resolve("proc/meminfo"));
        OptionalLong machineBytes = bytes(lines, "MemTotal:");
        if (machineBytes.isEmpty()) {
            return elsewhere.get().withLag();
        }
        List<Limit> limits = ControlGroups.limits(root, machineBytes.getAsLong());
        Optional<Limit> lowest = limits.stream().min(Comparator.comparingLong(Limit::limitBytes));
        long totalBytes = lowest.map(Limit::limitBytes).orElse(machineBytes.getAsLong());
        return free(lines, totalBytes, lowest, limits).withLag();
    }

    private static MemoryBudget free(List<String> lines, long totalBytes, Optional<Limit> lowest, List<Limit> limits) {
        // Available is what is free or can be made so, such as file contents. Kernels before 3.14 do not tell.
        String name = bytes(lines, "MemAvailable:").isPresent() ? "MemAvailable" : "MemFree";
        OptionalLong machineFree = bytes(lines, name + ":");
        Optional<Limit> fullest = limits.stream().min(Comparator.comparingLong(Limit::freeBytes));
        if (fullest.isPresent() && fullest.get().freeBytes() < machineFree.orElse(Long.MAX_VALUE)) {
            return MemoryBudget.measured(
                    totalBytes, fullest.get().freeBytes(), fullest.get().label());
        }
        String within = lowest.map(limit -> ", within " + limit.label()).orElse("");
        if (machineFree.isEmpty()) {
            return MemoryBudget.unknown(totalBytes, "MemTotal of /proc/meminfo" + within);
        }
        return MemoryBudget.measured(totalBytes, machineFree.getAsLong(), name + " of /proc/meminfo" + within);
    }

    /** A figure of {@code /proc/meminfo}, which counts in units of 1024 bytes. */
    private static OptionalLong bytes(List<String> lines, String name) {
        OptionalLong units = KernelFiles.number(lines, name);
        return units.isPresent() ? OptionalLong.of(Math.min(units.getAsLong(), Long.MAX_VALUE >> 10) << 10) : units;
    }

    /** The figures of systems other than Linux. A small runtime image may lack the class that has them. */
    private static MemoryBudget askJava() {
        try {
            if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
                return MemoryBudget.measured(
                        system.getTotalMemorySize(), system.getFreeMemorySize(), "OperatingSystemMXBean");
            }
        } catch (LinkageError absent) {
            // Answered below.
        }
        return MemoryBudget.unknown(
                Runtime.getRuntime().maxMemory(), "maximum of the Java heap, for want of a figure of the system's");
    }
}
