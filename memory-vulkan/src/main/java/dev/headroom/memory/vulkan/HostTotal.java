package dev.headroom.memory.vulkan;

import com.sun.management.OperatingSystemMXBean;
import dev.headroom.memory.MemoryBudget;
import java.lang.management.ManagementFactory;

/** How much memory the host has, for the staging kinds. Vulkan knows only what it may take of it. */
final class HostTotal {

    private HostTotal() {}

    /** The host's memory, or what the container allows. */
    static MemoryBudget budget() {
        if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
            return MemoryBudget.unknown(
                    system.getTotalMemorySize(),
                    "the host's memory as the JVM sees it; Vulkan does not tell what is free there");
        }
        return MemoryBudget.unknown(Runtime.getRuntime().maxMemory(), "the maximum of the Java heap");
    }
}
