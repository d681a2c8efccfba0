package dev.headroom.memory.testkit;

import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.NativeQueue;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.KindTraits;
import dev.headroom.memory.spi.MemoryBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;

/** The simulated driver keeps the contract in each of its shapes, and the suite keeps the engine's promises. */
class SimulatedDriverContractTest {

    abstract static class Simulated extends DriverContract {

        private final List<SimulatedBackend> backends = new ArrayList<>();

        abstract SimulatedDevice.Builder card();

        @Override
        protected MemoryBackend newBackend() {
            backends.add(SimulatedBackend.builder("sim").device(card()).build());
            return backends.getLast();
        }

        @Override
        protected Optional<NativeQueue> userQueue(DeviceDriver driver) {
            return Optional.of(backends.getFirst().device(0).newQueue());
        }

        @Override
        protected boolean mayExhaust() {
            return true;
        }

        @Override
        protected List<Ledger> ledgers() {
            return backends.stream().map(backend -> backend.device(0).ledger()).toList();
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
            return SimulatedCards.awkward().freeFigure(FreeFigure.unknown());
        }
    }

    @Nested
    class CardWithoutReadback extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            return SimulatedDevice.builder("poor")
                    .totalBytes(1 << 30)
                    .kind(MemoryKind.READBACK, KindTraits.unsupported());
        }
    }

    @Nested
    class Host extends Simulated {
        @Override
        SimulatedDevice.Builder card() {
            return SimulatedDevice.host(1 << 30).virtualMemory(64 << 10);
        }
    }
}
