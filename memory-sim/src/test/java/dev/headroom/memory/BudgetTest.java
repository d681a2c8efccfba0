package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static dev.headroom.memory.Machine.whole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What may be taken: margins, shared memories, figures that lag or are missing, other processes. */
class BudgetTest {

    private static final MemoryConfig HALF = whole().toBuilder().fraction(0.5).build();

    @Test
    void aCardIsCountedOnceHoweverManyBackendsShowIt() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.of("gpu-once", "0000:41:00.0"), 8 * GIB);
        SimulatedBackend cuda = backend("cuda", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend opencl =
                backend("opencl", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend vulkan =
                backend("vulkan", SimulatedDevice.builder("card").memory(vram));
        try (GpuMemory memory = open(HALF, cuda, opencl, vulkan)) {
            assertThat(memory.devices().stream().map(memory::domain).distinct())
                    .singleElement()
                    .hasToString("uuid:gpu-once");
            DeviceBuffer three = memory.pool(memory.devices().get(0)).allocate(3 * GIB);
            for (GpuDevice device : memory.devices()) {
                assertThat(memory.usableBytes(device))
                        .as("half of 8 GiB less 3 GiB, on %s", device)
                        .isEqualTo(GIB);
            }
            three.close();
        }
    }

    @Test
    void whatIsHeldAndHowFullItIsCanBeAskedOfEveryDeviceOpenOrNot() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.of("gpu-held", "0000:43:00.0"), 8 * GIB);
        SimulatedBackend cuda = backend("cuda", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend vulkan =
                backend("vulkan", SimulatedDevice.builder("card").memory(vram));
        try (GpuMemory memory = open(whole(), cuda);
                GpuMemory other = open(whole(), vulkan)) {
            GpuDevice device = memory.devices().getFirst();
            GpuDevice sibling = other.devices().getFirst();
            assertThat(memory.heldBytes(device)).isZero();
            assertThat(memory.pressure(device)).isEqualTo(MemoryPressure.LOW);
            DeviceBuffer buffer = memory.pool(device).allocate(5 * GIB);
            for (MemoryPressure pressure : new MemoryPressure[] {memory.pressure(device), other.pressure(sibling)}) {
                assertThat(pressure).isEqualTo(MemoryPressure.MEDIUM);
            }
            assertThat(memory.heldBytes(device)).isEqualTo(5 * GIB);
            assertThat(other.heldBytes(sibling)).isEqualTo(5 * GIB);
            buffer.close();
        }
    }

    @Test
    void backendsThatKnowDifferentNamesOfACardShareItToo() {
        SimulatedBackend byBoth = backend(
                "cuda",
                SimulatedDevice.builder("card")
                        .memory(PhysicalMemory.of(PhysicalId.of("GPU-NAMES", "0000:42:00.0"), 8 * GIB)));
        SimulatedBackend byPlace = backend(
                "opencl",
                SimulatedDevice.builder("card").memory(PhysicalMemory.of(PhysicalId.ofPci("0000:42:00.0"), 8 * GIB)));
        SimulatedBackend byUuid = backend(
                "vulkan",
                SimulatedDevice.builder("card").memory(PhysicalMemory.of(PhysicalId.ofUuid("gpu-names"), 8 * GIB)));
        try (GpuMemory memory = open(HALF, byBoth, byPlace, byUuid)) {
            assertThat(memory.devices().stream().map(memory::domain).distinct()).hasSize(1);
        }
    }

    @Test
    void twoInstancesWithDifferentBackendsAgree() {
        PhysicalMemory vram = PhysicalMemory.of(8 * GIB);
        SimulatedBackend cuda = backend("cuda", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend opencl =
                backend("opencl", SimulatedDevice.builder("card").memory(vram));
        GpuMemory one = open(HALF, cuda);
        try (GpuMemory other = open(HALF, opencl)) {
            assertThat(one.domain(one.devices().getFirst()))
                    .isEqualTo(other.domain(other.devices().getFirst()));
            DeviceBuffer buffer = one.pool(one.devices().getFirst()).allocate(3 * GIB);
            assertThat(other.usableBytes(other.devices().getFirst())).isEqualTo(GIB);
            assertThat(other.explainSelection(2 * GIB).chosen()).isEmpty();
            buffer.close();
            one.close();
            assertThat(other.usableBytes(other.devices().getFirst())).isEqualTo(4 * GIB);
        }
    }

    @Test
    void slicesOfOneCardAreApart() {
        PhysicalMemory left = PhysicalMemory.of(PhysicalId.of("MIG-left", "0000:43:00.0"), 4 * GIB);
        PhysicalMemory right = PhysicalMemory.of(PhysicalId.of("MIG-right", "0000:43:00.0"), 4 * GIB);
        SimulatedBackend cuda = backend(
                "cuda",
                SimulatedDevice.builder("slice").memory(left),
                SimulatedDevice.builder("slice").memory(right));
        try (GpuMemory memory = open(HALF, cuda)) {
            GpuDevice first = memory.devices().get(0);
            GpuDevice second = memory.devices().get(1);
            assertThat(memory.domain(first)).isNotEqualTo(memory.domain(second));
            memory.pool(first).allocate(2 * GIB).close();
            try (DeviceBuffer buffer = memory.pool(first).allocate(2 * GIB)) {
                assertThat(memory.usableBytes(first)).isZero();
                assertThat(memory.usableBytes(second)).isEqualTo(2 * GIB);
                assertThat(buffer.byteSize()).isEqualTo(2 * GIB);
            }
        }
    }

    @Test
    void devicesNobodyKnowsAnythingOfStandAlone() {
        SimulatedBackend cuda = backend(
                "cuda",
                SimulatedDevice.builder("card").memory(PhysicalMemory.of(PhysicalId.unknown(), GIB)),
                SimulatedDevice.builder("card").memory(PhysicalMemory.of(PhysicalId.ofUuid(" "), GIB)));
        try (GpuMemory memory = open(whole(), cuda)) {
            assertThat(memory.devices().stream().map(memory::domain).distinct()).hasSize(2);
        }
    }

    @Test
    void integratedGpusAndCpusInDisguiseShareTheHosts() {
        SimulatedBackend opencl = backend(
                "opencl",
                Machine.ofClass(DeviceClass.INTEGRATED, "iris", 8 * GIB),
                Machine.ofClass(DeviceClass.CPU, "PoCL", 8 * GIB));
        try (GpuMemory memory = open(HALF, opencl, SimulatedBackend.host(8 * GIB))) {
            assertThat(memory.devices().stream().map(memory::domain).distinct()).containsExactly(MemoryDomain.HOST);
            try (DeviceBuffer buffer = memory.pool(memory.devices().getFirst()).allocate(3 * GIB)) {
                assertThat(buffer.location()).isEqualTo(BufferLocation.GPU);
                assertThat(memory.devices())
                        .allSatisfy(
                                device -> assertThat(memory.usableBytes(device)).isEqualTo(GIB));
            }
        }
    }

    // What is free.

    @Test
    void aMeasuredFigureServesASiblingThatHasNone() {
        PhysicalMemory vram = PhysicalMemory.of(8 * GIB);
        vram.occupy(6 * GIB);
        SimulatedBackend cuda = backend("cuda", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend opencl =
                backend("opencl", SimulatedDevice.builder("card").memory(vram).freeFigure(FreeFigure.unknown()));
        try (GpuMemory memory = open(whole(), cuda, opencl)) {
            GpuDevice mute = memory.devices().get(1);
            assertThat(mute.backend()).isEqualTo("opencl");
            MemoryBudget budget = memory.budget(mute);
            assertThat(budget.freeBytes()).hasValue(2 * GIB);
            assertThat(budget.source()).isEqualTo(MemoryBudget.Source.DERIVED);
            assertThat(budget.detail()).isEqualTo("simulated, measured by cuda:0");
            assertThat(memory.usableBytes(mute)).isEqualTo(2 * GIB);
            assertThat(memory.pool(mute).usableBytes()).as("once open").isEqualTo(2 * GIB);
            assertThat(memory.pool(mute).budget().source()).isEqualTo(MemoryBudget.Source.DERIVED);
        }
    }

    @ParameterizedTest
    @CsvSource({"1.0, 8589934592", "0.9, 8589934592", "0.8, 8589934592", "0.5, 5368709120", "0.1, 1073741824"})
    void whereNothingTellsWhatIsFreeItIsTheLesserOfFourFifthsAndTheFraction(double fraction, long expected) {
        SimulatedBackend opencl = backend("opencl", card("mute", 10 * GIB).freeFigure(FreeFigure.unknown()));
        MemoryConfig config = MemoryConfig.builder()
                .fraction(fraction)
                .waitTimeout(java.time.Duration.ZERO)
                .build();
        try (GpuMemory memory = open(config, opencl)) {
            GpuDevice device = memory.devices().getFirst();
            assertThat(memory.usableBytes(device)).isEqualTo(expected);
            assertThat(memory.pool(device).usableBytes()).isEqualTo(expected);
            try (DeviceBuffer buffer = memory.pool(device).allocate(expected)) {
                assertThat(buffer.byteSize()).isEqualTo(expected);
                assertThat(memory.usableBytes(device)).isZero();
                assertThat(memory.pool(device).pressure()).isEqualTo(MemoryPressure.CRITICAL);
            }
        }
    }

    @Test
    void aFigureThatLagsIsNotBelievedBeyondWhatWasGrantedSince() {
        SimulatedBackend opencl = backend(
                "opencl", card("lazy", 8 * GIB).freeFigure(FreeFigure.lagging()).overCommitting());
        opencl.device(0).occupy(2 * GIB);
        MemoryConfig config =
                whole().toBuilder().waitTimeout(java.time.Duration.ZERO).build();
        try (GpuMemory memory = open(config, opencl)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            assertThat(pool.usableBytes()).isEqualTo(6 * GIB);
            try (DeviceBuffer four = pool.allocate(4 * GIB)) {
                assertThat(pool.budget().freeBytes())
                        .as("what the driver still claims")
                        .hasValue(6 * GIB);
                assertThat(pool.usableBytes()).isEqualTo(2 * GIB);
                assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                        .as("the driver would grant it, our budget does not")
                        .isThrownBy(() -> pool.allocate(2 * GIB + 1));
                pool.allocate(2 * GIB).close();
                assertThat(four.byteSize()).isEqualTo(4 * GIB);
            }
        }
    }

    @Test
    void anotherProcessIsSeenBeforeARefusal() {
        SimulatedBackend cuda = backend("cuda", card("shared", 8 * GIB));
        MemoryConfig config =
                whole().toBuilder().waitTimeout(java.time.Duration.ZERO).build();
        try (GpuMemory memory = open(config, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            GpuMemoryPool pool = memory.pool(device);
            cuda.device(0).occupy(7 * GIB);
            assertThat(memory.usableBytes(device)).isEqualTo(GIB);
            assertThatExceptionOfType(DeviceOutOfMemoryException.class).isThrownBy(() -> pool.allocate(2 * GIB));
            cuda.device(0).occupy(5 * GIB);
            try (DeviceBuffer buffer = pool.allocate(2 * GIB)) {
                assertThat(buffer.byteSize()).isEqualTo(2 * GIB);
            }
        }
    }

    // A limit.

    @Test
    void aLimitReplacesFractionAndMinimumFree() {
        MemoryConfig config = MemoryConfig.builder()
                .fraction(0.1)
                .minFreeBytes(6 * GIB)
                .limitBytes(7 * GIB)
                .build();
        SimulatedBackend cuda = backend("cuda", card("card", 8 * GIB));
        try (GpuMemory memory = open(config, cuda)) {
            GpuDevice device = memory.devices().getFirst();
            assertThat(memory.usableBytes(device)).isEqualTo(7 * GIB);
            try (DeviceBuffer buffer = memory.pool(device).allocate(3 * GIB)) {
                assertThat(memory.usableBytes(device)).isEqualTo(4 * GIB);
                assertThat(buffer.pool().pressure()).as("3 of 7").isEqualTo(MemoryPressure.LOW);
                cuda.device(0).occupy(3 * GIB);
                assertThat(memory.usableBytes(device))
                        .as("no more than is free")
                        .isEqualTo(2 * GIB);
            }
        }
    }

    @Test
    void aLimitIsOfAPoolAndTheLedgerOfTheDomain() {
        PhysicalMemory vram = PhysicalMemory.of(8 * GIB);
        SimulatedBackend cuda = backend("cuda", SimulatedDevice.builder("card").memory(vram));
        SimulatedBackend opencl =
                backend("opencl", SimulatedDevice.builder("card").memory(vram));
        try (GpuMemory memory = open(whole().toBuilder().limitBytes(5 * GIB).build(), cuda, opencl)) {
            GpuDevice first = memory.devices().get(0);
            GpuDevice second = memory.devices().get(1);
            try (DeviceBuffer buffer = memory.pool(first).allocate(4 * GIB)) {
                assertThat(memory.usableBytes(first)).isEqualTo(GIB);
                assertThat(memory.usableBytes(second))
                        .as("its own limit, and what is left")
                        .isEqualTo(4 * GIB);
                assertThat(buffer.byteSize()).isEqualTo(4 * GIB);
            }
        }
    }

    @Test
    void aLimitAboveTheDeviceIsTheDevice() {
        try (GpuMemory memory =
                open(whole().toBuilder().limitBytes(80 * GIB).build(), backend("cuda", card("card", 8 * GIB)))) {
            Verdict verdict = memory.explainSelection(9 * GIB).verdicts().getFirst();
            assertThat(verdict.usableBytes()).isEqualTo(8 * GIB);
            assertThat(verdict.reason()).endsWith("the device is too small");
        }
    }

    // Idle memory.

    @Test
    void whatLiesIdleInAPoolIsRoomForTheNextModel() {
        SimulatedBackend cuda = backend("cuda", card("card", 8 * GIB));
        try (GpuMemory memory = open(whole(), cuda)) {
            GpuDevice device = memory.devices().getFirst();
            GpuMemoryPool pool = memory.pool(device);
            pool.allocate(6 * GIB).close();
            assertThat(pool.stats().pooledBytes()).as("kept for reuse").isEqualTo(6 * GIB);
            assertThat(memory.usableBytes(device)).isEqualTo(8 * GIB);
            assertThat(memory.explainSelection(7 * GIB).verdicts().getFirst().reason())
                    .isEqualTo("fits with 1 GiB to spare: 8 GiB usable (8 GiB x 1.00 less 6 GiB held by this process;"
                            + " 2 GiB free, measured, less 0 B kept free; 6 GiB idle in this pool)");
            try (DeviceBuffer next = pool.allocate(7 * GIB)) {
                assertThat(next.byteSize()).isEqualTo(7 * GIB);
                assertThat(memory.usableBytes(device)).isEqualTo(GIB);
            }
        }
    }

    @Test
    void agesAreReadOnTheClockGiven() {
        long[] now = {1000};
        SimulatedBackend cuda = backend("cuda", card("card", 64 * MIB));
        try (GpuMemory memory =
                GpuMemory.builder().backend(cuda).clock(() -> now[0]).open()) {
            MemoryBudget budget = memory.budget(memory.devices().getFirst());
            assertThat(budget.readAtNanos()).isEqualTo(1000);
            assertThat(budget.age(4000)).isEqualTo(java.time.Duration.ofNanos(3000));
        }
    }
}
