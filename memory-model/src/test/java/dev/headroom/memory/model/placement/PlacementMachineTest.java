package dev.headroom.memory.model.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Which devices of a machine a model can be laid out over: each physical memory once. */
class PlacementMachineTest {

    /** What other tests have lost there to drivers that took nothing back: the books of the host are the process's. */
    private static long heldOnHost(GpuMemory memory) {
        return memory.devices().stream()
                .filter(device -> device.id().equals("cpu:0"))
                .mapToLong(memory::heldBytes)
                .sum();
    }

    private static final long MIB = 1L << 20;
    private static final long GIB = 1L << 30;

    private final PhysicalMemory dram = PhysicalMemory.host(64 * GIB);
    private final SimulatedBackend host = backend("cpu", 0, shared(DeviceClass.HOST, "host"));

    @Test
    void aCardSeenByTwoApisIsOnePlace() {
        PhysicalMemory vram = PhysicalMemory.of(PhysicalId.of("GPU-once", "0000:65:00.0"), 8 * GIB);
        vram.occupy(GIB);
        SimulatedBackend cuda = backend("cuda", 400, card(vram));
        SimulatedBackend vulkan = backend("vulkan", 200, card(vram.knownAs(PhysicalId.ofUuid("gpu-once"))));
        try (GpuMemory memory = open(cuda, vulkan, host)) {
            PlacementMachine machine = machine(memory, "auto");
            assertThat(ids(machine)).isEqualTo("cuda:0 | cpu:0");
            assertThat(machine.devices().getFirst().usableBytes()).isEqualTo(7 * GIB);
            assertThat(machine.devices().getFirst().occupiedBytes()).isEqualTo(GIB);
            assertThat(machine.host().orElseThrow().usableBytes()).isEqualTo(64 * GIB - heldOnHost(memory));
            assertThat(ids(machine(memory, "vulkan"))).isEqualTo("vulkan:0 | cpu:0");

            // Twelve layers of 1 GiB: seven on the card and not fourteen.
            Placement placement = plan(machine, 12);
            assertThat(placement.shares())
                    .extracting(share -> share.deviceId() + " " + share.usedBytes() / GIB)
                    .containsExactly("cuda:0 7", "cpu:0 5");
        }
    }

    @Test
    void anApiThatDoesNotAnswerDoesNotHideTheCard() {
        PhysicalMemory vram = PhysicalMemory.of(8 * GIB);
        SimulatedBackend cuda = backend("cuda", 400, card(vram));
        cuda.faults().add(FaultRule.on("budget").failing(DriverException.Kind.UNEXPECTED, 999));
        SimulatedBackend vulkan = backend("vulkan", 200, card(vram));
        try (GpuMemory memory = open(cuda, vulkan, host)) {
            assertThat(ids(machine(memory, "auto"))).isEqualTo("vulkan:0 | cpu:0");
            assertThat(ids(machine(memory, "cuda"))).isEqualTo(" | cpu:0");
        }
    }

    @Test
    void theHostsMemoryIsOnePlaceWhoeverShowsIt() {
        SimulatedBackend opencl =
                backend("opencl", 300, shared(DeviceClass.INTEGRATED, "iris"), shared(DeviceClass.CPU, "PoCL"));
        SimulatedBackend vulkan = backend("vulkan", 200, shared(DeviceClass.CPU, "llvmpipe"));
        try (GpuMemory memory = open(opencl, vulkan, host)) {
            PlacementMachine machine = machine(memory, "auto");
            assertThat(ids(machine)).as("it stands for the host too").isEqualTo("opencl:0 |");
            assertThat(machine.devices().getFirst().usableBytes()).isEqualTo(64 * GIB - heldOnHost(memory));
            assertThat(ids(machine(memory, "vulkan"))).isEqualTo("vulkan:0 |");
            assertThat(ids(machine(memory, "cpu"))).isEqualTo(" | cpu:0");
            assertThat(plan(machine, 65).fits())
                    .as("65 of 64 GiB, of which host and GPU have both")
                    .isFalse();
            assertThat(plan(machine, 60).fits()).isTrue();
        }
    }

    @Test
    void besideACardTheHostStandsForItsOwnMemory() {
        SimulatedBackend vulkan =
                backend("vulkan", 200, card(PhysicalMemory.of(8 * GIB)), shared(DeviceClass.INTEGRATED, "iris"));
        try (GpuMemory memory = open(vulkan, host)) {
            assertThat(ids(machine(memory, "auto"))).isEqualTo("vulkan:0 | cpu:0");
            assertThat(ids(machine(memory, "vulkan:1"))).isEqualTo("vulkan:1 |");
        }
    }

    @Test
    void whereNoBackendIsTheHostsASharingDeviceIsAPlaceOfItsOwn() {
        SimulatedBackend vulkan =
                backend("vulkan", 200, card(PhysicalMemory.of(8 * GIB)), shared(DeviceClass.INTEGRATED, "iris"));
        try (GpuMemory memory = open(vulkan)) {
            assertThat(ids(machine(memory, "auto"))).isEqualTo("vulkan:0 vulkan:1 |");
        }
    }

    @Test
    void aSharingDeviceThatDoesNotAnswerLeavesItsPlaceToTheHost() {
        SimulatedBackend opencl = backend("opencl", 300, shared(DeviceClass.CPU, "PoCL"));
        opencl.faults().add(FaultRule.on("budget").failing(DriverException.Kind.UNEXPECTED, -5));
        try (GpuMemory memory = open(opencl, host)) {
            assertThat(ids(machine(memory, "auto"))).isEqualTo(" | cpu:0");
            host.faults().add(FaultRule.on("budget").failing(DriverException.Kind.UNEXPECTED, -5));
            assertThat(ids(machine(memory, "auto"))).isEqualTo(" |");
        }
    }

    @Test
    void equalCardsAndSlicesAreApart() {
        SimulatedBackend cuda = backend(
                "cuda",
                400,
                card(PhysicalMemory.of(PhysicalId.of("MIG-left", "0000:17:00.0"), 4 * GIB)),
                card(PhysicalMemory.of(PhysicalId.of("MIG-right", "0000:17:00.0"), 4 * GIB)),
                card(PhysicalMemory.of(PhysicalId.unknown(), 2 * GIB)),
                card(PhysicalMemory.of(PhysicalId.unknown(), 2 * GIB)));
        try (GpuMemory memory = open(cuda, host)) {
            assertThat(ids(machine(memory, "auto"))).isEqualTo("cuda:0 cuda:1 cuda:2 cuda:3 | cpu:0");
        }
    }

    @Test
    void absentBackendsAndFullDevicesAreNoObstacle() {
        SimulatedBackend absent = SimulatedBackend.builder("cuda")
                .priority(400)
                .unavailable("no driver", "install it")
                .build();
        PhysicalMemory full = PhysicalMemory.of(8 * GIB);
        full.occupy(8 * GIB);
        SimulatedBackend vulkan = backend("vulkan", 200, card(full).freeFigure(FreeFigure.measured()));
        try (GpuMemory memory = open(absent, vulkan)) {
            PlacementMachine machine = machine(memory, "auto");
            assertThat(ids(machine)).isEqualTo("vulkan:0 |");
            assertThat(machine.devices().getFirst().occupiedBytes())
                    .as("what others might free")
                    .isEqualTo(8 * GIB);
        }
    }

    @Test
    void twoPlacesOfOneNameAreRefused() {
        PlacementDevice one = PlacementDevice.of("cuda:0", MIB);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new PlacementMachine(List.of(one), Optional.of(one)))
                .withMessage("there are two devices cuda:0");
    }

    private SimulatedDevice.Builder shared(DeviceClass deviceClass, String name) {
        return SimulatedDevice.builder(name).deviceClass(deviceClass).memory(dram);
    }

    private static SimulatedDevice.Builder card(PhysicalMemory vram) {
        return SimulatedDevice.builder("card").memory(vram);
    }

    private static SimulatedBackend backend(String name, int priority, SimulatedDevice.Builder... devices) {
        SimulatedBackend.Builder builder = SimulatedBackend.builder(name).priority(priority);
        for (SimulatedDevice.Builder device : devices) {
            builder.device(device);
        }
        return builder.build();
    }

    private static GpuMemory open(SimulatedBackend... backends) {
        GpuMemory.Builder builder = GpuMemory.builder()
                .config(MemoryConfig.builder().fraction(1).minFreeBytes(0).build());
        List.of(backends).forEach(builder::backend);
        return builder.open();
    }

    private static PlacementMachine machine(GpuMemory memory, String preference) {
        return PlacementMachine.of(memory, memory.explainSelection(GIB, BackendPreference.parse(preference)));
    }

    /** The devices, a line, the host. */
    private static String ids(PlacementMachine machine) {
        String devices = String.join(
                " ", machine.devices().stream().map(PlacementDevice::id).toList());
        return devices + " |" + machine.host().map(place -> " " + place.id()).orElse("");
    }

    /** So many layers of 1 GiB. */
    private static Placement plan(PlacementMachine machine, int layers) {
        PlacementModel.Builder model = PlacementModel.builder();
        for (int i = 0; i < layers; i++) {
            model.layer(new LayerBytes(GIB, 0, 0, 0));
        }
        return PlacementPlanner.plan(PlacementRequest.of(model.build(), machine));
    }
}
