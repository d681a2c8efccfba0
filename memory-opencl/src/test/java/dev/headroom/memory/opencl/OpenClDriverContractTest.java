package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.MemoryBackend;
import dev.headroom.memory.testkit.DriverContract;
import java.util.Optional;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The contract of drivers on the first OpenCL device of this machine. */
class OpenClDriverContractTest {

    /** As it is, without a seam. */
    @Nested
    class OnThisDevice extends DriverContract {
        @Override
        protected MemoryBackend newBackend() {
            return new OpenClBackend();
        }

        @Override
        protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
            return Optional.of(OpenClQueue.of(((OpenClDriver) driver).sharedQueue()));
        }
    }

    /** The same device under the name of a card, whose memory the host does not reach. */
    @Nested
    class AsACard extends DriverContract {
        private ScriptedCl cl;

        /** Looks when the contract has closed everything. */
        @RegisterExtension
        final AfterEachCallback ledger = context -> assertThat(cl.faults()).isEmpty();

        @Override
        protected MemoryBackend newBackend() {
            if (cl == null) {
                cl = ScriptedCl.asCard();
            }
            return cl.backend();
        }

        @Override
        protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
            return Optional.of(OpenClQueue.of(((OpenClDriver) driver).sharedQueue()));
        }
    }
}
