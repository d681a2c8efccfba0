package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DataType;
import dev.headroom.memory.model.GgufFile;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.ModelFingerprint;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.model.calibration.CalibrationKey;
import dev.headroom.memory.model.calibration.Correction;
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

/** What {@code load} notes, {@code plan} says. */
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
        return List.of(
                SimulatedBackend.builder("cuda")
                        .device(SimulatedDevice.builder("Card").totalBytes(4096 * MIB))
                        .build(),
                SimulatedBackend.host(8192 * MIB));
    }

    private CommandRun run(String... args) {
        CommandRun run = CommandRun.learning(machine(), calibration, args);
        assertThat(run.code()).as(run.err()).isZero();
        return run;
    }

    private Correction learned() throws IOException {
        return Calibration.at(calibration)
                .correction(new CalibrationKey(ModelFingerprint.of(file), "cuda", "Card"), file.tensorBytes())
                .orElseThrow(() -> new AssertionError("nothing was learned"));
    }

    @Test
    @SuppressWarnings("unchecked")
    void aLoadIsNotedAndThePlanSaysSo() throws IOException {
        assertThat(run("plan", model.toString()).out()).doesNotContain("what loads have taught");
        assertThat(calibration).doesNotExist();
        CommandRun load = run("load", model.toString(), "--json");
        Map<String, Object> stats = (Map<String, Object>) load.json().get("stats");
        long took = (long) stats.get("totalAllocatedBytes");
        assertThat(learned().correctedBytes()).isEqualTo(took);
        String remark = "by what loads have taught, all tensors on cuda:0 take ";
        assertThat(run("plan", model.toString()).out().lines())
                .anySatisfy(line -> assertThat(line)
                        .startsWith("note: " + remark)
                        .endsWith(learned().reason())
                        .contains("1 load of this model on cuda (Card) took "));
        Map<String, Object> footprint = (Map<String, Object>)
                run("plan", model.toString(), "--json").json().get("footprint");
        assertThat((List<String>) footprint.get("remarks"))
                .singleElement()
                .asString()
                .startsWith(remark);
        run("load", model.toString());
        assertThat(learned().measurements()).isEqualTo(2);
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
        assertThat(run("plan", model.toString()).out()).doesNotContain("what loads have taught");
    }
}
