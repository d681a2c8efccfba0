package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.LogCapture;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TrackingLevel;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.logging.Level;
import java.util.stream.Collectors;
import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.EventType;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a Flight Recorder recording holds. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class JfrEventsTest {

    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    private final SimulatedBackend card = SimulatedBackend.builder("cuda")
            .device(SimulatedDevice.builder("card").totalBytes(64 * MIB).withoutHostCopies())
            .build();
    private final SimulatedBackend host = SimulatedBackend.host(256 * MIB);

    /** Names and fields are a promise: tools and dashboards are built on them. */
    @Test
    void the_names_of_events_and_fields_are_these() {
        TreeMap<String, List<String>> fields = new TreeMap<>();
        for (Class<?> type : JfrEvents.class.getDeclaredClasses()) {
            if (Event.class.isAssignableFrom(type)) {
                EventType event = EventType.getEventType(type.asSubclass(Event.class));
                assertThat(event.getCategoryNames()).containsExactly("Headroom");
                assertThat(type.getAnnotation(Category.class).value()).containsExactly("Headroom");
                assertThat(event.getLabel()).isNotBlank();
                assertThat(event.getDescription()).isNotBlank();
                assertThat(event.getFields())
                        .allSatisfy(field ->
                                assertThat(field.getLabel()).as(field.getName()).isNotBlank());
                fields.put(
                        type.getAnnotation(Name.class).value(),
                        event.getFields().stream()
                                .map(field -> field.getName())
                                .filter(name -> !List.of("startTime", "duration", "eventThread", "stackTrace")
                                        .contains(name))
                                .toList());
            }
        }
        assertThat(fields.entrySet().stream()
                        .map(entry -> entry.getKey() + " " + String.join(" ", entry.getValue()))
                        .collect(Collectors.joining("\n")))
                .isEqualTo("""
                        dev.headroom.Allocate device kind buffer byteSize tag hit oneIn
                        dev.headroom.Fallback device host byteSize reason
                        dev.headroom.Free device kind buffer byteSize
                        dev.headroom.Grow device kind byteSize
                        dev.headroom.Leak device buffer byteSize tag age site reclaimed
                        dev.headroom.OutOfMemory device kind requestedBytes largestFreeBytes inUseBytes heldBytes usableBytes byLimit openBuffers
                        dev.headroom.PressureChange device before now used
                        dev.headroom.Selection requiredBytes preference chosen verdicts
                        dev.headroom.Transfer device operation byteSize async
                        dev.headroom.Trim device kind byteSize""");
    }

    @Test
    void every_documented_event_is_in_the_guide() throws IOException {
        String page = Files.readString(Path.of(System.getProperty("headroom.root", ".."), "docs", "events.md"));
        for (Class<?> type : JfrEvents.class.getDeclaredClasses()) {
            if (Event.class.isAssignableFrom(type)) {
                String name = type.getAnnotation(Name.class).value();
                assertThat(page).contains("`" + name + "`");
                String section = page.substring(page.indexOf("`" + name + "`"));
                String row = section.substring(0, section.indexOf('\n'));
                EventType.getEventType(type.asSubclass(Event.class)).getFields().stream()
                        .filter(field -> field.getLabel() != null && field.getAnnotation(Label.class) != null)
                        .map(field -> field.getName())
                        .filter(field -> !List.of("startTime", "duration", "eventThread", "stackTrace")
                                .contains(field))
                        .forEach(field -> assertThat(row).as(name).contains("`" + field + "`"));
            }
        }
    }

    @Test
    void buffers_growth_and_trim() throws IOException {
        List<RecordedEvent> events = record(config().build(), pool -> {
            DeviceBuffer first = pool.allocate(AllocationRequest.of(MIB).tagged("kv cache"));
            DeviceBuffer second = pool.allocate(2 * MIB);
            first.close();
            second.close();
            assertThat(pool.shrink()).isEqualTo(32 * MIB);
        });
        assertThat(lines(events, "Allocate", "device", "kind", "byteSize", "tag", "hit", "oneIn"))
                .containsExactly("cuda:0 device 1048576 kv cache false 1", "cuda:0 device 2097152 null true 1");
        assertThat(lines(events, "Free", "device", "kind", "byteSize"))
                .containsExactly("cuda:0 device 1048576", "cuda:0 device 2097152");
        assertThat(lines(events, "Free", "buffer")).isEqualTo(lines(events, "Allocate", "buffer"));
        assertThat(lines(events, "Grow", "device", "kind", "byteSize")).containsExactly("cuda:0 device 33554432");
        assertThat(lines(events, "Trim", "device", "kind", "byteSize")).containsExactly("cuda:0 device 33554432");
        assertThat(events).allSatisfy(event -> assertThat(event.getStackTrace()).isNull());
    }

    @Test
    void one_allocation_in_so_many_stands_for_all_and_its_close_is_recorded_too() throws IOException {
        List<RecordedEvent> events = record(config().eventSampling(64).build(), pool -> {
            for (int i = 0; i < 641; i++) {
                pool.allocate(256).close();
            }
        });
        assertThat(lines(events, "Allocate", "oneIn"))
                .as("the first, and each 64th after it")
                .hasSize(11)
                .containsOnly("64");
        assertThat(lines(events, "Free", "buffer")).isEqualTo(lines(events, "Allocate", "buffer"));
    }

    @Test
    void transfers() throws IOException {
        List<RecordedEvent> events = record(config().build(), pool -> {
            try (Arena arena = Arena.ofShared();
                    DeviceBuffer buffer = pool.allocate(MIB);
                    DeviceBuffer other = pool.allocate(MIB)) {
                var bytes = arena.allocate(4096);
                buffer.write(0, bytes);
                buffer.read(0, bytes);
                buffer.copyTo(0, other, 0, 8192);
                buffer.fill(0, MIB, (byte) 1);
                buffer.writeAsync(0, bytes).join();
                buffer.readAsync(0, bytes).join();
                buffer.copyToAsync(0, other, 0, 16384).join();
                assertThatThrownBy(() -> buffer.write(MIB, bytes)).isInstanceOf(IndexOutOfBoundsException.class);
            }
        });
        assertThat(lines(events, "Transfer", "device", "operation", "byteSize", "async"))
                .containsExactlyInAnyOrder(
                        "cuda:0 write 4096 false",
                        "cuda:0 read 4096 false",
                        "cuda:0 copy 8192 false",
                        "cuda:0 fill 1048576 false",
                        "cuda:0 write 4096 true",
                        "cuda:0 read 4096 true",
                        "cuda:0 copy 16384 true");
        assertThat(events)
                .filteredOn(event -> event.getEventType().getName().endsWith("Transfer"))
                .allSatisfy(event -> assertThat(event.getDuration()).isPositive());
    }

    @Test
    void shortage_fallback_and_pressure() throws IOException {
        List<RecordedEvent> events = record(config().limitBytes(10 * MIB).build(), pool -> {
            DeviceBuffer large = pool.allocate(9 * MIB);
            FallbackBuffer fallback = pool.allocateWithFallback(2 * MIB);
            assertThat(fallback.isCpuFallback()).isTrue();
            assertThatThrownBy(() -> pool.allocate(3 * MIB)).isInstanceOf(DeviceOutOfMemoryException.class);
            fallback.close();
            large.close();
        });
        String figures = " 0 9437184 9437184 1048576 true 1";
        assertThat(lines(
                        events,
                        "OutOfMemory",
                        "device",
                        "kind",
                        "requestedBytes",
                        "largestFreeBytes",
                        "inUseBytes",
                        "heldBytes",
                        "usableBytes",
                        "byLimit",
                        "openBuffers"))
                .containsExactly("cuda:0 device 2097152" + figures, "cuda:0 device 3145728" + figures);
        assertThat(lines(events, "Fallback", "device", "host", "byteSize")).containsExactly("cuda:0 cpu:0 2097152");
        assertThat(lines(events, "Fallback", "reason").getFirst())
                .startsWith("cuda:0 (card): 2 MiB wanted, but only 1 MiB more can be had");
        assertThat(lines(events, "PressureChange", "device", "before", "now", "used"))
                .containsExactly("cuda:0 LOW HIGH 0.9");
    }

    @Test
    void selection() throws IOException {
        List<RecordedEvent> events = record(config().build(), pool -> {});
        assertThat(lines(events, "Selection", "requiredBytes", "preference", "chosen", "verdicts"))
                .containsExactly(
                        "134217728 auto cpu:0 cuda:0 short by 64 MiB; cpu:0 fits with 128 MiB to spare",
                        "1073741824 cuda  cuda:0 short by 960 MiB");
    }

    @Test
    void a_dropped_buffer() throws IOException {
        try (LogCapture log = new LogCapture()) {
            MemoryConfig full = config().tracking(TrackingLevel.FULL).build();
            List<RecordedEvent> events = record(full, pool -> {
                drop(pool);
                PressureMonitor monitor = ((PoolEngine) pool).monitor();
                for (int i = 0; i < 200 && pool.tracker().orElseThrow().leakedCount() == 0; i++) {
                    System.gc();
                    monitor.step();
                }
            });
            assertThat(lines(events, "Leak", "device", "byteSize", "tag", "reclaimed"))
                    .containsExactly("cuda:0 1048576 kv cache false");
            assertThat(lines(events, "Leak", "buffer")).isEqualTo(lines(events, "Allocate", "buffer"));
            assertThat(lines(events, "Leak", "age")).containsExactly("0");
            assertThat(log.messages(Level.WARNING)).isNotEmpty();
        }
    }

    @Test
    void nothing_is_recorded_while_the_types_are_disabled() throws IOException {
        try (Recording recording = new Recording()) {
            for (Class<?> type : JfrEvents.class.getDeclaredClasses()) {
                if (Event.class.isAssignableFrom(type)) {
                    recording.disable(type.asSubclass(Event.class));
                }
            }
            recording.start();
            run(config().build(), pool -> pool.allocate(MIB).close());
            recording.stop();
            assertThat(parse(recording)).isEmpty();
        }
    }

    private static void drop(GpuMemoryPool pool) {
        pool.allocate(AllocationRequest.of(MIB).tagged("kv cache"));
    }

    /** Something to be recorded. */
    @FunctionalInterface
    private interface Work {
        void on(GpuMemoryPool pool);
    }

    private List<RecordedEvent> record(MemoryConfig config, Work work) throws IOException {
        try (Recording recording = new Recording()) {
            recording.start();
            run(config, work);
            recording.stop();
            return parse(recording);
        }
    }

    private void run(MemoryConfig config, Work work) {
        try (GpuMemory memory = GpuMemory.builder()
                .config(config)
                .backend(card)
                .backend(host)
                .clock(card.clock())
                .open()) {
            memory.explainSelection(128 * MIB);
            memory.explainSelection(1024 * MIB, BackendPreference.parse("cuda"));
            work.on(memory.pool(memory.devices().getFirst()));
        }
        card.requireNoViolations();
    }

    private List<RecordedEvent> parse(Recording recording) throws IOException {
        Path file = folder.resolve("recording.jfr");
        recording.dump(file);
        List<RecordedEvent> ours = new ArrayList<>();
        for (RecordedEvent event : RecordingFile.readAllEvents(file)) {
            if (event.getEventType().getName().startsWith("dev.headroom.")) {
                ours.add(event);
            }
        }
        ours.sort(Comparator.comparing(RecordedEvent::getEndTime));
        return ours;
    }

    private static List<String> lines(List<RecordedEvent> events, String name, String... fields) {
        return events.stream()
                .filter(event -> event.getEventType().getName().equals("dev.headroom." + name))
                .map(event -> Arrays.stream(fields)
                        .map(field -> String.valueOf(event.<Object>getValue(field)))
                        .collect(Collectors.joining(" ")))
                .toList();
    }

    private static MemoryConfig.Builder config() {
        return MemoryConfig.builder()
                .fraction(1)
                .minFreeBytes(0)
                .eventSampling(1)
                .pressureInterval(Duration.ofDays(1))
                .waitTimeout(Duration.ZERO);
    }
}
