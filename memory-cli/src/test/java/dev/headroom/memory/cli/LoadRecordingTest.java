package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.WriteProgress;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A recording of {@code headroom load} tells the whole story: where to, how much, and what did not fit. */
class LoadRecordingTest {

    private static final long MIB = 1L << 20;
    private static final int TENSORS = 70;

    @TempDir
    Path folder;

    @Test
    void aLoadThatFallsBackIsOnRecord() throws IOException {
        SimulatedBackend cards = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("card").totalBytes(4096 * MIB))
                .build();
        List<SimulatedBackend> machine = List.of(cards, SimulatedBackend.host(4096 * MIB));
        Path file = folder.resolve("load.jfr");
        CommandRun run;
        try (Recording recording = new Recording()) {
            recording.start();
            run = CommandRun.of(
                    machine, "load", model(), "--backend", "cuda", "--limit", "66MiB", "--verify", "--json");
            recording.stop();
            recording.dump(file);
        }
        assertThat(run.code()).as(run.err()).isZero();
        long fallbacks = (long) run.json().get("fallbackBuffers");
        assertThat(fallbacks).isPositive();
        Map<String, List<RecordedEvent>> events = RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().startsWith("dev.headroom."))
                .collect(Collectors.groupingBy(
                        event -> event.getEventType().getName().substring("dev.headroom.".length())));
        assertThat(events.keySet())
                .containsExactlyInAnyOrder(
                        "Allocate",
                        "Fallback",
                        "Free",
                        "Grow",
                        "OutOfMemory",
                        "PressureChange",
                        "Selection",
                        "Transfer");
        assertThat(events.get("Fallback")).hasSize((int) fallbacks).allSatisfy(event -> {
            assertThat(event.getString("device")).isEqualTo("cuda:0");
            assertThat(event.getString("host")).isEqualTo("cpu:0");
            assertThat(event.getLong("byteSize")).isEqualTo(MIB);
            assertThat(event.getString("reason")).contains("limit 66 MiB");
        });
        assertThat(events.get("OutOfMemory")).hasSize((int) fallbacks).allSatisfy(event -> {
            assertThat(event.getLong("requestedBytes")).isEqualTo(MIB);
            assertThat(event.getBoolean("byLimit")).isTrue();
        });
        assertThat(events.get("Allocate"))
                .allSatisfy(event -> assertThat(event.getInt("oneIn")).isEqualTo(64));
        assertThat(sum(events, "Grow", "cuda:0")).isEqualTo(66 * MIB);
        assertThat(events.get("PressureChange"))
                .last()
                .satisfies(event -> assertThat(event.getString("now")).isEqualTo("CRITICAL"));
        assertThat(events.get("Selection")).anySatisfy(event -> {
            assertThat(event.getLong("requiredBytes")).isEqualTo(TENSORS * MIB);
            assertThat(event.getString("preference")).isEqualTo("cuda");
            assertThat(event.getString("chosen")).isEmpty();
            assertThat(event.getString("verdicts")).isEqualTo("cuda:0 short by 4 MiB");
        });
        assertThat(sum(events, "Transfer", "cuda:0") + sum(events, "Transfer", "cpu:0"))
                .as("written once, read back once")
                .isEqualTo(2 * TENSORS * MIB);
    }

    private static long sum(Map<String, List<RecordedEvent>> events, String name, String device) {
        return events.get(name).stream()
                .filter(event -> event.getString("device").equals(device)
                        && (!event.hasField("kind") || event.getString("kind").equals("device")))
                .mapToLong(event -> event.getLong("byteSize"))
                .sum();
    }

    private String model() throws IOException {
        GgufWriter.Builder builder = GgufWriter.builder();
        for (int i = 0; i < TENSORS; i++) {
            builder.tensor("blk." + i + ".weight", DataType.F32, 512, 512);
        }
        Path path = folder.resolve("model.gguf");
        builder.build()
                .write(
                        path,
                        (tensor, offset, target) -> {
                            while (target.hasRemaining()) {
                                target.put((byte) tensor.name().hashCode());
                            }
                        },
                        WriteProgress.none());
        return path.toString();
    }
}
