package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.headroom.memory.sim.SimulatedBackend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What is said and chosen on typical machines, word for word. The expected texts are in {@code src/test/resources/machines};
 * {@code -Dheadroom.golden=write} writes them anew, to be read before they are committed.
 */
class GoldenMachinesTest {

    private static final Path TEXTS = Path.of("src/test/resources/machines");

    @TempDir
    Path cards;

    /** The machine, sizes in GiB, a backend asked for by name, one that does not say what is free, where 4 GiB are reserved. */
    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "'one card, three APIs', 4 21 22, opencl, cuda, vulkan:0",
        "'two equal cards', 1 7 8, vulkan, cuda, vulkan:0",
        "'integrated and discrete', 4 8 60, opencl, vulkan, vulkan:1",
        "'small BAR', 4 8 9, vulkan, vulkan, opencl:0",
        "'host-backed', 1 4 60, vulkan, cpu, opencl:0",
        "'two MIG slices', 2 18 30, opencl, cuda, opencl:0",
        "'no PCI info', 4 7 8, vulkan, opencl, opencl:0",
        "'AMD card', 4 12 20, opencl, vulkan, vulkan:0",
    })
    void machine(String name, String sizes, String asked, String silent, String reserved) throws IOException {
        Path amd = Files.createDirectories(cards.resolve("0000:03:00.0"));
        if (name.equals("AMD card")) {
            Files.writeString(amd.resolve("mem_info_vram_total"), (16 * GIB - 16 * MIB) + "\n");
            Files.writeString(amd.resolve("mem_info_vram_used"), 3 * GIB + "\n");
        }
        List<Long> bytes = List.of(sizes.split(" ")).stream()
                .map(size -> Long.parseLong(size) * GIB)
                .toList();
        StringBuilder text = new StringBuilder("# " + name + "\n");
        try (GpuMemory memory = open(name, "none")) {
            text.append(devices("devices", memory));
            bytes.forEach(size -> text.append(selection(ByteSize.format(size), memory, size, "auto")));
            bytes.forEach(size -> text.append(selection(ByteSize.format(size) + " on " + asked, memory, size, asked)));
            GpuDevice device = device(memory, reserved);
            try (Reservation reservation = memory.reserve(Map.of(device, 4 * GIB))) {
                assertThat(reservation.remainingBytes(device)).isEqualTo(4 * GIB);
                String title = bytes.getFirst() / GIB + " GiB, while 4 GiB are reserved on " + reserved;
                text.append(selection(title, memory, bytes.getFirst(), "auto"));
            } catch (DeviceOutOfMemoryException e) {
                text.append("\n## 4 GiB cannot be reserved on " + reserved + "\n\n");
            }
        }
        try (GpuMemory memory = open(name, silent)) {
            text.append(devices("devices, when " + silent + " does not say what is free", memory));
            String title = bytes.get(1) / GIB + " GiB, when " + silent + " does not say what is free";
            text.append(selection(title, memory, bytes.get(1), "auto"));
        }
        compare(name, text.toString().replace(cards.toString(), "/sys/bus/pci/devices"));
    }

    /** Whatever is taken through one API is taken from all, in this GpuMemory and in others, and never from another memory. */
    @ParameterizedTest
    @CsvSource({
        "'one card, three APIs', cuda:0 opencl:0 vulkan:0",
        "'two equal cards', cuda:0 vulkan:1",
        "'two equal cards', cuda:1 vulkan:0",
        "'integrated and discrete', opencl:0 vulkan:0 cpu:0",
        "'small BAR', opencl:0 vulkan:0",
        "'host-backed', opencl:0 vulkan:0 cpu:0",
        "'two MIG slices', cuda:1 opencl:0",
        "'two MIG slices', cuda:0",
        "'two MIG slices', vulkan:0",
        "'no PCI info', opencl:0",
        "'AMD card', opencl:0 vulkan:0",
    })
    void oneMemoryIsCountedOnce(String name, String ids) {
        List<String> same = List.of(ids.split(" "));
        for (String taking : same) {
            try (GpuMemory memory = open(name, "none")) {
                try (DeviceBuffer buffer = memory.pool(device(memory, taking)).allocate(GIB)) {
                    long held = memory.heldBytes(device(memory, taking));
                    assertThat(held).isEqualTo(buffer.byteSize());
                    for (GpuDevice device : memory.devices()) {
                        assertThat(memory.heldBytes(device))
                                .as("held on %s, taken on %s", device, taking)
                                .isEqualTo(same.contains(device.id()) ? held : 0);
                        assertThat(memory.sameMemoryAs(device))
                                .extracting(GpuDevice::id)
                                .doesNotContain(device.id());
                    }
                }
            }
        }
    }

    /** One GpuMemory per API: they agree in the end, also on what was taken before anybody knew that the card is one. */
    @ParameterizedTest
    @CsvSource({"cuda opencl vulkan", "opencl vulkan cuda", "vulkan opencl cuda", "opencl cuda vulkan"})
    void instancesOfDifferentBackendsAgree(String order) {
        List<GpuMemory> opened = new ArrayList<>();
        List<DeviceBuffer> buffers = new ArrayList<>();
        Map<String, SimulatedBackend> all = GoldenMachines.build("one card, three APIs", "none").stream()
                .collect(Collectors.toMap(SimulatedBackend::name, backend -> backend));
        try {
            for (String api : order.split(" ")) {
                GpuMemory memory = Machine.open(Machine.whole(), all.get(api));
                opened.add(memory);
                buffers.add(memory.pool(memory.devices().getFirst()).allocate(6 * GIB));
            }
            long held = buffers.stream().mapToLong(DeviceBuffer::byteSize).sum();
            MemoryDomain one =
                    opened.getLast().domain(opened.getLast().devices().getFirst());
            for (GpuMemory memory : opened) {
                GpuDevice device = memory.devices().getFirst();
                assertThat(memory.domain(device)).as(device.id()).isEqualTo(one);
                assertThat(memory.heldBytes(device)).as(device.id()).isEqualTo(held);
                assertThat(memory.explainSelection(5 * GIB).chosen())
                        .as("18 of 24 GiB are held, and 2 by somebody else")
                        .isEmpty();
            }
            buffers.removeFirst().close();
            opened.removeFirst().close();
            for (GpuMemory memory : opened) {
                assertThat(memory.heldBytes(memory.devices().getFirst())).isEqualTo(12 * GIB);
            }
        } finally {
            opened.forEach(GpuMemory::close);
        }
    }

    @Test
    void aCardIsNotReservedTwiceThroughTwoApis() {
        try (GpuMemory memory = open("one card, three APIs", "none")) {
            GpuDevice cuda = device(memory, "cuda:0");
            GpuDevice vulkan = device(memory, "vulkan:0");
            assertThatExceptionOfType(DeviceOutOfMemoryException.class)
                    .isThrownBy(() -> memory.reserve(Map.of(cuda, 12 * GIB, vulkan, 12 * GIB)));
            assertThat(memory.usableBytes(cuda)).as("all or nothing").isEqualTo(memory.usableBytes(vulkan));
            try (Reservation both = memory.reserve(Map.of(cuda, 10 * GIB, vulkan, 10 * GIB))) {
                assertThat(both.devices()).containsExactlyInAnyOrder(cuda, vulkan);
                assertThat(memory.usableBytes(cuda)).isLessThan(2 * GIB);
            }
        }
    }

    /** The window of a small BAR is a kind's largest block, and what lies there is the card's. */
    @Test
    void aSmallBarIsNotTheCard() {
        try (GpuMemory memory = open("small BAR", "none")) {
            GpuDevice vulkan = device(memory, "vulkan:0");
            GpuMemoryPool pool = memory.pool(vulkan);
            AllocationRequest upload = AllocationRequest.of(128 * MIB).ofKind(MemoryKind.UPLOAD);
            try (DeviceBuffer window = pool.allocate(upload);
                    DeviceBuffer large = pool.allocate(4 * GIB)) {
                assertThat(memory.heldBytes(device(memory, "opencl:0")))
                        .isEqualTo(large.byteSize() + window.byteSize());
                assertThat(memory.heldBytes(device(memory, "cpu:0"))).isZero();
            }
        }
    }

    private GpuMemory open(String name, String silent) {
        GpuMemory.Builder builder = GpuMemory.builder().cardFiles(cards);
        GoldenMachines.build(name, silent).forEach(builder::backend);
        return builder.open();
    }

    private static GpuDevice device(GpuMemory memory, String id) {
        return memory.devices().stream()
                .filter(device -> device.id().equals(id))
                .findFirst()
                .orElseThrow();
    }

    private static String devices(String title, GpuMemory memory) {
        String domains = memory.devices().stream()
                .map(device -> device.id() + " " + memory.domain(device) + ": "
                        + memory.budget(device).source().label() + ", "
                        + memory.budget(device).detail())
                .collect(Collectors.joining("\n"));
        return "\n## " + title + "\n\n" + memory.summary() + "\n\n" + domains + "\n";
    }

    private static String selection(String title, GpuMemory memory, long bytes, String preference) {
        return "\n## " + title + "\n\n"
                + memory.explainSelection(bytes, BackendPreference.parse(preference))
                        .explain() + "\n";
    }

    private static void compare(String name, String text) throws IOException {
        Path file = TEXTS.resolve(name.toLowerCase(Locale.ROOT).replaceAll("[^a-z]+", "-") + ".txt");
        if ("write".equals(System.getProperty("headroom.golden"))) {
            Files.createDirectories(TEXTS);
            Files.writeString(file, text);
        }
        assertThat(text).isEqualTo(Files.readString(file));
    }
}
