package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What comes from elsewhere cannot command the terminal. */
class PlainTextTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"inspect", "plan", "load"})
    void namesOfFilesAreShownAndNotObeyed(String command) throws IOException {
        Path file = folder.resolve("red\033[31m\rforged\nvalid\u009b.gguf");
        for (boolean there : new boolean[] {false, true}) {
            if (there) {
                Files.writeString(file, "no model");
            }
            CommandRun run = CommandRun.of(List.of(SimulatedBackend.host(1 << 30)), true, command, file.toString());
            assertThat(run.code()).isEqualTo(ExitCode.INVALID_FILE);
            String all = run.out() + run.err();
            assertThat(all).contains("red\\u001b[31m\\u000dforged\\u000avalid\\u009b.gguf");
            assertThat(all.replace("\n", "")).matches(text -> text.chars().noneMatch(Character::isISOControl));
            assertThat(all.lines()).as("no line of its own making").noneMatch(line -> line.startsWith("valid"));
        }
    }

    @Test
    void namesOfDevicesToo() {
        SimulatedBackend cuda = SimulatedBackend.builder("cuda")
                .device(SimulatedDevice.builder("Card\007\u202e"))
                .build();
        assertThat(CommandRun.of(List.of(cuda), "devices").out())
                .contains("cuda:0  Card\\u0007\\u202e  discrete")
                .doesNotContain("\007", "\u202e");
    }

    @Test
    void whatTheCommandItselfPrintsStays() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream plain = new PlainText(new PrintStream(bytes, true, StandardCharsets.UTF_8), "a\nb", "ordinary");
        plain.print("\r\033[K12 %");
        plain.println("two\nlines\tof größe, of a\nb, ordinary");
        plain.println((Object) "\033c");
        assertThat(bytes.toString(StandardCharsets.UTF_8))
                .isEqualTo("\r\033[K12 %two\nlines\tof größe, of a\\u000ab, ordinary\n\\u001bc\n"
                        .replace("ordinary\n", "ordinary" + System.lineSeparator())
                        .replace("\\u001bc\n", "\\u001bc" + System.lineSeparator()));
    }
}
