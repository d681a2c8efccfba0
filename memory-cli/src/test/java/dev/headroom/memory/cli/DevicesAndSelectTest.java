package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.PhysicalMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DevicesAndSelectTest {

    private static final long GIB = 1L << 30;

    /** Two cards, of which one does not say what is free; a backend that is absent; the host. */
    private static List<SimulatedBackend> machine() {
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("Big card")
                        .totalBytes(8 * GIB)
                        .freeFigure(FreeFigure.constant(4 * GIB)))
                .device(SimulatedDevice.builder("Silent card")
                        .totalBytes(2 * GIB)
                        .freeFigure(FreeFigure.unknown()))
                .build();
        SimulatedBackend absent = SimulatedBackend.builder("vulkan")
                .priority(50)
                .unavailable("no driver was found", "install mesa-vulkan-drivers")
                .build();
        SimulatedBackend host = SimulatedBackend.host(16 * GIB);
        return List.of(cards, absent, host);
    }

    @Test
    void devicesInWords() {
        CommandRun run = CommandRun.of(machine(), "devices");
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out().lines())
                .anySatisfy(line -> assertThat(line)
                        .startsWith("  cuda:0  Big card  discrete  8 GiB total, 4 GiB free (measured: "))
                .anySatisfy(line -> assertThat(line)
                        .startsWith("  cuda:1  Silent card  discrete  2 GiB total, free unknown (unknown: "))
                .contains("vulkan: absent, because no driver was found")
                .contains("  what to do: install mesa-vulkan-drivers")
                .last()
                .isEqualTo("recommended: cuda:0 (Big card)");
    }

    @Test
    @SuppressWarnings("unchecked")
    void devicesAsJson() {
        Map<String, Object> json = CommandRun.of(machine(), "devices", "--json").json();
        assertThat(json).containsEntry("schema", 1L);
        assertThat(json.get("recommended")).isEqualTo(Map.of("backend", "cuda", "device", 0L, "name", "Big card"));
        List<Map<String, Object>> backends = (List<Map<String, Object>>) json.get("backends");
        assertThat(backends).extracting(backend -> backend.get("name")).containsExactly("cuda", "vulkan", "cpu");
        assertThat(backends.getFirst())
                .containsEntry("available", true)
                .containsEntry("reason", null)
                .containsEntry("hint", null);
        assertThat(backends.get(1))
                .containsEntry("available", false)
                .containsEntry("reason", "no driver was found")
                .containsEntry("hint", "install mesa-vulkan-drivers")
                .containsEntry("devices", List.of());
        List<Map<String, Object>> cards =
                (List<Map<String, Object>>) backends.getFirst().get("devices");
        assertThat(cards.getFirst())
                .containsEntry("index", 0L)
                .containsEntry("name", "Big card")
                .containsEntry("kind", "discrete")
                .containsEntry("totalBytes", 8 * GIB)
                .containsEntry("freeBytes", 4 * GIB)
                .containsEntry("freeSource", "measured")
                .containsKeys("physicalId", "freeDetail");
        assertThat(cards.get(1)).containsEntry("freeBytes", null).containsEntry("freeSource", "unknown");
        List<Map<String, Object>> hosts =
                (List<Map<String, Object>>) backends.get(2).get("devices");
        assertThat(hosts.getFirst()).containsEntry("kind", "host").containsEntry("physicalId", "host");
    }

    /** One card through three APIs, one of which measures; two that may be one; a CPU in disguise. */
    private static List<SimulatedBackend> shared() {
        PhysicalMemory vram = PhysicalMemory.of(
                PhysicalId.of("GPU-11111111-2222-3333-4444-555555555555", "00000000:65:00.0"), 8 * GIB);
        vram.occupy(GIB);
        SimulatedBackend cuda = SimulatedBackend.builder("cuda")
                .priority(400)
                .device(SimulatedDevice.builder("Card").memory(vram))
                .build();
        SimulatedBackend opencl = SimulatedBackend.builder("opencl")
                .priority(300)
                .device(SimulatedDevice.builder("Card")
                        .memory(PhysicalMemory.of(PhysicalId.ofPci("0000:65:00.0"), 8 * GIB))
                        .freeFigure(FreeFigure.unknown()))
                .device(SimulatedDevice.builder("Card")
                        .memory(PhysicalMemory.of(PhysicalId.unknown(), 2 * GIB))
                        .freeFigure(FreeFigure.unknown()))
                .build();
        SimulatedBackend vulkan = SimulatedBackend.builder("vulkan")
                .priority(200)
                .device(SimulatedDevice.builder("Card")
                        .memory(PhysicalMemory.of(PhysicalId.ofUuid("11111111222233334444555555555555"), 8 * GIB))
                        .freeFigure(FreeFigure.unknown()))
                .device(SimulatedDevice.builder("llvmpipe")
                        .deviceClass(DeviceClass.CPU)
                        .memory(PhysicalMemory.host(16 * GIB)))
                .build();
        return List.of(cuda, opencl, vulkan, SimulatedBackend.host(16 * GIB));
    }

    @Test
    void devicesThatShareTheirMemorySaySo() {
        assertThat(CommandRun.of(shared(), "devices").out().lines())
                .containsExactly(
                        "cuda:",
                        "  cuda:0  Card  discrete  8 GiB total, 7 GiB free (measured: simulated),"
                                + " perhaps the same memory as opencl:1: the drivers do not tell",
                        "opencl:",
                        "  opencl:0  Card  discrete  8 GiB total, 7 GiB free"
                                + " (derived: simulated, measured by cuda:0), same memory as cuda:0",
                        "  opencl:1  Card  discrete  2 GiB total, free unknown (unknown: simulated: the driver does not"
                                + " tell), perhaps the same memory as cuda:0: the drivers do not tell",
                        "vulkan:",
                        "  vulkan:0  Card  discrete  8 GiB total, 7 GiB free"
                                + " (derived: simulated, measured by cuda:0), same memory as cuda:0",
                        "  vulkan:1  llvmpipe  cpu  16 GiB total, 16 GiB free (measured: simulated),"
                                + " same memory as cpu:0",
                        "cpu:",
                        "  cpu:0  simulated host  host  16 GiB total, 16 GiB free (measured: simulated)",
                        "recommended: cuda:0 (Card)");
    }

    @Test
    @SuppressWarnings("unchecked")
    void devicesThatShareTheirMemorySaySoInJson() {
        List<Map<String, Object>> backends = (List<Map<String, Object>>)
                CommandRun.of(shared(), "devices", "--json").json().get("backends");
        List<Map<String, Object>> devices = backends.stream()
                .flatMap(backend -> ((List<Map<String, Object>>) backend.get("devices")).stream())
                .toList();
        String card = "uuid:11111111-2222-3333-4444-555555555555";
        assertThat(devices)
                .extracting(device -> device.get("domain"))
                .containsExactly(card, card, "device:opencl:1", card, "host", "host");
        assertThat(devices)
                .extracting(device -> device.get("sameMemoryAs"))
                .containsExactly(
                        List.of("opencl:0", "vulkan:0"),
                        List.of("cuda:0", "vulkan:0"),
                        List.of(),
                        List.of("cuda:0", "opencl:0"),
                        List.of("cpu:0"),
                        List.of("vulkan:1"));
        assertThat(devices)
                .extracting(device -> device.get("perhapsSameMemoryAs"))
                .containsExactly(
                        List.of("opencl:1"),
                        List.of("opencl:1"),
                        List.of("cuda:0", "opencl:0", "vulkan:0"),
                        List.of("opencl:1"),
                        List.of(),
                        List.of());
    }

    @Test
    void withoutAnyDeviceNothingIsRecommended() {
        List<SimulatedBackend> nothing = List.of(SimulatedBackend.builder("cuda")
                .unavailable("no card", "buy one")
                .build());
        CommandRun run = CommandRun.of(nothing, "devices", "--json");
        assertThat(run.code()).isZero();
        assertThat(run.json()).containsEntry("recommended", null);
        assertThat(CommandRun.of(nothing, "devices").out()).endsWith("recommended: none" + System.lineSeparator());
    }

    @Test
    @SuppressWarnings("unchecked")
    void theKindsAreNamed() {
        SimulatedBackend all = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("a"))
                .device(SimulatedDevice.builder("b").deviceClass(DeviceClass.VIRTUAL))
                .device(SimulatedDevice.builder("c")
                        .deviceClass(DeviceClass.INTEGRATED)
                        .memory(PhysicalMemory.host(GIB)))
                .device(SimulatedDevice.builder("d").deviceClass(DeviceClass.CPU))
                .build();
        List<Map<String, Object>> backends = (List<Map<String, Object>>)
                CommandRun.of(List.of(all), "devices", "--json").json().get("backends");
        assertThat((List<Map<String, Object>>) backends.getFirst().get("devices"))
                .extracting(device -> device.get("kind"))
                .containsExactly("discrete", "virtual", "integrated", "cpu");
    }

    @Test
    @SuppressWarnings("unchecked")
    void selectTakesTheFirstThatFits() {
        CommandRun run = CommandRun.of(machine(), "select", "3GiB", "--json");
        assertThat(run.code()).isZero();
        Map<String, Object> json = run.json();
        assertThat(json).containsEntry("schema", 1L).containsEntry("requiredBytes", 3 * GIB);
        assertThat(json.get("chosen")).isEqualTo(Map.of("backend", "cuda", "device", 0L, "name", "Big card"));
        List<Map<String, Object>> verdicts = (List<Map<String, Object>>) json.get("verdicts");
        assertThat(verdicts).hasSize(4);
        assertThat(verdicts.getFirst())
                .containsEntry("fits", true)
                .containsEntry("shortBytes", 0L)
                .containsEntry("totalBytes", 8 * GIB)
                .containsEntry("freeBytes", 4 * GIB)
                .containsEntry("freeSource", "measured")
                .containsEntry("usableBytes", 4 * GIB - (512L << 20));
        assertThat(verdicts.get(1))
                .containsEntry("device", 1L)
                .containsEntry("fits", false)
                .containsEntry("freeBytes", null)
                .containsEntry("freeSource", "unknown");
        assertThat((long) verdicts.get(1).get("shortBytes")).isPositive();
        assertThat(verdicts.getLast())
                .containsEntry("backend", "vulkan")
                .containsEntry("device", null)
                .containsEntry("name", null)
                .containsEntry("totalBytes", null)
                .containsEntry("usableBytes", null)
                .containsEntry("fits", false);
        assertThat((String) verdicts.getLast().get("reason")).contains("no driver was found");
    }

    @Test
    void selectSaysForEachDeviceWhyNot() {
        CommandRun run = CommandRun.of(machine(), "select", "900TiB");
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.out())
                .contains("cuda:0 (Big card): short by")
                .contains("cuda:1 (Silent card): short by")
                .contains("cpu:0")
                .contains("vulkan: unavailable");
        assertThat(CommandRun.of(machine(), "select", "900TiB", "--json").json())
                .containsEntry("chosen", null);
    }

    @Test
    void selectKeepsToTheBackendAskedFor() {
        assertThat(CommandRun.of(machine(), "select", "5GiB", "--backend", "cuda")
                        .code())
                .isEqualTo(ExitCode.FAILED);
        CommandRun host = CommandRun.of(machine(), "select", "1GiB", "--backend", "cpu", "--json");
        assertThat(host.code()).isZero();
        assertThat(host.out()).contains("\"chosen\":{\"backend\":\"cpu\"").doesNotContain("cuda");
        CommandRun second = CommandRun.of(machine(), "select", "1GiB", "--backend", "CUDA:1");
        assertThat(second.out()).startsWith("1 GiB go to cuda:1");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            select 1GiB --backend metal   | valid names are
            select 1GiB --backend opencl  | add the artifact dev.headroom:memory-opencl. Present are [cpu, cuda, vulkan]
            select 1GiB --backend cuda:7  | cuda:0, cuda:1
            select 1GiB --backend cuda:x  | write backend and number
            select 7GB                    | write GiB
            select 0                      | must be above 0
            select -5                     | -5
            select 9999999999999TiB       | too large
            select                        | SIZE
            select 1 2                    | 2
            devices --what                | --what
            devices --watch --json        | --watch shows text: leave out --json
            devices --times 3             | --times counts the looks of --watch: add --watch
            devices --watch --times 0     | --times is 0: must be 1 or more
            devices --watch --times many  | many
            unknown                       | unknown
            ''                            | devices, select, plan, inspect, load, replay, synth
            """)
    void wrongUsage(String args, String says) {
        CommandRun run = CommandRun.of(machine(), args.isEmpty() ? new String[0] : args.split(" +"));
        assertThat(run.code()).as(run.err()).isEqualTo(ExitCode.USAGE);
        assertThat(run.out()).isEmpty();
        assertThat(run.complaints()).hasSize(2);
        assertThat(run.complaints().getFirst()).startsWith("headroom: ").contains(says);
        assertThat(run.complaints().getLast()).startsWith("usage: headroom");
    }

    @ParameterizedTest
    @ValueSource(strings = {"cuda", "opencl", "vulkan"})
    void aBackendThatIsNotThereNamesItsArtifact(String backend) {
        for (String command : new String[] {"select 1GiB", "load --demo"}) {
            String[] args = (command + " --backend " + backend).split(" ");
            CommandRun run = CommandRun.of(List.of(SimulatedBackend.host(GIB)), args);
            assertThat(run.code()).isEqualTo(ExitCode.USAGE);
            assertThat(run.complaints().getFirst())
                    .isEqualTo("headroom: backend '" + backend + "' is not on the class path: add the artifact"
                            + " dev.headroom:memory-" + backend + ". Present are [cpu]");
        }
    }

    /** The answer is JSON or nothing: what a program reads from standard output it can always parse. */
    @ParameterizedTest
    @CsvSource({
        "devices --json, 0, true",
        "select 900TiB --json, 1, true",
        "select much --json, 2, false",
        "select 1GiB --backend opencl --json, 2, false",
        "plan none.gguf --json, 3, false",
        "plan --json, 2, false",
        "load none.gguf --json, 3, false",
        "load --demo -q --json --backend cuda:1 --no-fallback --limit 1, 1, false",
        "inspect none.gguf --json, 3, true",
        "inspect --json, 2, false",
    })
    void underJsonStandardOutputHasAnAnswerOrNothing(String args, int code, boolean answer) {
        CommandRun run = CommandRun.of(machine(), args.split(" "));
        assertThat(run.code()).as(run.err()).isEqualTo(code);
        assertThat(run.jsonLines()).hasSize(answer ? 1 : 0);
        if (!answer) {
            assertThat(run.complaints().getFirst()).startsWith("headroom: ");
        }
    }

    @Test
    void anUnknownCommandListsTheOthers() {
        assertThat(CommandRun.of(machine(), "unknown").complaints().getLast())
                .endsWith(", where COMMAND is one of devices, select, plan, inspect, load, replay, synth");
    }

    @ParameterizedTest
    @CsvSource({"--help", "devices --help", "select -h", "inspect --help", "load --help", "synth --help", "--version"})
    void helpIsAResult(String args) {
        CommandRun run = CommandRun.of(machine(), args.split(" "));
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out()).contains("headroom");
    }
}
