package dev.headroom.memory.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.model.calibration.Calibration;
import dev.headroom.memory.sim.FaultRule;
import dev.headroom.memory.sim.FreeFigure;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import dev.headroom.memory.spi.DriverException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class DeviceWatchTest {

    private static final long GIB = 1L << 30;

    private final SimulatedBackend cards = SimulatedBackend.builder("cuda")
            .device(SimulatedDevice.builder("Big card").totalBytes(8 * GIB))
            .device(SimulatedDevice.builder("Silent card").totalBytes(2 * GIB).freeFigure(FreeFigure.unknown()))
            .build();
    private final GpuMemory memory = GpuMemory.builder()
            .config(MemoryConfig.builder().fraction(1).minFreeBytes(0).build())
            .backend(cards)
            .open();
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    @AfterEach
    void close() {
        memory.close();
        cards.requireNoViolations();
    }

    @Test
    void onAPipeOneBlockFollowsTheOther() {
        assertThat(watch(false, 3, () -> cards.device(0).occupy(7 * GIB)).replaceAll(" \\(.*", ""))
                .isEqualTo("""
                cuda:0  Big card  8 GiB total, 8 GiB free, 0 B held by us, pressure LOW
                cuda:1  Silent card  2 GiB total, free unknown, 0 B held by us, pressure LOW

                cuda:0  Big card  8 GiB total, 1 GiB free, 0 B held by us, pressure HIGH
                cuda:1  Silent card  2 GiB total, free unknown, 0 B held by us, pressure LOW

                cuda:0  Big card  8 GiB total, 1 GiB free, 0 B held by us, pressure HIGH
                cuda:1  Silent card  2 GiB total, free unknown, 0 B held by us, pressure LOW
                """);
    }

    @Test
    void onATerminalItIsRedrawnInPlace() {
        String text = watch(true, 2, () -> cards.device(0).occupy(7 * GIB));
        assertThat(text).containsOnlyOnce("\033[2A\r\033[J").doesNotContain("\n\n");
        assertThat(text.substring(text.indexOf("\033[J") + 3)).startsWith("cuda:0  Big card  8 GiB total, 1 GiB free");
    }

    @Test
    void theSourceOfAFigureIsNamed() {
        assertThat(watch(false, 1, () -> {}).lines())
                .anySatisfy(line -> assertThat(line).startsWith("cuda:0").contains(" (measured: "))
                .anySatisfy(line -> assertThat(line).startsWith("cuda:1").contains(" (unknown: "));
    }

    @Test
    void whatWeHoldIsShownAndCountsForTheSilentCard() {
        DeviceBuffer buffer = memory.pool(memory.devices().getLast()).allocate(GIB);
        assertThat(watch(false, 1, () -> {}))
                .contains("cuda:1  Silent card  2 GiB total, free unknown, 1 GiB held by us, pressure MEDIUM");
        buffer.close();
    }

    @Test
    void aDriverThatDoesNotAnswerIsALineAndNotTheEnd() {
        cards.faults().add(FaultRule.on("*udget").onDevice(0).failing(DriverException.Kind.UNEXPECTED, 7));
        assertThat(watch(false, 1, () -> {}).lines().toList())
                .hasSize(2)
                .first()
                .asString()
                .startsWith("cuda:0  Big card  cuda:0 (Big card) does not say how much memory it has: ");
    }

    @Test
    void anInterruptEndsItWithoutAnError() {
        DeviceWatch endless = new DeviceWatch(memory, stream(), false, () -> {
            throw new InterruptedException();
        });
        endless.run(OptionalInt.empty());
        assertThat(text().lines()).hasSize(2);
        assertThat(Thread.currentThread().isInterrupted()).isFalse();
    }

    @Test
    void itEndsWhenNobodyReadsIt() {
        new DeviceWatch(memory, deaf(), false, () -> {
                    throw new AssertionError("looked again for nobody");
                })
                .run(OptionalInt.empty());
        assertThat(text()).isEmpty();
    }

    @Test
    void outputThatCannotBeWrittenIsAFailure() {
        ByteArrayOutputStream complaints = new ByteArrayOutputStream();
        CommandContext context = new CommandContext(
                deaf(),
                new PrintStream(complaints, true, StandardCharsets.UTF_8),
                false,
                () -> GpuMemory.builder().backend(cards),
                Calibration::off);
        assertThat(Main.run(context, "devices")).isEqualTo(ExitCode.FAILED);
        assertThat(complaints.toString(StandardCharsets.UTF_8).strip())
                .isEqualTo("headroom: standard output cannot be written");
    }

    /** A stream whose reader has gone. */
    private static PrintStream deaf() {
        OutputStream gone = new OutputStream() {
            @Override
            public void write(int value) throws IOException {
                throw new IOException("nobody reads this");
            }
        };
        return new PrintStream(gone, true, StandardCharsets.UTF_8);
    }

    @Test
    void withoutDevicesItSaysSo() {
        SimulatedBackend nothing = SimulatedBackend.builder("cuda")
                .unavailable("no card", "buy one")
                .build();
        CommandRun run = CommandRun.of(List.of(nothing), "devices", "--watch", "--times", "1");
        assertThat(run.code()).isZero();
        assertThat(run.out().strip()).isEqualTo("no devices; headroom devices says why");
    }

    private String watch(boolean terminal, int times, Runnable between) {
        new DeviceWatch(memory, stream(), terminal, between::run).run(OptionalInt.of(times));
        return text();
    }

    private PrintStream stream() {
        return new PrintStream(out, true, StandardCharsets.UTF_8);
    }

    private String text() {
        return out.toString(StandardCharsets.UTF_8);
    }
}
