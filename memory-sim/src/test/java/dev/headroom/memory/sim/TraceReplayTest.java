package dev.headroom.memory.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.headroom.memory.MemoryConfig;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TraceReplayTest {

    private static final long MIB = 1L << 20;

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void figuresOfAFewOperations(boolean virtualMemory) throws IOException {
        AllocationTrace trace =
                AllocationTrace.of("t", List.of("a 1 " + 40 * MIB, "a 2 " + 8 * MIB, "f 1", "a 3 1", "f 2"));
        TraceReplay.Result result = new TraceReplay(trace, TraceReplay.AMPLE_BYTES, virtualMemory, exact()).run();
        assertThat(result.operations()).isEqualTo(5);
        assertThat(result.peakLiveBytes()).isEqualTo(48 * MIB);
        assertThat(result.peakReservedBytes()).isEqualTo(48 * MIB);
        assertThat(result.endReservedBytes()).as("nothing goes back by itself").isEqualTo(48 * MIB);
        assertThat(result.driverCalls()).isEqualTo(virtualMemory ? 3 : 2);
        assertThat(result.failedAllocations()).isZero();
        assertThat(result.nanosPerOperation()).isPositive();
        assertThat(result.waste()).isZero();
    }

    @Test
    void whatFindsNoRoomIsCountedAndTheTraceGoesOn() throws IOException {
        AllocationTrace trace = AllocationTrace.of(
                "t", List.of("a 1 " + 60 * MIB, "a 2 " + 8 * MIB, "f 2", "f 1", "a 4 " + 64 * MIB, "a 5 " + 65 * MIB));
        TraceReplay.Result result = new TraceReplay(trace, 64 * MIB, true, MemoryConfig.defaults()).run();
        assertThat(result.failedAllocations())
                .as("2 has no room, 5 can never have any")
                .isEqualTo(2);
        assertThat(result.peakLiveBytes()).isEqualTo(64 * MIB);
        assertThat(result.peakReservedBytes()).isEqualTo(64 * MIB);
    }

    @Test
    void settingsMakeADifference() throws IOException {
        AllocationTrace trace = AllocationTrace.of("t", List.of("a 1 1", "f 1"));
        assertThat(reserved(trace, false, exact())).as("a page of the driver").isEqualTo(4096);
        assertThat(reserved(trace, false, MemoryConfig.defaults())).isEqualTo(32 * MIB);
        assertThat(reserved(trace, true, MemoryConfig.defaults())).as("a page").isEqualTo(2 * MIB);
        AllocationTrace idle = AllocationTrace.of(
                "t", List.of("a 1 " + 8 * MIB, "a 2 " + 8 * MIB, "f 1", "a 3 " + 12 * MIB, "f 2", "f 3"));
        for (boolean virtualMemory : new boolean[] {false, true}) {
            assertThat(reserved(idle, virtualMemory, exact())).isEqualTo(20 * MIB);
            assertThat(reserved(
                            idle,
                            virtualMemory,
                            exact().toBuilder()
                                    .releaseThresholdBytes(Long.MAX_VALUE)
                                    .build()))
                    .isEqualTo(28 * MIB);
        }
    }

    /** What is taken with a request that needs less, as a share of a segment. */
    @Test
    void whatAGrowthTakesBeyondTheNeedIsMeasured() throws IOException {
        AllocationTrace byOne = AllocationTrace.of("t", List.of("a 1 " + 8 * MIB, "a 2 1"));
        assertThat(growth(byOne, MemoryConfig.defaults())).as("24 of 32 MiB").isBetween(0.74, 0.76);
        assertThat(growth(byOne, exact())).as("4095 bytes").isBetween(1e-4, 2e-4);
        MemoryConfig large = MemoryConfig.builder().growthBytes(80 * MIB).build();
        assertThat(growth(byOne, large))
                .as("72 of 80 MiB; the byte lies in them")
                .isBetween(0.89, 0.91);
    }

    /** Much that comes and goes: as many bytes as any order of them needs, and the same figures each time. */
    @Test
    void figuresAreTheSameEachTime() throws IOException {
        List<String> lines = new ArrayList<>();
        List<Integer> live = new ArrayList<>();
        SplittableRandom random = new SplittableRandom(5);
        for (int id = 0; id < 5_000; id++) {
            if (live.size() < 100 || random.nextBoolean()) {
                lines.add("a " + id + " " + (1 + random.nextInt(1 << 20)));
                live.add(id);
            } else {
                lines.add("f " + live.remove(random.nextInt(live.size())));
            }
        }
        AllocationTrace trace = AllocationTrace.of("t", lines);
        TraceReplay replay = new TraceReplay(trace, TraceReplay.AMPLE_BYTES, true, MemoryConfig.defaults());
        TraceReplay.Result first = replay.run();
        TraceReplay.Result second = replay.run();
        assertThat(first.peakLiveBytes()).isEqualTo(trace.peakLiveBytes()).isEqualTo(second.peakLiveBytes());
        assertThat(first.peakReservedBytes())
                .isGreaterThanOrEqualTo(first.peakLiveBytes())
                .isEqualTo(second.peakReservedBytes());
        assertThat(first.driverCalls()).isEqualTo(second.driverCalls());
        assertThat(first.waste()).isBetween(0.0, 1.0);
    }

    @Test
    void aDeviceHasMemory() throws IOException {
        AllocationTrace trace = AllocationTrace.of("t", List.of());
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new TraceReplay(trace, 0, true, exact()))
                .withMessage("deviceBytes is 0: must be above 0");
        assertThat(new TraceReplay(trace, 1 << 20, true, exact()).run().nanosPerOperation())
                .isZero();
    }

    private static long reserved(AllocationTrace trace, boolean virtualMemory, MemoryConfig config) {
        return new TraceReplay(trace, TraceReplay.AMPLE_BYTES, virtualMemory, config)
                .run()
                .peakReservedBytes();
    }

    private static double growth(AllocationTrace trace, MemoryConfig config) {
        return new TraceReplay(trace, TraceReplay.AMPLE_BYTES, false, config)
                .run()
                .largestGrowth();
    }

    private static MemoryConfig exact() {
        return MemoryConfig.builder().growthBytes(0).build();
    }
}
