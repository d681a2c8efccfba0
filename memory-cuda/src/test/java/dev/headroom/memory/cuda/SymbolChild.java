package dev.headroom.memory.cuda;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.cuda.CudaDouble.Property;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.spi.BackendProbe;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import jcuda.driver.CUcontext;
import jcuda.driver.JCudaDriver;

/**
 * Does everything Headroom can do with CUDA, in a process of its own, with a driver that lacks something: if a function that is
 * not there is called, the process ends without a word.
 */
final class SymbolChild {

    private static final int MIB = 1 << 20;

    private SymbolChild() {}

    /** Takes the folder of the double, prints why CUDA is unavailable, or what was called. */
    public static void main(String[] args) throws Exception {
        CudaDouble driver = CudaDouble.open(Path.of(args[0]));
        driver.addDevice("second", 128L * MIB);
        driver.peers(true, 2);
        driver.set(1, Property.WITHOUT_VIRTUAL_MEMORY, true);
        CudaBackend probed = new CudaBackend();
        BackendProbe answer = probed.probe();
        probed.close();
        if (answer instanceof BackendProbe.Unavailable(String reason, String hint)) {
            System.out.println("unavailable: " + reason + " | " + hint);
            return;
        }
        for (int round = 0; round < 2; round++) {
            work(driver);
        }
        System.out.println("worked");
        System.out.println(String.join(" ", new TreeSet<>(driver.callsByName().keySet())));
        if (!driver.ledger().isEmpty() || !driver.misuses().isEmpty()) {
            throw new AssertionError(driver.ledger() + " " + driver.misuses());
        }
    }

    private static void work(CudaDouble driver) throws Exception {
        MemoryConfig config = MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .limitBytes(64L * MIB)
                .stagingBytes(MIB)
                .build();
        try (GpuMemory memory =
                GpuMemory.builder().config(config).backend(new CudaBackend()).open()) {
            List<GpuDevice> devices = memory.devices();
            memory.summary();
            memory.budget(devices.getFirst());
            GpuMemoryPool first = memory.pool(devices.get(0));
            GpuMemoryPool second = memory.pool(devices.get(1));
            byte[] bytes = new byte[3 * MIB];
            Arrays.fill(bytes, (byte) 7);
            try (DeviceBuffer a = first.allocate(bytes.length);
                    DeviceBuffer b = first.allocate(bytes.length);
                    DeviceBuffer c = second.allocate(bytes.length);
                    DeviceBuffer up =
                            first.allocate(AllocationRequest.of(bytes.length).ofKind(MemoryKind.UPLOAD));
                    DeviceBuffer down =
                            first.allocate(AllocationRequest.of(bytes.length).ofKind(MemoryKind.READBACK))) {
                a.write(0, MemorySegment.ofArray(bytes));
                a.copyTo(0, up, 0, bytes.length);
                up.copyTo(0, b, 0, bytes.length);
                a.copyTo(0, b, 0, bytes.length);
                b.copyTo(0, c, 0, bytes.length);
                c.copyTo(0, a, 0, bytes.length);
                a.copyTo(0, down, 0, bytes.length);
                down.copyTo(0, up, 0, bytes.length);
                byte[] back = new byte[bytes.length];
                c.readAsync(0, MemorySegment.ofArray(back)).get();
                b.fill(0, MIB, (byte) 1);
                streams(driver, first, a);
                if (!Arrays.equals(bytes, back)) {
                    throw new AssertionError("other bytes came back");
                }
            }
            first.shrink();
            first.awaitIdle(Duration.ofSeconds(10));
        }
    }

    /** A kernel that takes its time: what comes next has to wait for it, and it for what came before. */
    private static void streams(CudaDouble driver, GpuMemoryPool pool, DeviceBuffer buffer) {
        driver.work(Work.BY_WORKER, 20_000_000);
        UserStream stream = new UserStream(CudaContext.of(pool).context());
        try (CudaPointer pointer = CudaPointer.of(buffer)) {
            buffer.waitOn(stream.queue());
            JCudaDriver.cuCtxPushCurrent(CudaContext.of(pool).context());
            driver.unnoticed(
                    () -> JCudaDriver.cuMemsetD8Async(pointer.pointer(), (byte) 1, MIB, stream.queue().stream()));
            JCudaDriver.cuCtxPopCurrent(new CUcontext());
            buffer.usedOn(stream.queue());
            buffer.fill(0, MIB, (byte) 3);
            buffer.waitOn(stream.queue());
        } finally {
            driver.work(Work.BY_WORKER, 0);
            stream.close();
        }
    }
}
