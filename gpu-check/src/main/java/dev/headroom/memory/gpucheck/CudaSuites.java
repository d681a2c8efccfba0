package dev.headroom.memory.gpucheck;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.cuda.CudaBackend;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.DriverContract;
import dev.headroom.memory.testkit.PoolContract;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;

/** The contracts on the GPU of this machine. It is never filled up: others may be working on it. */
final class CudaSuites {

    private static volatile int number;

    private CudaSuites() {}

    /** Says which device is meant; JUnit makes the suites itself. */
    static void choose(int device) {
        number = device;
    }

    /** The driver, call by call. */
    static final class Drivers extends DriverContract {
        private @Nullable OwnStream stream;

        Drivers() {}

        @Override
        protected MemoryBackend newBackend() {
            return new CudaBackend();
        }

        @Override
        protected GpuDevice choose(List<GpuDevice> devices) {
            return devices.get(number);
        }

        @Override
        protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
            OwnStream made = OwnStream.open(number);
            stream = made;
            return Optional.of(made.queue());
        }

        @AfterEach
        void closeStream() {
            OwnStream made = stream;
            if (made != null) {
                made.close();
            }
        }
    }

    /** Whole pools, as users see them. */
    static final class Pools extends PoolContract {
        Pools() {}

        @Override
        protected MemoryBackend newBackend() {
            return new CudaBackend();
        }

        @Override
        protected GpuDevice choose(List<GpuDevice> devices) {
            return devices.get(number);
        }
    }
}
