package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.HostMapping;
import dev.headroom.memory.spi.MapAccess;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import jcuda.driver.CUcontext;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Virtual threads that change from device to device, and from carrier to carrier. Each call must find the context of its
 * own device, and leave none behind.
 */
class CudaThreadsTest {

    private static final int DEVICES = 4;
    private static final int THREADS = 64;
    private static final int SEED = 20261121;
    private static final long MIB = 1 << 20;
    private static final long GRANULE = 2 * MIB;
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @RegisterExtension
    final CleanDriver clean = new CleanDriver();

    @Test
    void no_call_meets_the_context_of_another_device() throws Exception {
        mix(100_000);
    }

    @Test
    @Tag("long")
    void nor_does_any_of_a_million() throws Exception {
        mix(1_000_000);
    }

    private static void mix(long wanted) throws Exception {
        CudaDouble machine = CudaDouble.machine(1024, 1024, 1024, 1024);
        try (CudaBackend backend = new CudaBackend()) {
            List<DeviceDriver> drivers = new ArrayList<>();
            if (backend.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
                for (GpuDevice device : devices) {
                    drivers.add(backend.open(device));
                }
            }
            assertThat(drivers).hasSize(DEVICES);
            long before = machine.calls();
            try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
                List<Future<?>> running = new ArrayList<>();
                for (int i = 0; i < THREADS; i++) {
                    SplittableRandom random = new SplittableRandom(SEED + i);
                    running.add(threads.submit(() -> {
                        while (machine.calls() - before < wanted) {
                            round(drivers.get(random.nextInt(DEVICES)), random);
                        }
                        return null;
                    }));
                }
                for (Future<?> thread : running) {
                    thread.get();
                }
            }
            System.out.println("seed " + SEED + ": " + (machine.calls() - before) + " calls, " + machine.foreignUses()
                    + " of them foreign");
            assertThat(machine.calls() - before).isGreaterThanOrEqualTo(wanted);
            assertThat(machine.foreignUses()).isZero();
            drivers.forEach(DeviceDriver::close);
        }
    }

    private static void round(DeviceDriver driver, SplittableRandom random) throws DriverException {
        switch (random.nextInt(3)) {
            case 0 -> transfers(driver, random);
            case 1 -> granules(driver, random);
            default -> blocks(driver, random);
        }
        CUcontext current = new CUcontext();
        assertThat(JCudaDriver.cuCtxGetCurrent(current)).isZero();
        assertThat(current).as("what is current behind our calls").isEqualTo(new CUcontext());
    }

    private static void transfers(DeviceDriver driver, SplittableRandom random) throws DriverException {
        DriverBlock block = driver.allocate(new BlockRequest(4096, 256, MemoryKind.DEVICE, "mix"));
        DriverQueue first = driver.openQueue();
        DriverQueue second = driver.openQueue();
        byte value = (byte) random.nextInt();
        DriverBlock back = driver.allocate(new BlockRequest(4096, 256, MemoryKind.READBACK, "mix"));
        driver.submit(new Fill(block, 0, 4096, value), first);
        move(random);
        long filled = driver.signal(first);
        move(random);
        driver.waitFor(second, first, filled);
        move(random);
        driver.submit(new Copy(new InBlock(block, 0), new InBlock(back, 0), 4096), second);
        move(random);
        assertThat(driver.await(second, driver.signal(second), PATIENCE)).isTrue();
        try (HostMapping mapping = driver.map(back, 0, 4096, MapAccess.READ)) {
            assertThat(mapping.segment().get(ValueLayout.JAVA_BYTE, random.nextInt(4096)))
                    .isEqualTo(value);
        }
        first.close();
        second.close();
        assertThat(driver.free(block).isFreed()).isTrue();
        assertThat(driver.free(back).isFreed()).isTrue();
    }

    private static void granules(DeviceDriver driver, SplittableRandom random) throws DriverException {
        VirtualMemory memory = driver.virtualMemory().orElseThrow();
        DriverBlock range = memory.reserve(4 * GRANULE, MemoryKind.DEVICE);
        move(random);
        memory.commit(range, 0, 2 * GRANULE);
        move(random);
        memory.commit(range, 3 * GRANULE, GRANULE);
        move(random);
        assertThat(memory.decommit(range, GRANULE, GRANULE).isFreed()).isTrue();
        move(random);
        assertThat(memory.release(range).isFreed()).isTrue();
    }

    private static void blocks(DeviceDriver driver, SplittableRandom random) throws DriverException {
        List<DriverBlock> live = new ArrayList<>();
        for (MemoryKind kind : List.of(MemoryKind.DEVICE, MemoryKind.UPLOAD, MemoryKind.READBACK)) {
            live.add(driver.allocate(new BlockRequest(1 + random.nextInt(64) * 256L, 256, kind, "mix")));
            move(random);
        }
        assertThat(driver.budget(MemoryKind.DEVICE).totalBytes()).isEqualTo(1024 * MIB);
        for (DriverBlock block : live) {
            assertThat(driver.free(block).isFreed()).isTrue();
            move(random);
        }
    }

    /** Lets another thread onto this carrier, now and then; afterwards it may be another carrier. */
    private static void move(SplittableRandom random) {
        switch (random.nextInt(4)) {
            case 0 -> Thread.yield();
            case 1 -> LockSupport.parkNanos(1);
            default -> {}
        }
    }
}
