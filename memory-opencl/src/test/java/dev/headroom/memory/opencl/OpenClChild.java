package dev.headroom.memory.opencl;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import java.lang.foreign.Arena;
import org.jocl.cl_context;
import org.jocl.cl_mem;

/** What is run in a process of its own, because it may end the process. */
final class OpenClChild {

    private OpenClChild() {}

    /** Does what the first argument says. Prints only what the test reads. */
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "probe" -> probe();
            case "release twice" -> releaseTwice();
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
            OpenClBackend backend = new OpenClBackend();
            System.out.println(
                    switch (backend.probe()) {
                        case BackendProbe.Available(var devices) -> "devices: " + devices.size();
                        case BackendProbe.Unavailable(String reason, String hint) -> reason + " | " + hint;
                    });
            backend.close();
        }
    }

    /** What our own API never does. */
    private static void releaseTwice() throws Exception {
        ClApi cl = ClLibrary.ofSystem().load();
        ClDevice device = ClDevices.list(cl).getFirst();
        int[] code = new int[1];
        cl_context context = cl.createContext(device.platform(), device.id(), code);
        cl_mem buffer = cl.createBuffer(context, 1, 1 << 20, code);
        cl.releaseBuffer(buffer);
        for (int i = 0; i < 1000; i++) {
            cl.releaseBuffer(buffer);
        }
    }

    /** Blocks, a mapping, work under way and a native view, none of which is given back. */
    private static void leaveOpen() {
        GpuMemory memory = GpuMemory.builder().backend(new OpenClBackend()).open();
        GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
        DeviceBuffer buffer = pool.allocate(16 << 20);
        buffer.writeAsync(0, Arena.ofAuto().allocate(16 << 20));
        pool.allocate(AllocationRequest.of(4096).ofKind(MemoryKind.UPLOAD))
                .map()
                .segment()
                .fill((byte) 1);
        OpenClMem view = OpenClMem.of(buffer);
        view.mem();
        buffer.usedOn(OpenClContext.of(pool).queue());
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
