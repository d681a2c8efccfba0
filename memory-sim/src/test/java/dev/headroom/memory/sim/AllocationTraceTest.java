package dev.headroom.memory.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AllocationTraceTest {

    @TempDir
    private Path folder;

    @Test
    void readsOperationsInOrder() throws IOException {
        Path file = Files.writeString(folder.resolve("t"), """
                # made by hand
                a 7 1024
                a 9223372036854775807 4096 17 ignored columns

                  f 7
                a 7 512\t12.5
                """);
        AllocationTrace trace = AllocationTrace.read(file);
        assertThat(trace.operations()).isEqualTo(4);
        assertThat(trace.allocations()).isEqualTo(3);
        assertThat(trace.peakLiveBytes()).isEqualTo(5120);
        assertThat(trace.slotCount()).as("a freed place is used again").isEqualTo(2);
        assertThat(List.of(trace.byteSize(0), trace.byteSize(1), trace.byteSize(2), trace.byteSize(3)))
                .containsExactly(1024L, 4096L, 0L, 512L);
    }

    @Test
    void anEmptyTraceHasNothing() throws IOException {
        AllocationTrace trace = AllocationTrace.of("empty", List.of());
        assertThat(trace.operations()).isZero();
        assertThat(trace.peakLiveBytes()).isZero();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "b 1 2 | line 2: is `b 1 2`, expected `a ID BYTES` or `f ID`",
                "a 5 | line 2: is `a 5`, expected `a ID BYTES` or `f ID`",
                "f | line 2: is `f`, expected `a ID BYTES` or `f ID`",
                "a x 5 | line 2: has `x` for ID, expected a number from 0 to 9223372036854775807: `a x 5`",
                "a -1 5 | line 2: has `-1` for ID, expected a number from 0 to 9223372036854775807: `a -1 5`",
                "a 2 0 | line 2: has `0` for BYTES, expected a number from 1 to 9223372036854775807: `a 2 0`",
                "a 2 99999999999999999999 | line 2: has `99999999999999999999` for BYTES, expected a number from 1",
                "a 1 5 | line 2: allocates 1, which is allocated already and was not freed",
                "f 2 | line 2: frees 2, which is not allocated",
                "a 2 9223372036854775807 | line 2: allocates 9223372036854775807 bytes, and all together exceed 2^63",
            })
    void aWrongLineIsNamed(String line, String message) {
        assertThatExceptionOfType(MalformedTraceException.class)
                .isThrownBy(() -> AllocationTrace.of("trace", List.of("a 1 1", line)))
                .withMessageStartingWith("trace, " + message)
                .satisfies(e -> assertThat(e.line()).isEqualTo(2));
    }

    @Test
    void aBinaryFileIsRefused() throws IOException {
        Path file = Files.write(folder.resolve("b"), new byte[] {(byte) 0xff, (byte) 0xfe, 0, 10, 13});
        assertThatExceptionOfType(MalformedTraceException.class)
                .isThrownBy(() -> AllocationTrace.read(file))
                .withMessageEndingWith(", line 1: is not text in UTF-8");
    }

    @Test
    void aLongLineIsShownInPart() {
        assertThatExceptionOfType(MalformedTraceException.class)
                .isThrownBy(() -> AllocationTrace.of("trace", List.of("\u001b[31m" + "x".repeat(1000))))
                .withMessage("trace, line 1: is `?[31m" + "x".repeat(55) + "...`, expected `a ID BYTES` or `f ID`");
    }
}
