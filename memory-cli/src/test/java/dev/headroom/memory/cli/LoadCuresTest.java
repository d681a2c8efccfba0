package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a refused load advises can be done on the command line, and helps. */
class LoadCuresTest {

    private static final long MIB = 1L << 20;

    /** The demo model has 165 MiB. The card's total, what others hold, whether it tells, and the options. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            1024 | 0   | true  | --limit 1MiB | to make it fit, raise --limit by
            200  | 0   | false |              | to make it fit, set --limit, because nothing tells how much is free
            1024 | 700 | true  |              | on the device or set --limit, which keeps nothing free
            """)
    void adviceNamesOptions(long totalMib, long othersMib, boolean tells, String options, String advice) {
        CommandRun run = load(totalMib, othersMib, tells, options);
        assertThat(run.code()).as(run.err()).isEqualTo(ExitCode.FAILED);
        assertThat(run.err()).contains(advice).doesNotContain("limitBytes", "gpuMemoryFraction", "minFreeBytes");
        assertThat(load(totalMib, othersMib, tells, "--limit " + totalMib + "MiB")
                        .code())
                .as("with that limit")
                .isZero();
    }

    @Test
    void everySettingTheLibraryAdvisesIsNamed() {
        assertThat(LoadCures.inOptions("short by 1 B; to make it fit, raise gpuMemoryFraction"))
                .isEqualTo("short by 1 B; to make it fit, set --limit, which may be more than that share");
        assertThat(LoadCures.inOptions("Host memory did not stand in: cpuFallbackEnabled is false"))
                .isEqualTo("Host memory did not stand in: --no-fallback forbids it");
    }

    private static CommandRun load(long totalMib, long othersMib, boolean tells, String options) {
        SimulatedBackend cuda = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("Card")
                        .totalBytes(totalMib * MIB)
                        .freeFigure(tells ? FreeFigure.measured() : FreeFigure.unknown()))
                .build();
        cuda.device(0).occupy(othersMib * MIB);
        String more = options == null ? "" : " " + options;
        return CommandRun.of(List.of(cuda), ("load --demo --no-fallback -q" + more).split(" "));
    }
}
