package dev.headroom.memory.cuda;

import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.cuda.CudaDouble.Property;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.DriverContract;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The contract of drivers on the double, through the real JCuda. */
class CudaDriverContractTest {

    abstract static class OnADouble extends DriverContract {

        @RegisterExtension
        final CleanDriver clean = new CleanDriver();

        private CudaDouble machine;
        private UserStream stream;

        abstract void prepare(CudaDouble driver);

        @Override
        protected MemoryBackend newBackend() {
            if (machine == null) {
                machine = CudaDouble.machine(320);
                prepare(machine);
            }
            return new CudaBackend();
        }

        @Override
        protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
            stream = new UserStream(((CudaDriver) driver).context().handle());
            return Optional.of(stream.queue());
        }

        @AfterEach
        void destroyStream() {
            if (stream != null) {
                stream.close();
            }
        }

        @Override
        protected boolean mayExhaust() {
            return true;
        }
    }

    /** Each piece of work is done when its call returns. */
    @Nested
    class AtOnce extends OnADouble {
        @Override
        void prepare(CudaDouble driver) {
            driver.work(Work.AT_ONCE, 0);
        }
    }

    /** A thread of the driver's does the work, some time later. */
    @Nested
    class Behind extends OnADouble {
        @Override
        void prepare(CudaDouble driver) {
            driver.work(Work.BY_WORKER, 20_000);
        }
    }

    /** A device that has no address ranges of its own, with its memory cut as a large card's may be. */
    @Nested
    class WithoutVirtualMemory extends OnADouble {
        @Override
        void prepare(CudaDouble driver) {
            driver.set(0, Property.WITHOUT_VIRTUAL_MEMORY, true);
        }
    }
}
