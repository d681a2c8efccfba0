package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.MemoryBudget.Source;
import dev.headroom.memory.PhysicalId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which free figure is believed, and what the kernel's files are worth. */
class FreeFiguresTest {

    private static final long GIB = 1L << 30;
    private static final String ADDRESS = "0000:65:00.0";

    private static final MemoryBudget MEASURED = MemoryBudget.measured(8 * GIB, 5 * GIB, "m");
    private static final MemoryBudget DERIVED = MemoryBudget.derived(8 * GIB, 3 * GIB, "d");
    private static final MemoryBudget UNKNOWN = MemoryBudget.unknown(8 * GIB, "u");

    @TempDir
    Path folder;

    /** The device's own figure, those of two others (- does not answer), what comes out. */
    @ParameterizedTest
    @CsvSource({
        "M, MM, measured 5 m",
        "M, --, measured 5 m",
        "D, M-, 'derived 5 m, measured by other:0'",
        "D, D-, derived 3 d",
        "D, U-, derived 3 d",
        "U, M-, 'derived 5 m, measured by other:0'",
        "U, DM, 'derived 5 m, measured by other:1'",
        "U, -M, 'derived 5 m, measured by other:1'",
        "U, UD, 'derived 3 d, derived by other:1'",
        "U, U-, unknown ? u",
    })
    void measuredBeatsDerivedBeatsUnknown(char own, String others, String expected) {
        MemoryBudget best = best(budget(own).orElseThrow(), others);
        assertThat(best.source().label() + " "
                        + (best.freeBytes().isPresent() ? best.freeBytes().getAsLong() / GIB : "?")
                        + " " + best.detail())
                .isEqualTo(expected);
    }

    @Test
    void theTotalStaysTheDevicesOwnAndLagIsInherited() {
        MemoryBudget own = MemoryBudget.unknown(4 * GIB, "u");
        MemoryBudget best =
                new FreeFigures(new CardFiles(folder)).best(card(), own, false, List.of(other(0, MEASURED.withLag())));
        assertThat(best.totalBytes()).isEqualTo(4 * GIB);
        assertThat(best.freeBytes()).as("no more than there is").hasValue(4 * GIB);
        assertThat(best.lagging()).isTrue();
    }

    @Test
    void theKernelKnowsWhatNoApiMeasures() throws IOException {
        write(Long.toString(8 * GIB), Long.toString(GIB) + "\n");
        for (MemoryBudget own : List.of(UNKNOWN, DERIVED)) {
            MemoryBudget best = best(own, "M");
            assertThat(best.freeBytes()).hasValue(7 * GIB);
            assertThat(best.source()).isEqualTo(Source.MEASURED);
            assertThat(best.detail())
                    .isEqualTo(folder.resolve(ADDRESS)
                            .resolve("mem_info_vram_used")
                            .toString());
            assertThat(best.lagging()).isFalse();
        }
        assertThat(best(DERIVED.withLag(), "").lagging()).isTrue();
        assertThat(best(MEASURED, "").freeBytes())
                .as("the driver's own is closer")
                .hasValue(5 * GIB);
    }

    @Test
    void theAddressMayBeKnownToAnotherApiOnly() throws IOException {
        write(Long.toString(8 * GIB), Long.toString(GIB));
        GpuDevice nameless = GpuDevice.of("sim", 0, "card", DeviceClass.DISCRETE, PhysicalId.ofUuid("u"));
        FreeFigures figures = new FreeFigures(new CardFiles(folder));
        assertThat(figures.best(nameless, UNKNOWN, false, List.of())).isEqualTo(UNKNOWN);
        GpuDevice placed = GpuDevice.of("other", 0, "card", DeviceClass.DISCRETE, PhysicalId.of("u", ADDRESS));
        List<FreeFigures.Other> others = List.of(new FreeFigures.Other(placed, _ -> Optional.of(UNKNOWN)));
        assertThat(figures.best(nameless, UNKNOWN, false, others).freeBytes()).hasValue(7 * GIB);
    }

    @Test
    void theFilesSpeakOfACardAndOfNothingElse() throws IOException {
        write(Long.toString(8 * GIB), Long.toString(GIB));
        FreeFigures figures = new FreeFigures(new CardFiles(folder));
        assertThat(figures.best(card(), UNKNOWN, true, List.of()))
                .as("an integrated GPU has only its carve-out there")
                .isEqualTo(UNKNOWN);
        GpuDevice slice = GpuDevice.of("sim", 0, "slice", DeviceClass.DISCRETE, PhysicalId.of("mig-1", ADDRESS));
        assertThat(figures.best(slice, UNKNOWN, false, List.of())).isEqualTo(UNKNOWN);
        for (long otherSize : new long[] {GIB, 3 * GIB, 17 * GIB + 2, 0, Long.MAX_VALUE}) {
            MemoryBudget own = MemoryBudget.unknown(otherSize, "u");
            assertThat(figures.best(card(), own, false, List.of()))
                    .as("a card of another size")
                    .isEqualTo(own);
        }
        MemoryBudget nearly = MemoryBudget.unknown(5 * GIB, "u");
        assertThat(figures.best(card(), nearly, false, List.of()).freeBytes()).hasValue(5 * GIB);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "\n",
                "-1",
                "0x10",
                "1 2",
                "9223372036854775808",
                "99999999999999999999999999999999999999",
                "N/A",
                "\0\0\0\0",
            })
    void nonsenseInAFileIsNoFigure(String used) throws IOException {
        write(Long.toString(8 * GIB), used);
        assertThat(best(UNKNOWN, "")).isEqualTo(UNKNOWN);
        assertThat(best(DERIVED, "")).isEqualTo(DERIVED);
        write(used, "0");
        assertThat(best(UNKNOWN, "")).as("as a total").isEqualTo(UNKNOWN);
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "0, 1", "8589934592, 8589934593"})
    void figuresThatContradictEachOtherAreNone(String total, String used) throws IOException {
        write(total, used);
        assertThat(best(UNKNOWN, "")).isEqualTo(UNKNOWN);
        assertThat(best(MemoryBudget.unknown(1, "tiny"), "").freeBytes()).isEmpty();
    }

    @Test
    void filesThatCannotBeReadAreNoFigure() throws IOException {
        assertThat(best(UNKNOWN, "")).as("no folder").isEqualTo(UNKNOWN);
        Path card = Files.createDirectories(folder.resolve(ADDRESS));
        assertThat(best(UNKNOWN, "")).as("no file").isEqualTo(UNKNOWN);
        Files.writeString(card.resolve("mem_info_vram_total"), Long.toString(8 * GIB));
        assertThat(best(UNKNOWN, "")).as("one file").isEqualTo(UNKNOWN);
        Files.createDirectory(card.resolve("mem_info_vram_used"));
        assertThat(best(UNKNOWN, "")).as("a folder").isEqualTo(UNKNOWN);
        Files.delete(card.resolve("mem_info_vram_used"));
        byte[] endless = new byte[1 << 20];
        Arrays.fill(endless, (byte) '1');
        Files.write(card.resolve("mem_info_vram_used"), endless);
        assertThat(best(UNKNOWN, "")).as("a megabyte of digits").isEqualTo(UNKNOWN);
    }

    @ParameterizedTest
    @ValueSource(strings = {"../etc", "", ".", "0000:65:00.0/..", "0000:65:00.9", "0000:ZZ:00.0"})
    void onlyAnAddressIsLookedUp(String address) throws IOException {
        write(Long.toString(8 * GIB), "0");
        write(folder, Long.toString(8 * GIB), "0"); // where . would lead
        assertThat(new CardFiles(folder).read(address)).isEmpty();
        assertThat(new CardFiles(folder).read(ADDRESS)).isPresent();
    }

    private MemoryBudget best(MemoryBudget own, String others) {
        List<FreeFigures.Other> all = new java.util.ArrayList<>();
        for (int i = 0; i < others.length(); i++) {
            Optional<MemoryBudget> answer = budget(others.charAt(i));
            GpuDevice device = GpuDevice.of("other", i, "card", DeviceClass.DISCRETE, PhysicalId.unknown());
            all.add(new FreeFigures.Other(device, _ -> answer));
        }
        return new FreeFigures(new CardFiles(folder)).best(card(), own, false, all);
    }

    private static FreeFigures.Other other(int index, MemoryBudget budget) {
        GpuDevice device = GpuDevice.of("other", index, "card", DeviceClass.DISCRETE, PhysicalId.unknown());
        return new FreeFigures.Other(device, _ -> Optional.of(budget));
    }

    private static Optional<MemoryBudget> budget(char kind) {
        return switch (kind) {
            case 'M' -> Optional.of(MEASURED);
            case 'D' -> Optional.of(DERIVED);
            case 'U' -> Optional.of(UNKNOWN);
            default -> Optional.empty();
        };
    }

    private static GpuDevice card() {
        return GpuDevice.of("sim", 0, "card", DeviceClass.DISCRETE, PhysicalId.ofPci(ADDRESS));
    }

    private void write(String total, String used) throws IOException {
        write(Files.createDirectories(folder.resolve(ADDRESS)), total, used);
    }

    private static void write(Path card, String total, String used) throws IOException {
        Files.writeString(card.resolve("mem_info_vram_total"), total);
        Files.writeString(card.resolve("mem_info_vram_used"), used);
    }
}
