package dev.headroom.memory.model.workspace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.ByteSize;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.StringJoiner;
import org.junit.jupiter.api.Test;

/** The table of docs/workspace.md is what simulated cards give. With {@code -Dheadroom.docs.write=true} it is written anew. */
class WorkspaceTableTest {

    private static final long MIB = 1L << 20;
    private static final Path PAGE = Path.of(System.getProperty("headroom.root", ".."), "docs", "workspace.md");
    private static final String BEGIN = "<!-- table: WorkspaceTableTest -->\n";
    private static final String END = "<!-- end of table -->\n";

    /** MiB: whole sizes and what cards of 8 and 24 GB really report. */
    private static final List<Long> CARDS = List.of(
            2048L, 4096L, 6144L, 7807L, 8192L, 12_288L, 16_384L, 24_080L, 24_564L, 24_576L, 32_768L, 49_152L, 81_920L);

    @Test
    void theCommittedTableIsTheComputedOne() throws IOException {
        String table = table();
        String page = Files.readString(PAGE);
        int begin = page.indexOf(BEGIN) + BEGIN.length();
        int end = page.indexOf(END);
        if (Boolean.getBoolean("headroom.docs.write")) {
            Files.writeString(PAGE, page.substring(0, begin) + table + page.substring(end));
            return;
        }
        assertThat(page.substring(begin, end))
                .as("docs/workspace.md; run this test with -Dheadroom.docs.write=true")
                .isEqualTo(table);
    }

    private static String table() {
        StringJoiner table = new StringJoiner("\n", "", "\n");
        table.add("| card | free | reserved | available | batch | workspace I2S, TL1 | workspace TL2 |");
        table.add("|---|---|---|---|---|---|---|");
        for (long card : CARDS) {
            table.add(row(card * MIB, card * MIB / 10));
        }
        table.add(row(2048 * MIB, 1792 * MIB));
        return table.toString();
    }

    private static String row(long totalBytes, long takenBytes) {
        SimulatedBackend backend = SimulatedBackend.card(totalBytes);
        SimulatedDevice card = backend.device(0);
        card.occupy(takenBytes + (takenBytes * 10 < totalBytes ? 1 : 0)); // the free figure is cut, not rounded up
        try (GpuMemory memory = GpuMemory.builder().backend(backend).open()) {
            GpuMemoryInfo info = GpuMemoryInfo.query(memory, memory.devices().getFirst());
            String left = "| %s | %s | %d | %d | "
                    .formatted(
                            ByteSize.format(totalBytes),
                            ByteSize.format(card.memory().freeBytes()),
                            info.reservedMemory(),
                            info.availableMemory());
            WorkspacePlanner planner = WorkspacePlanner.standard();
            try {
                WorkspacePlan i2s = planner.plan(info, new WorkspaceLayer(4096, 14_336, QuantizationType.I2S));
                WorkspacePlan tl2 = planner.plan(info, new WorkspaceLayer(4096, 14_336, QuantizationType.TL2));
                return left + "%d | %d | %d |".formatted(i2s.batchSize(), i2s.workspaceBytes(), tl2.workspaceBytes());
            } catch (InsufficientGpuMemoryException e) {
                return left + "- | too little: %d required | |".formatted(e.requiredBytes());
            }
        }
    }
}
