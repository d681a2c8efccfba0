package dev.headroom.memory;

import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.Arrays;
import java.util.List;

/** Sizes and simulated machines the tests of selection, budget and fallback share. */
final class Machine {

    static final long MIB = 1L << 20;
    static final long GIB = 1L << 30;

    private Machine() {}

    /** Devices of one backend with the priority the real one has. */
    static SimulatedBackend backend(String name, SimulatedDevice.Builder... devices) {
        int priority = switch (name) {
            case "cuda" -> 400;
            case "opencl" -> 300;
            case "vulkan" -> 200;
            case "cpu" -> 0;
            default -> 100;
        };
        SimulatedBackend.Builder builder = SimulatedBackend.builder(name).priority(priority);
        for (SimulatedDevice.Builder device : devices) {
            builder.device(device);
        }
        return builder.build();
    }

    static SimulatedDevice.Builder card(String name, long totalBytes) {
        return SimulatedDevice.builder(name).totalBytes(totalBytes);
    }

    static SimulatedDevice.Builder ofClass(DeviceClass deviceClass, String name, long totalBytes) {
        SimulatedDevice.Builder device = SimulatedDevice.builder(name).deviceClass(deviceClass);
        return deviceClass.compareTo(DeviceClass.INTEGRATED) >= 0
                ? device.memory(PhysicalMemory.host(totalBytes))
                : device.totalBytes(totalBytes);
    }

    /** What has no margins: every byte of a device may be taken. */
    static MemoryConfig whole() {
        return MemoryConfig.builder().fraction(1).minFreeBytes(0).build();
    }

    static GpuMemory open(MemoryConfig config, MemoryBackend... backends) {
        return open(config, List.of(), backends);
    }

    static GpuMemory open(MemoryConfig config, List<String> order, MemoryBackend... backends) {
        GpuMemory.Builder builder = GpuMemory.builder().config(config).backendOrder(order);
        Arrays.stream(backends).forEach(builder::backend);
        return builder.open();
    }
}
