package dev.headroom.memory.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.headroom.memory.model.FootprintTerm.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Our figures against those that allocators printed for published models. */
class PublishedFootprintsTest {

    static final double MIB = 1 << 20;

    @TempDir
    Path folder;

    @Test
    void everyCacheIsWhatWasPrinted() throws IOException {
        List<FootprintRow> rows = FootprintRow.read(SharedModels.orSkip("footprints.csv"));
        assertThat(rows).isNotEmpty();
        for (FootprintRow row : rows) {
            ModelFootprint footprint = row.model(folder).footprint(row.options());
            assertThat(footprint.bytes(Kind.KV_CACHE) / MIB)
                    .as(row.text("id"))
                    .isCloseTo(Double.parseDouble(row.text("kv_mib")), within(0.02));
        }
    }

    @Test
    void computeIsNearTheLargestAcceleratorBuffer() throws IOException {
        int compared = 0;
        int excepted = 0;
        for (FootprintRow row : FootprintRow.read(SharedModels.orSkip("footprints.csv"))) {
            if (row.largestAcceleratorBuffer().isEmpty()) {
                continue;
            }
            if (row.exception().isPresent()) {
                excepted++;
                continue;
            }
            compared++;
            double bytes = row.model(folder).footprint(row.options()).bytes(Kind.COMPUTE);
            assertThat(bytes / MIB / row.largestAcceleratorBuffer().get())
                    .as(row.text("id"))
                    .isBetween(0.9, 2.0);
        }
        assertThat(compared).isGreaterThanOrEqualTo(13);
        assertThat(excepted).isLessThanOrEqualTo(3);
    }

    /** The committed report is what these tables give; {@code scripts/estimation-accuracy} writes it anew. */
    @Test
    void theReportIsUpToDate() throws IOException {
        String report = AccuracyReport.of(SharedModels.orSkip(""), folder);
        Path file = Path.of(System.getProperty("headroom.root", ".."), "docs", "estimation-accuracy.md");
        if (Boolean.getBoolean("headroom.writeReport")) {
            Files.writeString(file, report);
        }
        assertThat(file).hasContent(report);
    }
}
