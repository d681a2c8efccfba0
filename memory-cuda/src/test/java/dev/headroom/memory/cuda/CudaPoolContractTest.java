package dev.headroom.memory.cuda;

import dev.headroom.memory.cuda.CudaDouble.Property;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.PoolContract;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The contract of pools on the double, through the real JCuda. */
class CudaPoolContractTest {

    abstract static class OnADouble extends PoolContract {

        @RegisterExtension
        final CleanDriver clean = new CleanDriver();

        private CudaDouble machine;

        abstract void prepare(CudaDouble driver);

        @Override
        protected MemoryBackend newBackend() {
            if (machine == null) {
                machine = CudaDouble.machine(1024);
                prepare(machine);
            }
            return new CudaBackend();
        }
    }

    /** Memory in address ranges; a thread of the driver's does the work, some time later. */
    @Nested
    class WithVirtualMemory extends OnADouble {
        @Override
        void prepare(CudaDouble driver) {
            driver.work(Work.BY_WORKER, 20_000);
        }
    }

    /** Memory in plain blocks. */
    @Nested
    class WithoutVirtualMemory extends OnADouble {
        @Override
        void prepare(CudaDouble driver) {
            driver.set(0, Property.WITHOUT_VIRTUAL_MEMORY, true);
        }
    }
}
