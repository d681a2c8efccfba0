package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelFingerprint;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.model.calibration.CalibrationKey;
import dev.headroom.memory.model.calibration.Correction;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code load} notes, {@code plan} carries. */
class LearnedBytesTest {

    private static final long MIB = 1L << 20;

    @TempDir
    Path folder;

    private Path calibration;
    private Path model;
    private GgufFile file;

    @BeforeEach
    void makeModel() throws IOException {
        calibration = folder.resolve("data").resolve("calibration.tsv");
        model = folder.resolve("tiny.gguf");
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b").withLayers(1), DataType.Q4_0, 42)
                .writeSparse(model);
        file = GgufFile.read(model);
    }

    private static List<SimulatedBackend> machine() {
        return machine(4096 * MIB, 4096 * MIB);
    }

    /** Two cards of one kind that are empty, and a host. */
    private static List<SimulatedBackend> machine(long... cardBytes) {
        SimulatedBackend.Builder cards = SimulatedBackend.builder("cuda");
        for (long bytes : cardBytes) {
            cards.device(SimulatedDevice.builder("Card")
                    .driverVersion("550.54")
                    .totalBytes(bytes)
                    .freeFigure(FreeFigure.constant(bytes)));
        }
        return List.of(cards.build(), SimulatedBackend.host(8192 * MIB));
    }

    private CommandRun run(String... args) {
        return run(machine(), args);
    }

    private CommandRun run(List<SimulatedBackend> machine, String... args) {
        CommandRun run = CommandRun.learning(machine, calibration, args);
        assertThat(run.code()).as(run.err()).isZero();
        return run;
    }

    private CalibrationKey key() {
        return new CalibrationKey(ModelFingerprint.of(file), "cuda", "Card, driver 550.54");
    }

    private Correction learned() {
        return Calibration.at(calibration)
                .correction(key(), file.tensorBytes())
                .orElseThrow(() -> new AssertionError("nothing was learned"));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> part(CommandRun run, String name) {
        return (Map<String, Object>) run.json().get(name);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> learnedTerm(CommandRun run) {
        return ((List<Map<String, Object>>) part(run, "footprint").get("terms"))
                .stream()
                        .filter(term -> term.get("name").equals("learned"))
                        .findFirst()
                        .orElseThrow();
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> firstShare(CommandRun run) {
        return ((List<Map<String, Object>>) part(run, "placement").get("devices")).getFirst();
    }

    /** What the pool took beyond the tensors comes back in the total, the selection and the placement of the next plan. */
    @Test
    void aLoadIsNotedAndThePlanCarriesIt() {
        CommandRun before = run("plan", model.toString(), "--json");
        assertThat(part(before, "footprint")).containsEntry("learnedBytes", 0L);
        assertThat(before.out()).doesNotContain("learned from");
        assertThat(calibration).doesNotExist();
        CommandRun load = run("load", model.toString(), "--json");
        assertThat(load.json()).containsEntry("learned", null);
        long took = (long) part(load, "stats").get("totalAllocatedBytes");
        long excess = took - file.tensorBytes();
        assertThat(excess).as("the pool took more than the tensors").isPositive();
        assertThat(learned().highBytes()).isEqualTo(excess);

        CommandRun after = run("plan", model.toString(), "--json");
        long total = (long) part(before, "footprint").get("totalBytes") + excess;
        assertThat(part(after, "footprint"))
                .containsEntry("learnedBytes", excess)
                .containsEntry("totalBytes", total);
        assertThat(learnedTerm(after))
                .isEqualTo(Map.of(
                        "name",
                        "learned",
                        "bytes",
                        excess,
                        "lowBytes",
                        excess,
                        "highBytes",
                        excess,
                        "certainty",
                        "guessed",
                        "onHost",
                        false,
                        "reason",
                        learned().reason()));
        assertThat(part(after, "selection")).containsEntry("requiredBytes", total);
        assertThat((long) firstShare(after).get("overheadBytes"))
                .isEqualTo((long) firstShare(before).get("overheadBytes") + excess);
        assertThat(run("plan", model.toString()).out().lines())
                .anySatisfy(line -> assertThat(line)
                        .startsWith("learned ")
                        .contains(
                                "guessed: learned from 1 load on cuda (Card, driver 550.54), which took ",
                                " more than predicted"));

        assertThat(run("load", model.toString()).out()).contains(" predicted on cuda:0 (Card): learned from 1 load on");
        assertThat(learned().measurements()).isEqualTo(2);
        assertThat(part(run("load", model.toString(), "--json"), "learned"))
                .containsEntry("loads", 2L)
                .containsEntry("highBytes", excess);
    }

    /** A card with room for the plain figure only: what was learned sends the model to the next card, and opting out does not. */
    @Test
    void whatWasLearnedChangesTheChoice() {
        long plain = (long)
                part(run("plan", model.toString(), "--json"), "footprint").get("totalBytes");
        long margins = 4096 * MIB - usable(machine(), "cuda:0");
        assertThat(Calibration.at(calibration).record(key(), file.tensorBytes(), file.tensorBytes() + 8 * MIB))
                .isTrue();
        long tight = plain + 4 * MIB;
        List<SimulatedBackend> machine = tightFor(tight, margins);
        CommandRun careful = run(machine, "plan", model.toString(), "--json");
        assertThat(part(careful, "footprint")).containsEntry("totalBytes", plain + 8 * MIB);
        assertThat(chosen(careful)).isEqualTo(1L);
        assertThat(firstShare(careful)).containsEntry("device", "cuda:1");
        CommandRun optedOut = CommandRun.of(tightFor(tight, margins), "plan", model.toString(), "--json");
        assertThat(part(optedOut, "footprint"))
                .containsEntry("totalBytes", plain)
                .containsEntry("learnedBytes", 0L);
        assertThat(chosen(optedOut)).isZero();
        assertThat(firstShare(optedOut)).containsEntry("device", "cuda:0");
    }

    private static long usable(List<SimulatedBackend> machine, String device) {
        try (GpuMemory memory = GpuMemory.builder()
                .backend(machine.getFirst())
                .backend(machine.getLast())
                .open()) {
            return memory.usableBytes(memory.devices().stream()
                    .filter(one -> one.id().equals(device))
                    .findFirst()
                    .orElseThrow());
        }
    }

    /** A machine whose first card has so many usable bytes. */
    private static List<SimulatedBackend> tightFor(long usable, long margins) {
        long total = usable + margins;
        // Part of the margins is a share of the total.
        while (usable(machine(total, 4096 * MIB), "cuda:0") < usable) {
            total += MIB / 4;
        }
        return machine(total, 4096 * MIB);
    }

    @SuppressWarnings("unchecked")
    private static long chosen(CommandRun plan) {
        return (long) ((Map<String, Object>) part(plan, "selection").get("chosen")).get("device");
    }

    /** A device that has room for the tensors gets them, whatever other loads took. */
    @Test
    void whatWasLearnedKeepsNoModelFromACard() {
        assertThat(Calibration.at(calibration).record(key(), file.tensorBytes(), 2 * file.tensorBytes()))
                .isTrue();
        long margins = 4096 * MIB - usable(machine(), "cuda:0");
        long total = file.tensorBytes() + margins;
        while (usable(machine(total), "cuda:0") < file.tensorBytes() + MIB) {
            total += MIB / 4;
        }
        CommandRun load = run(machine(total), "load", model.toString(), "--json");
        assertThat(load.json()).containsEntry("backend", "cuda").containsEntry("fallbackBuffers", 0L);
    }

    /** Each device of a split teaches by its own tensors and its own pool. */
    @Test
    @SuppressWarnings("unchecked")
    void aSplitLoadIsNotedDeviceByDevice() throws IOException {
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b").withLayers(8), DataType.Q4_0, 42)
                .writeSparse(model);
        file = GgufFile.read(model);
        long margins = 4096 * MIB - usable(machine(), "cuda:0");
        List<SimulatedBackend> machine = machine(margins + 150 * MIB, margins + 150 * MIB, margins + 150 * MIB);
        CommandRun load = run(machine, "load", model.toString(), "--json");
        List<Map<String, Object>> places =
                (List<Map<String, Object>>) load.json().get("devices");
        List<Map<String, Object>> cards = places.stream()
                .filter(place -> place.get("device").toString().startsWith("cuda"))
                .toList();
        assertThat(cards).hasSizeGreaterThan(1);
        assertThat(Files.readAllLines(calibration))
                .filteredOn(line -> line.contains("\tcuda\t"))
                .hasSameSizeAs(cards)
                .allSatisfy(line -> {
                    String[] fields = line.split("\t");
                    assertThat(Long.parseLong(fields[4])).isGreaterThanOrEqualTo(Long.parseLong(fields[3]));
                })
                .extracting(line -> Long.parseLong(line.split("\t")[3]))
                .containsExactlyInAnyOrderElementsOf(
                        cards.stream().map(place -> (Long) place.get("bytes")).toList());
    }

    /** A part of a model teaches nothing about the whole, and a demo is no model of the user's. */
    @Test
    void partsAndDemosAreNotNoted() {
        run("load", model.toString(), "--limit", "40MiB");
        run("load", "--demo", "--quiet");
        assertThat(calibration).doesNotExist();
    }

    @Test
    void aFileThatCannotBeWrittenFailsNoLoad() throws IOException {
        Files.writeString(folder.resolve("data"), "a file where the folder should be");
        assertThat(run("load", model.toString()).err()).doesNotContain("calibration");
        assertThat(run("plan", model.toString()).out()).doesNotContain("learned from");
    }
}
