package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ProgressLineTest {

    private final ByteArrayOutputStream shown = new ByteArrayOutputStream();
    private long nanos;

    private ProgressLine line(boolean terminal, boolean quiet) {
        return new ProgressLine(new PrintStream(shown, true, StandardCharsets.UTF_8), terminal, quiet, () -> nanos);
    }

    private void steps(ProgressLine line, int steps, long millis) {
        for (int i = 0; i <= steps; i++) {
            line.show("copying", i * (1L << 20), (long) steps << 20);
            nanos += TimeUnit.MILLISECONDS.toNanos(millis);
        }
    }

    private String text() {
        return shown.toString(StandardCharsets.UTF_8);
    }

    @Test
    void aPipeGetsPlainLinesNowAndThen() {
        steps(line(false, false), 100, 100);
        assertThat(text().lines())
                .containsExactly(
                        "copying 10 % (10 MiB of 100 MiB), 10 MiB/s, 9 s left",
                        "copying 20 % (20 MiB of 100 MiB), 10 MiB/s, 8 s left",
                        "copying 30 % (30 MiB of 100 MiB), 10 MiB/s, 7 s left",
                        "copying 40 % (40 MiB of 100 MiB), 10 MiB/s, 6 s left",
                        "copying 50 % (50 MiB of 100 MiB), 10 MiB/s, 5 s left",
                        "copying 60 % (60 MiB of 100 MiB), 10 MiB/s, 4 s left",
                        "copying 70 % (70 MiB of 100 MiB), 10 MiB/s, 3 s left",
                        "copying 80 % (80 MiB of 100 MiB), 10 MiB/s, 2 s left",
                        "copying 90 % (90 MiB of 100 MiB), 10 MiB/s, 1 s left",
                        "copying 100 % (100 MiB of 100 MiB), 10 MiB/s");
    }

    @Test
    void whatIsOverAtOnceGetsOneLine() {
        steps(line(false, false), 100, 1);
        assertThat(text().lines()).hasSize(1);
    }

    @Test
    void aTerminalGetsOneLineThatGoesAway() {
        steps(line(true, false), 10, 60_000);
        assertThat(text())
                .contains("\r\033[Kcopying 10 % (1 MiB of 10 MiB), 17.07 KiB/s, 9:00 min left")
                .endsWith("\r\033[K")
                .doesNotContain("\n");
    }

    @Test
    void whatBreaksOffLeavesNoHalfLine() {
        ProgressLine line = line(true, false);
        line.show("copying", 0, 10);
        nanos = TimeUnit.SECONDS.toNanos(1);
        line.show("copying", 5, 10);
        line.clear();
        assertThat(text()).endsWith("\r\033[K");
    }

    @Test
    void quietIsQuiet() {
        ProgressLine line = line(true, true);
        steps(line, 10, 1000);
        line.clear();
        assertThat(text()).isEmpty();
    }
}
