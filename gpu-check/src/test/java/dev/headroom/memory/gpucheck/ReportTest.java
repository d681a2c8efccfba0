package dev.headroom.memory.gpucheck;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;

class ReportTest {

    private static final Machine MACHINE = new Machine(
            LocalDate.of(2026, 11, 21), "A \"card\"", "UUID 1", "8.9", 12060, "1 GiB of 2 GiB free", "vm", "Linux");

    private static final Report REPORT = new Report(
            MACHINE,
            new SuiteResult(3, List.of("one: reason"), List.of("two: \"broken\"")),
            List.of(
                    new Figure("cuMemAlloc", 1.5, "us", "median of 3 rounds of 20"),
                    Figure.absent("virtual memory", "the device has none"),
                    Figure.failed("pool", "why")));

    @Test
    void the_table_has_a_line_for_each_figure() {
        List<String> lines = REPORT.table().lines().toList();
        assertThat(lines).hasSize(3).allMatch(line -> line.startsWith("| ") && line.endsWith(" |"));
        assertThat(lines.getFirst()).contains("cuMemAlloc", "1.50", "us", "median of 3 rounds of 20");
        assertThat(lines)
                .extracting(line -> line.indexOf('|', 1))
                .containsOnly(lines.getFirst().indexOf('|', 1));
    }

    @Test
    void the_json_says_the_same() {
        List<String> values = new ArrayList<>();
        try (JsonParser parser = new JsonFactory().createParser(ObjectReadContext.empty(), REPORT.json())) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (token.isScalarValue()) {
                    values.add(parser.getString());
                }
            }
        }
        assertThat(values)
                .containsSubsequence(
                        "2026-11-21", "A \"card\"", "UUID 1", "8.9", "12.6", "3", "one: reason", "two: \"broken\"")
                .containsSubsequence("cuMemAlloc", "1.5", "us")
                .containsSubsequence("virtual memory", "null", "-")
                .containsSubsequence("pool", "null", "failed", "why");
    }

    @Test
    void only_what_failed_is_a_failure() {
        assertThat(REPORT.figures()).extracting(Figure::isMeasured).containsExactly(true, true, false);
        assertThat(REPORT.suites().isFine()).isFalse();
        assertThat(SuiteResult.NONE.isFine()).isTrue();
    }

    @Test
    void a_figure_is_the_median_and_leaves_the_first_round_out() {
        int[] runs = new int[1];
        Figure figure = Figure.microseconds("step", 3, 5, () -> runs[0]++);
        assertThat(runs[0]).isEqualTo(4 * 5);
        assertThat(figure.value()).isPositive();
        assertThat(Figure.gigabytesPerSecond("bytes", 1, 1000, () -> {}).value())
                .isPositive();
    }
}
