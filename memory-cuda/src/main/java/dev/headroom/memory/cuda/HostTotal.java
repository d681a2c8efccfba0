package dev.headroom.memory.cuda;

import com.sun.management.OperatingSystemMXBean;
import dev.headroom.memory.MemoryBudget;
import java.lang.management.ManagementFactory;

/** How much memory the host has, for the staging kinds. CUDA itself knows nothing of the host. */
final class HostTotal {

    private HostTotal() {}

    /** The host's memory, or what the container allows. */
    static MemoryBudget budget() {
        if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
            return MemoryBudget.unknown(
                    system.getTotalMemorySize(),
                    "the host's memory as the JVM sees it; CUDA does not tell what is free");
        }
        return MemoryBudget.unknown(Runtime.getRuntime().maxMemory(), "the maximum of the Java heap");
    }
}
