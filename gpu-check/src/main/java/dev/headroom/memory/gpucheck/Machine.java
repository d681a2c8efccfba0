package dev.headroom.memory.gpucheck;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.cuda.CudaBackend;
import dev.headroom.memory.spi.DriverException;
import java.time.LocalDate;
import java.time.ZoneOffset;
import jcuda.driver.JCudaDriver;

/**
 * Where the figures come from.
 *
 * @param date   the day, in UTC
 * @param gpu    the card's name
 * @param identity its UUID and PCI address
 * @param capability its compute capability
 * @param cuda   the CUDA version the driver offers, thousands for the major and tens for the minor number
 * @param budget its memory
 * @param java   the runtime
 * @param system the operating system
 */
record Machine(
        LocalDate date,
        String gpu,
        String identity,
        String capability,
        int cuda,
        String budget,
        String java,
        String system) {

    private static final int MAJOR = 1000;
    private static final int MINOR = 10;

    /** Looks; JCuda must have been loaded by a probe. */
    static Machine of(CudaBackend backend, GpuDevice device) {
        int[] version = new int[1];
        JCudaDriver.cuDriverGetVersion(version);
        return new Machine(
                LocalDate.now(ZoneOffset.UTC),
                device.name(),
                identity(device),
                device.computeCapability().orElse("?"),
                version[0],
                budget(backend, device),
                System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version"),
                System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                        + System.getProperty("os.arch"));
    }

    private static String identity(GpuDevice device) {
        return "UUID %s, PCI address %s"
                .formatted(
                        device.physicalId().uuid().orElse("?"),
                        device.physicalId().pciAddress().orElse("?"));
    }

    private static String budget(CudaBackend backend, GpuDevice device) {
        try {
            MemoryBudget budget = backend.budget(device);
            String free = budget.freeBytes().isPresent()
                    ? ByteSize.format(budget.freeBytes().getAsLong())
                    : "?";
            return "%s of %s free".formatted(free, ByteSize.format(budget.totalBytes()));
        } catch (DriverException e) {
            return String.valueOf(e.getMessage());
        }
    }

    String cudaText() {
        return cuda / MAJOR + "." + cuda % MAJOR / MINOR;
    }

    String text() {
        return """
                gpu      %s (compute capability %s), %s
                         %s
                driver   CUDA %s
                java     %s
                system   %s
                date     %s""".formatted(gpu, capability, budget, identity, cudaText(), java, system, date);
    }
}
