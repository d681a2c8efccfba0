package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.headroom.memory.BackendStatus;
import dev.headroom.memory.DataType;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.model.GgufWriter;
import dev.headroom.memory.model.SyntheticWeights;
import dev.headroom.memory.model.WriteProgress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The command line on the Vulkan device of this machine; skipped where there is none. */
class VulkanLoadTest {

    private static final String STAGED = "headroom.vulkan.staged";
    private static final long MIB = 1L << 20;
    private static final int TENSORS = 24;
    private static final long BYTES = TENSORS * 4 * MIB;

    @TempDir
    Path folder;

    private String model;

    @BeforeEach
    void makeModel() throws IOException {
        requireVulkan();
        GgufWriter.Builder builder = GgufWriter.builder();
        for (int i = 0; i < TENSORS; i++) {
            builder.tensor("blk." + i + ".weight", DataType.F32, 1024, 1024);
        }
        Path path = folder.resolve("model.gguf");
        builder.build().write(path, new SyntheticWeights(7), WriteProgress.none());
        model = path.toString();
    }

    @AfterEach
    void forget() {
        System.clearProperty(STAGED);
    }

    private static void requireVulkan() {
        try (GpuMemory memory = GpuMemory.open()) {
            BackendStatus status = memory.backends().stream()
                    .filter(backend -> backend.name().equals("vulkan"))
                    .findFirst()
                    .orElseThrow();
            status.reason().ifPresent(reason -> {
                System.out.println("vulkan is not tested: " + reason);
                abort(reason);
            });
        }
    }

    private static CommandRun run(String... args) {
        return CommandRun.discovering(args);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void allOfItAndEveryByteIsRight(boolean staged) {
        System.setProperty(STAGED, String.valueOf(staged));
        CommandRun run = run("load", model, "--backend", "vulkan", "--verify", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.json())
                .containsEntry("backend", "vulkan")
                .containsEntry("bytes", BYTES)
                .containsEntry("fallbackBuffers", 0L)
                .containsEntry("verified", true);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatDoesNotFitUnderTheLimitFallsBack(boolean staged) {
        System.setProperty(STAGED, String.valueOf(staged));
        CommandRun run = run("load", model, "--backend", "vulkan", "--limit", "64MiB", "--verify", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        Map<String, Object> json = run.json();
        assertThat(json)
                .containsEntry("backend", "vulkan")
                .containsEntry("tensors", (long) TENSORS)
                .containsEntry("bytes", BYTES)
                .containsEntry("fallbackBuffers", TENSORS - 16L)
                .containsEntry("fallbackBytes", BYTES - 64 * MIB)
                .containsEntry("verified", true);
    }

    @Test
    void itIsListedAndSelected() {
        CommandRun devices = run("devices", "--json");
        assertThat(devices.out()).contains("\"name\":\"vulkan\",\"available\":true");
        CommandRun selected = run("select", "1MiB", "--backend", "vulkan");
        assertThat(selected.code()).isZero();
        assertThat(selected.out()).contains("vulkan:0 (");
    }
}
