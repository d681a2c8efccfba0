package dev.headroom.memory.cpu;

import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.DriverContract;
import java.util.Optional;
import org.junit.jupiter.api.Nested;

/** The contract of drivers, on both sources of memory. */
class HostContractTest {

    @Nested
    class OnLinux extends DriverContract {
        @Override
        protected MemoryBackend newBackend() {
            return new HostBackend(HostMemory.ofSystem(), () -> Optional.of(MappedBlocksTest.linux()));
        }
    }

    @Nested
    class OnJava extends DriverContract {
        @Override
        protected MemoryBackend newBackend() {
            return new HostBackend(HostMemory.ofSystem(), Optional::empty);
        }
    }
}
