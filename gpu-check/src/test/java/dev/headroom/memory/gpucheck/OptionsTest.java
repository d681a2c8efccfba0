package dev.headroom.memory.gpucheck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OptionsTest {

    @Test
    void nothing_said() {
        Options options = Options.of();
        assertThat(options.suites()).isTrue();
        assertThat(options.figures()).isTrue();
        assertThat(options.device()).isZero();
        assertThat(options.json()).isEmpty();
    }

    @Test
    void everything_said() {
        Options options = Options.of(
                "--device",
                "2",
                "--mib",
                "64",
                "--layers",
                "3",
                "--rounds",
                "5",
                "--no-suites",
                "--no-figures",
                "--json",
                "out.json");
        assertThat(options)
                .isEqualTo(new Options(2, false, false, 64, 3, 5, java.util.Optional.of(Path.of("out.json"))));
    }

    @ParameterizedTest
    @CsvSource({
        "--device,              --device wants a value",
        "--mib 0,               '--mib wants a number from 1 to 2047, not 0'",
        "--mib 2048,            '--mib wants a number from 1 to 2047, not 2048'",
        "--layers many,         '--layers wants a number from 1 to 32, not many'",
        "--fast,                unknown option --fast"
    })
    void what_makes_no_sense(String line, String words) {
        assertThatThrownBy(() -> Options.of(line.split(" ")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(words);
    }
}
