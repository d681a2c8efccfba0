package dev.headroom.memory.cuda;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.spi.BackendProbe;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import jcuda.driver.CUstream;

/** What is run in a process of its own, because it may end the process, or because it needs one without a driver. */
final class CudaChild {

    private static final int MIB = 1 << 20;

    private CudaChild() {}

    /** Does what the first argument says, with the double from a folder where a second one names it. */
    public static void main(String[] args) {
        if (args.length > 1) {
            CudaDouble.open(Path.of(args[1])); // which has one device from the start
        }
        switch (args[0]) {
            case "probe" -> probe();
            case "use" -> use();
            case "leave open" -> {
                leaveOpen(args[1]);
                end(args[2]);
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    /** Prints one line: the reason, or the number of devices. Twice, because the second probe must say the same. */
    private static void probe() {
        for (int i = 0; i < 2; i++) {
            CudaBackend backend = new CudaBackend();
            System.out.println(
                    switch (backend.probe()) {
                        case BackendProbe.Available(var devices) -> "devices: " + devices.size();
                        case BackendProbe.Unavailable(String reason, String hint) -> reason + " | " + hint;
                    });
            backend.close();
        }
    }

    /** Brings bytes to the device and back. */
    private static void use() {
        try (GpuMemory memory = GpuMemory.builder().backend(new CudaBackend()).open()) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            byte[] bytes = new byte[MIB];
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = (byte) (i * 31);
            }
            byte[] back = new byte[MIB];
            try (DeviceBuffer buffer = pool.allocate(MIB)) {
                buffer.write(0, MemorySegment.ofArray(bytes));
                buffer.read(0, MemorySegment.ofArray(back));
            }
            System.out.println(Arrays.equals(bytes, back) ? "as written" : "something else");
        }
    }

    /** Blocks, a mapping, work under way and a native view, none of which is given back. */
    private static void leaveOpen(String folder) {
        CudaDouble.open(Path.of(folder)).work(Work.BY_WORKER, 1_000_000);
        GpuMemory memory = GpuMemory.builder().backend(new CudaBackend()).open();
        GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
        DeviceBuffer buffer = pool.allocate(16 * MIB);
        buffer.writeAsync(0, Arena.ofAuto().allocate(16 * MIB));
        pool.allocate(AllocationRequest.of(4096).ofKind(MemoryKind.UPLOAD))
                .map()
                .segment()
                .fill((byte) 1);
        CudaPointer view = CudaPointer.of(buffer);
        buffer.usedOn(CudaStream.of(new CUstream()));
        System.out.println("open at " + (view.address() != 0));
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
