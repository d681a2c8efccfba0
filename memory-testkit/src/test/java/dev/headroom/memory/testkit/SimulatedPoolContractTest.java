package dev.headroom.memory.testkit;

import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.ExtendWith;

/** The engine's pools keep their contract over simulated devices, and the engine keeps its promises to drivers. */
class SimulatedPoolContractTest {

    @ExtendWith(LeakGuard.class)
    abstract static class Simulated extends PoolContract {

        private final List<SimulatedBackend> backends = new ArrayList<>();

        abstract SimulatedDevice.Builder card();

        @Override
        protected MemoryBackend newBackend() {
            return remember(SimulatedBackend.builder("sim").device(card()).build());
        }

        @Override
        protected Optional<MemoryBackend> newFallback() {
            return Optional.of(remember(SimulatedBackend.host(1L << 30)));
        }

        @Override
        protected List<Ledger> ledgers() {
            return backends.stream().map(backend -> backend.device(0).ledger()).toList();
        }

        SimulatedBackend remember(SimulatedBackend backend) {
            backends.add(backend);
            return backend;
        }

        @AfterEach
        void the_promises_of_the_engine_were_kept() {
            backends.forEach(SimulatedBackend::requireNoViolations);
        }
    }

    @Nested
    class PlainCard extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            return SimulatedCards.plain();
        }
    }

    @Nested
    class CardWithRanges extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            return SimulatedCards.withRanges();
        }
    }

    /** Small buffers in blocks of fixed sizes. */
    @Nested
    class CardWithBlockClasses extends PlainCard {
        @Override
        protected MemoryConfig.Builder config() {
            return super.config().profile(PoolProfile.blockClasses(LIMIT_BYTES / 2));
        }
    }

    @Nested
    class RangesWithBlockClasses extends CardWithRanges {
        @Override
        protected MemoryConfig.Builder config() {
            return super.config().profile(PoolProfile.blockClasses(LIMIT_BYTES / 2));
        }
    }

    @Nested
    class CardTheHostReaches extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            return SimulatedCards.reachedByTheHost();
        }
    }

    @Nested
    class AwkwardCard extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            return SimulatedCards.awkward();
        }
    }

    @Nested
    class Host extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            throw new IllegalStateException("the backend is the host");
        }

        @Override
        protected MemoryBackend newBackend() {
            return remember(SimulatedBackend.host(1L << 30));
        }

        @Override
        protected Optional<MemoryBackend> newFallback() {
            return Optional.empty();
        }
    }
}
