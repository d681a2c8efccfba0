package dev.headroom.memory.vulkan;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import java.lang.foreign.Arena;

/** What is run in a process of its own, because it may end the process, or because the process is what is looked at. */
final class VulkanChild {

    private VulkanChild() {}

    /** Does what the first argument says. Prints only what the test reads. */
    public static void main(String[] args) {
        switch (args[0]) {
            case "probe" -> probe();
            case "backend of memory" -> {
                probe();
                System.out.println(System.getProperty("org.lwjgl.system.memoryBackend"));
            }
            case "write" -> write();
            case "left open" -> {
                leaveOpen();
                end(args[1]);
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    /** Prints one line: the reason, or the number of devices. Twice, because the second probe must say the same. */
    private static void probe() {
        for (int i = 0; i < 2; i++) {
            VulkanBackend backend = new VulkanBackend();
            System.out.println(
                    switch (backend.probe()) {
                        case BackendProbe.Available(var devices) -> "devices: " + devices.size();
                        case BackendProbe.Unavailable(String reason, String hint) -> reason + " | " + hint;
                    });
            backend.close();
        }
    }

    /** A whole life, to its proper end. */
    private static void write() {
        try (GpuMemory memory = GpuMemory.builder().backend(new VulkanBackend()).open();
                DeviceBuffer buffer = memory.pool(memory.devices().getFirst()).allocate(1 << 20);
                Arena arena = Arena.ofShared()) {
            buffer.writeAsync(0, arena.allocate(1 << 20)).join();
            buffer.read(0, arena.allocate(1 << 20));
        }
        System.out.println("written");
    }

    /** Blocks, a mapping, work under way and a native view, none of which is given back. */
    private static void leaveOpen() {
        GpuMemory memory = GpuMemory.builder().backend(new VulkanBackend()).open();
        GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
        DeviceBuffer buffer = pool.allocate(16 << 20);
        buffer.writeAsync(0, Arena.ofAuto().allocate(16 << 20));
        pool.allocate(AllocationRequest.of(4096).ofKind(MemoryKind.UPLOAD))
                .map()
                .segment()
                .fill((byte) 1);
        VulkanBuffer view = VulkanBuffer.of(buffer);
        view.buffer();
        buffer.usedOn(VulkanContext.of(pool).queue());
        System.out.println("open");
    }

    private static void end(String how) {
        switch (how) {
            case "normally" -> {}
            case "exit" -> System.exit(3);
            case "uncaught" -> throw new IllegalStateException("on purpose");
            default -> throw new IllegalArgumentException(how);
        }
    }
}
