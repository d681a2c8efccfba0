package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import jcuda.driver.CUcontext;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** A call that throws what no call should: what was taken goes back all the same, and no context stays behind. */
class CudaSeamTest {

    private static final long GRANULE = 2 << 20;
    private static final int MOST_CALLS = 500;

    /** No call of the driver's, or one that ends something: where that throws too, nothing can be done. */
    private static final Pattern SPARED = Pattern.compile("offers|pop|releasePrimary");

    @RegisterExtension
    final CleanDriver clean = new CleanDriver();

    private int calls;
    private int throwAt;

    private CudaApi throwing(CudaApi real) {
        return (CudaApi) Proxy.newProxyInstance(
                CudaApi.class.getClassLoader(), new Class<?>[] {CudaApi.class}, (proxy, method, arguments) -> {
                    boolean spared = SPARED.matcher(method.getName()).matches() || givesBack();
                    if (!spared && ++calls == throwAt) {
                        throw new StackOverflowError("on purpose");
                    }
                    try {
                        return method.invoke(real, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private static boolean givesBack() {
        return StackWalker.getInstance()
                .walk(frames -> frames.anyMatch(frame -> frame.getMethodName().equals("giveBack")));
    }

    @Test
    void whatever_call_throws_nothing_is_left() throws Exception {
        CudaDouble machine = CudaDouble.machine(256);
        CudaApi real = CudaLibrary.ofSystem().load();
        for (throwAt = 1; throwAt < MOST_CALLS; throwAt++) {
            calls = 0;
            boolean thrown = false;
            try (CudaBackend backend = new CudaBackend(() -> throwing(real), Optional::empty)) {
                work(backend);
            } catch (StackOverflowError expected) {
                thrown = true;
            }
            CUcontext current = new CUcontext();
            assertThat(JCudaDriver.cuCtxGetCurrent(current)).isZero();
            assertThat(current).as("current behind call " + throwAt).isEqualTo(new CUcontext());
            assertThat(machine.ledger()).as("left behind call " + throwAt).isEmpty();
            if (!thrown) {
                assertThat(throwAt).isGreaterThan(50);
                return;
            }
        }
        fail("the work does not end");
    }

    private static void work(CudaBackend backend) throws DriverException {
        if (!(backend.probe() instanceof BackendProbe.Available(List<GpuDevice> devices))) {
            throw new AssertionError("no device");
        }
        try (DeviceDriver driver = backend.open(devices.getFirst())) {
            for (MemoryKind kind : List.of(MemoryKind.DEVICE, MemoryKind.UPLOAD)) {
                // Not aligned at once, so that it is taken, given back, and taken larger.
                DriverBlock block = driver.allocate(new BlockRequest(4096, GRANULE, kind, "seam"));
                try (DriverQueue queue = driver.openQueue()) {
                    if (kind == MemoryKind.DEVICE) {
                        driver.submit(new Fill(block, 0, 4096, (byte) 1), queue);
                    }
                    driver.completed(queue);
                    long value = driver.signal(queue);
                    try (DriverQueue other = driver.openQueue()) {
                        driver.waitFor(other, queue, value);
                        driver.signal(other);
                    }
                    driver.completed(queue);
                } finally {
                    driver.free(block);
                }
            }
            VirtualMemory memory = driver.virtualMemory().orElseThrow();
            DriverBlock range = memory.reserve(4 * GRANULE, MemoryKind.DEVICE);
            try {
                memory.commit(range, 0, 2 * GRANULE);
                memory.decommit(range, GRANULE, GRANULE);
                memory.commit(range, 2 * GRANULE, GRANULE);
            } finally {
                memory.release(range);
            }
            driver.budget(MemoryKind.DEVICE);
        }
    }
}
