package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.MemoryConfig;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReplayTest {

    private static final String TRACE = "a 1 41943040\na 2 8388608\nf 1\na 3 1\nf 2\n";

    @TempDir
    private Path folder;

    @Test
    void saysWhatATraceComesTo() throws IOException {
        CommandRun run = replay(trace(TRACE));
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out())
                .contains("operations       5, of them 3 allocations\n")
                .containsPattern("time +\\d+\\.\\d ns per operation\n")
                .contains("peak live        48 MiB\n")
                .contains("peak reserved    ")
                .contains("failed           0 allocations\n");
    }

    @Test
    void printsJson() throws IOException {
        CommandRun run = replay(trace(TRACE), "--json");
        assertThat(run.json())
                .containsEntry("schema", 1L)
                .containsEntry("operations", 5L)
                .containsEntry("peakLiveBytes", 50331648L)
                .containsEntry("failedAllocations", 0L)
                .containsKeys("nanosPerOperation", "peakReservedBytes", "driverCalls", "settings");
    }

    @Test
    void aDeviceThatIsTooSmallFailsAllocations() throws IOException {
        CommandRun run = replay(trace(TRACE), "--device-bytes", "44MiB", "--virtual-memory", "off", "--json");
        assertThat(run.code()).isEqualTo(ExitCode.FAILED);
        assertThat(run.json()).containsEntry("failedAllocations", 1L);
    }

    @Test
    void theSearchPrintsAPropertiesFile() throws IOException {
        CommandRun run = replay(trace(TRACE), "--search", "--virtual-memory", "off");
        assertThat(run.code()).isZero();
        Properties best = new Properties();
        best.load(new StringReader(run.out()));
        assertThat(best.stringPropertyNames())
                .containsExactlyInAnyOrder(
                        "headroom.growthBytes", "headroom.maxPooledPerBucket", "headroom.releaseThresholdBytes");
        MemoryConfig config = MemoryConfig.of(best);
        assertThat(config.growthBytes())
                .as("32 MiB would be wasted on the last byte")
                .isLessThan(32 << 20);

        Path file = Files.writeString(folder.resolve("best.properties"), run.out());
        CommandRun again = replay(trace(TRACE), "--config", file.toString(), "--json");
        assertThat(again.json()).containsEntry("peakReservedBytes", 50331648L);
    }

    @Test
    void aMalformedTraceNamesItsLine() throws IOException {
        CommandRun run = replay(trace("a 1 5\nf 2\n"));
        assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(run.out()).isEmpty();
        assertThat(run.complaints()).hasSize(1);
        assertThat(run.complaints().getFirst())
                .startsWith("headroom: ")
                .endsWith("trace, line 2: frees 2, which is not allocated");
    }

    @Test
    void aMissingTraceIsNamed() {
        CommandRun run = replay(folder.resolve("nowhere"));
        assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
        assertThat(run.err()).contains("nowhere: there is no such file");
    }

    @Test
    void wrongSettingsAreWrongUsage() throws IOException {
        Path file = Files.writeString(folder.resolve("p"), "headroom.growthBytes = much\n");
        CommandRun run = replay(trace(TRACE), "--config", file.toString());
        assertThat(run.code()).isEqualTo(ExitCode.USAGE);
        assertThat(run.err()).contains("headroom.growthBytes is `much`: expected a size up to 1 TiB");
        assertThat(replay(trace(TRACE), "--config", folder.resolve("none").toString())
                        .err())
                .contains("none: there is no such file");
        assertThat(replay(trace(TRACE), "--virtual-memory", "maybe").code()).isEqualTo(ExitCode.USAGE);
        assertThat(replay(trace(TRACE), "--device-bytes", "0").code()).isEqualTo(ExitCode.USAGE);
    }

    private Path trace(String text) throws IOException {
        return Files.writeString(folder.resolve("trace"), text);
    }

    private static CommandRun replay(Path trace, String... options) {
        String[] args = new String[options.length + 2];
        args[0] = "replay";
        args[1] = trace.toString();
        System.arraycopy(options, 0, args, 2, options.length);
        return CommandRun.of(List.of(), args);
    }
}
