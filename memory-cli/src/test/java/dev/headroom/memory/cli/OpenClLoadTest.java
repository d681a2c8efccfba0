package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.BackendStatus;
import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.model.GgufSynthesizer;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.ModelShape;
import dev.headroom.memory.model.WriteProgress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command line on the OpenCL device of this machine; skipped where there is none. */
class OpenClLoadTest {

    private static final long MIB = 1L << 20;
    private static final int TENSORS = 24;
    private static final long BYTES = TENSORS * 4 * MIB;

    @TempDir
    Path folder;

    private String model;

    @BeforeEach
    void makeModel() throws IOException {
        requireOpenCl();
        GgufWriter.Builder builder = GgufWriter.builder();
        for (int i = 0; i < TENSORS; i++) {
            builder.tensor("blk." + i + ".weight", DataType.F32, 1024, 1024);
        }
        Path path = folder.resolve("model.gguf");
        builder.build()
                .write(
                        path,
                        (tensor, offset, target) -> {
                            for (int i = 0; target.hasRemaining(); i++) {
                                target.put((byte) (tensor.name().hashCode() + (offset + i) * 31));
                            }
                        },
                        WriteProgress.none());
        model = path.toString();
    }

    private static void requireOpenCl() {
        try (GpuMemory memory = GpuMemory.open()) {
            BackendStatus status = memory.backends().stream()
                    .filter(backend -> backend.name().equals("opencl"))
                    .findFirst()
                    .orElseThrow();
            status.reason().ifPresent(reason -> {
                System.out.println("opencl is not tested: " + reason);
                abort(reason);
            });
        }
    }

    private static CommandRun run(String... args) {
        return CommandRun.discovering(args);
    }

    @Test
    void allOfItAndEveryByteIsRight() {
        CommandRun run = run("load", model, "--backend", "opencl", "--verify", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json())
                .containsEntry("backend", "opencl")
                .containsEntry("bytes", BYTES)
                .containsEntry("fallbackBuffers", 0L)
                .containsEntry("verified", true);
    }

    @Test
    void whatDoesNotFitUnderTheLimitFallsBack() {
        CommandRun run = run("load", model, "--backend", "opencl", "--limit", "64MiB", "--verify", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        Map<String, Object> json = run.json();
        assertThat(json)
                .containsEntry("backend", "opencl")
                .containsEntry("tensors", (long) TENSORS)
                .containsEntry("bytes", BYTES)
                .containsEntry("fallbackBuffers", TENSORS - 16L)
                .containsEntry("fallbackBytes", BYTES - 64 * MIB)
                .containsEntry("verified", true);
    }

    /** Where the device has the host's memory, only a limit makes room beside it that is worth a plan. */
    @Test
    @SuppressWarnings("unchecked")
    void withASplitTheLimitIsKeptByPlan() {
        CommandRun run = run(
                "load", model, "--backend", "opencl", "--limit", "64MiB", "--split", "balanced", "--verify", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        Map<String, Object> json = run.json();
        assertThat(json)
                .containsEntry("tensors", (long) TENSORS)
                .containsEntry("unplannedFallbacks", 0L)
                .containsEntry("fallbackBytes", BYTES - 64 * MIB)
                .containsEntry("verified", true);
        assertThat((Map<String, Object>) json.get("placement"))
                .containsEntry("kind", "partly-on-host")
                .containsEntry("layers", (long) TENSORS);
        List<Map<String, Object>> devices = (List<Map<String, Object>>) json.get("devices");
        assertThat(devices)
                .extracting(part -> part.get("device") + " " + part.get("bytes"))
                .containsExactlyInAnyOrder("opencl:0 " + 64 * MIB, "cpu:0 " + (BYTES - 64 * MIB));
        CommandRun words =
                run("load", model, "--backend", "opencl", "--limit", "64MiB", "--split", "balanced", "--verify");
        assertThat(words.out())
                .contains("no device has room for all of it: 16 of 24 layers on devices, 8 on the host")
                .contains("\nby plan 8 of these tensors, 32 MiB, lie on the host")
                .contains("\nverified: every byte was read back and equals the file");
    }

    @Test
    void withoutALimitTheHostIsNoPlaceBesideTheDevice() {
        CommandRun run = run("load", model, "--backend", "opencl", "--split", "balanced", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json()).containsEntry("fallbackBuffers", 0L).containsEntry("backend", "opencl");
    }

    @Test
    void withoutTheFallbackItIsRefusedWithTheFigures() {
        CommandRun run = run("load", model, "--backend", "opencl", "--limit", "64MiB", "--no-fallback", "--json");
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.out()).isEmpty();
        assertThat(run.complaints().getFirst()).startsWith("headroom: no device has room for " + model);
        assertThat(run.complaints().get(1)).contains("opencl:0", "requested 96 MiB, largest free 64 MiB, limit 64 MiB");
    }

    /** With the real driver: its version is in the key, and what its pool took is in the next plan. */
    @Test
    @SuppressWarnings("unchecked")
    void aLoadTeachesTheNextPlan() throws IOException {
        Path calibration = folder.resolve("calibration.tsv");
        Path tiny = folder.resolve("tiny.gguf");
        GgufSynthesizer.of(ModelShape.named("tinyllama-1.1b").withLayers(1), DataType.Q4_0, 42)
                .writeSparse(tiny);
        String[] plan = {"plan", tiny.toString(), "--backend", "opencl", "--json"};
        Map<String, Object> before = (Map<String, Object>)
                CommandRun.discoveringAndLearning(calibration, plan).json().get("footprint");
        CommandRun load = CommandRun.discoveringAndLearning(
                calibration, "load", tiny.toString(), "--backend", "opencl", "--json");
        assertThat(load.code()).as(load.err()).isZero();
        long took = (long) ((Map<String, Object>) load.json().get("stats")).get("totalAllocatedBytes");
        Map<String, Object> after = (Map<String, Object>)
                CommandRun.discoveringAndLearning(calibration, plan).json().get("footprint");
        long excess = took - (long) load.json().get("bytes");
        System.out.println(
                "PoCL took " + excess + " bytes more than " + load.json().get("bytes"));
        assertThat(after).containsEntry("learnedBytes", excess);
        assertThat(after).containsEntry("totalBytes", (long) before.get("totalBytes") + excess);
        assertThat(Files.readString(calibration)).containsPattern("\topencl\t[^\t]+, driver [^\t]+\t");
    }

    @Test
    void itIsListedAndSelected() {
        CommandRun devices = run("devices", "--json");
        assertThat(devices.out()).contains("\"name\":\"opencl\",\"available\":true");
        CommandRun selected = run("select", "1MiB", "--backend", "opencl");
        assertThat(selected.code()).isZero();
        assertThat(selected.out()).contains("opencl:0 (");
    }
}
