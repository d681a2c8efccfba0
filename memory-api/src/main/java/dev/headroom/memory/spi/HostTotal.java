package dev.headroom.memory.spi;

import com.sun.management.OperatingSystemMXBean;
import dev.headroom.memory.MemoryBudget;
import java.lang.management.ManagementFactory;

/** How much memory the host has, for the staging kinds of backends whose API knows nothing of the host. */
public final class HostTotal {

    private HostTotal() {}

    /**
     * The host's memory, or what its container allows.
     *
     * @param api what does not tell more, such as {@code OpenCL}
     * @return the total; what is free is not known. In a Java runtime without the module {@code jdk.management} the maximum of
     *     the Java heap
     */
    public static MemoryBudget budget(String api) {
        try {
            if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
                return MemoryBudget.unknown(
                        system.getTotalMemorySize(),
                        "the host's memory as the JVM sees it; %s does not tell what is free there".formatted(api));
            }
        } catch (LinkageError withoutManagement) {
            // the runtime was linked without it
        }
        return MemoryBudget.unknown(Runtime.getRuntime().maxMemory(), "the maximum of the Java heap");
    }
}
