package dev.headroom.memory.sim;

import dev.headroom.memory.AllocationTooLargeException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.TrackingLevel;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Runs an {@link AllocationTrace} through the engine, over a simulated device whose driver costs no time. So one can see what a
 * program's memory would have come to on another device, or with other settings.
 *
 * @param trace         what is run
 * @param deviceBytes   how much memory the device has, above 0
 * @param virtualMemory whether its driver can back address ranges piece by piece
 * @param config        the settings; share, margin and fallback are those of a device that is there for this alone
 */
public record TraceReplay(AllocationTrace trace, long deviceBytes, boolean virtualMemory, MemoryConfig config) {

    /** As much as any trace needs: more than any device has. */
    public static final long AMPLE_BYTES = 1L << 40;

    private static final long GRANULE = 2L << 20;
    /** What a growth may take beyond its request, if that is smaller: a segment, and this part of what is live. */
    private static final long SEGMENT = 32L << 20;

    private static final int GROWTH_SHARE = 16;
    private static final Set<String> ABOUT_MEMORY =
            Set.of("allocate", "free", "reserve", "commit", "decommit", "release");

    /** Times are taken until they make up so much, and so often. */
    private static final long ENOUGH_NANOS = Duration.ofMillis(500).toNanos();

    private static final int FEWEST_ROUNDS = 3;
    private static final int MOST_ROUNDS = 25;

    /** Refuses a device without memory. */
    public TraceReplay {
        Objects.requireNonNull(trace, "trace");
        Objects.requireNonNull(config, "config");
        if (deviceBytes <= 0) {
            throw new IllegalArgumentException("deviceBytes is " + deviceBytes + ": must be above 0");
        }
    }

    /**
     * What a run came to.
     *
     * @param operations        allocations and frees of the trace
     * @param nanosPerOperation the median over several runs, calls of the simulated driver included
     * @param peakLiveBytes     the most bytes in buffers at one time, as asked for
     * @param peakReservedBytes the most bytes taken from the device at one time
     * @param endReservedBytes  bytes taken from the device after the last operation
     * @param driverCalls       calls that took memory or gave it back, until then
     * @param failedAllocations allocations that found no room; the trace went on without them
     * @param largestGrowth     the most that an allocation made the pool take beyond its own bytes, as a share of what it may: the
     *                          largest of these bytes, 1/16 of what was live, and a segment ({@code growthBytes}, 32 MiB or more)
     */
    public record Result(
            long operations,
            double nanosPerOperation,
            long peakLiveBytes,
            long peakReservedBytes,
            long endReservedBytes,
            long driverCalls,
            long failedAllocations,
            double largestGrowth) {

        /**
         * The share of the reserved bytes that no buffer had, each at its peak.
         *
         * @return 0 where nothing was wasted, towards 1
         */
        public double waste() {
            return peakReservedBytes == 0 ? 0 : 1 - (double) peakLiveBytes / peakReservedBytes;
        }
    }

    /**
     * Runs the trace: once for the figures, and then for the time.
     *
     * @return what it came to
     */
    public Result run() {
        Figures figures = new Figures(Math.max(config.growthBytes(), SEGMENT));
        long calls;
        try (Stage stage = new Stage(this)) {
            long before = stage.driverCalls();
            stage.play(figures);
            figures.endReservedBytes = stage.device.memory().usedBytes();
            calls = stage.driverCalls() - before;
        }
        return new Result(
                trace.operations(),
                trace.operations() == 0 ? 0 : medianNanos() / trace.operations(),
                figures.peakLiveBytes,
                figures.peakReservedBytes,
                figures.endReservedBytes,
                calls,
                figures.failed,
                figures.largestGrowth);
    }

    private double medianNanos() {
        long[] times = new long[MOST_ROUNDS];
        long sum = 0;
        int rounds = 0;
        while (rounds < FEWEST_ROUNDS || (sum < ENOUGH_NANOS && rounds < MOST_ROUNDS)) {
            try (Stage stage = new Stage(this)) {
                long start = System.nanoTime();
                stage.play(null);
                times[rounds] = System.nanoTime() - start;
                sum += times[rounds++];
            }
        }
        Arrays.sort(times, 0, rounds);
        return rounds % 2 == 1 ? times[rounds / 2] : (times[rounds / 2 - 1] + times[rounds / 2]) / 2.0;
    }

    /** What is looked at after each operation of the run that is not timed. */
    private static final class Figures {
        private long liveBytes;
        private long peakLiveBytes;
        private long peakReservedBytes;
        private long endReservedBytes;
        private long failed;
        private double largestGrowth;
        private final long segment;

        private Figures(long segment) {
            this.segment = segment;
        }

        private void allocated(long bytes, long grownBytes, long reservedBytes) {
            liveBytes += bytes;
            long allowed = Math.max(Math.max(bytes, liveBytes / GROWTH_SHARE), segment);
            largestGrowth = Math.max(largestGrowth, (double) (grownBytes - bytes) / allowed);
            peakLiveBytes = Math.max(peakLiveBytes, liveBytes);
            peakReservedBytes = Math.max(peakReservedBytes, reservedBytes);
        }
    }

    /** A device and its pool, for one run. */
    private static final class Stage implements AutoCloseable {
        private final AllocationTrace trace;
        private final SimulatedDevice device;
        private final GpuMemory memory;
        private final GpuMemoryPool pool;
        private final @Nullable DeviceBuffer[] open;

        private Stage(TraceReplay replay) {
            this.trace = replay.trace;
            SimulatedDevice.Builder card = SimulatedDevice.builder("replay")
                    .totalBytes(replay.deviceBytes)
                    .withoutContents();
            SimulatedBackend backend = SimulatedBackend.builder("sim")
                    .device(replay.virtualMemory ? card.virtualMemory(GRANULE).granularity(GRANULE) : card)
                    .build();
            this.device = backend.device(0);
            this.memory = GpuMemory.builder()
                    .backend(backend)
                    .config(replay.config.toBuilder()
                            .fraction(1)
                            .minFreeBytes(0)
                            .cpuFallback(false)
                            .tracking(TrackingLevel.OFF)
                            .waitTimeout(Duration.ZERO)
                            .build())
                    .open();
            this.pool = memory.pool(memory.devices().getFirst());
            this.open = new DeviceBuffer[trace.slotCount()];
        }

        private void play(@Nullable Figures figures) {
            for (int i = 0; i < trace.operations(); i++) {
                int slot = trace.slot(i);
                long bytes = trace.byteSize(i);
                if (bytes > 0) {
                    open[slot] = allocate(bytes, figures);
                } else {
                    DeviceBuffer buffer = open[slot];
                    if (buffer != null) {
                        buffer.close();
                        open[slot] = null;
                        if (figures != null) {
                            figures.liveBytes -= buffer.byteSize();
                        }
                    }
                }
            }
        }

        private @Nullable DeviceBuffer allocate(long bytes, @Nullable Figures figures) {
            try {
                long before = figures == null ? 0 : device.memory().usedBytes();
                DeviceBuffer buffer = pool.allocate(bytes);
                if (figures != null) {
                    long reserved = device.memory().usedBytes();
                    figures.allocated(bytes, reserved - before, reserved);
                }
                return buffer;
            } catch (DeviceOutOfMemoryException | AllocationTooLargeException e) {
                if (figures != null) {
                    figures.failed++;
                }
                return null;
            }
        }

        private long driverCalls() {
            return device.ledger().calls().entrySet().stream()
                    .filter(call -> ABOUT_MEMORY.contains(call.getKey()))
                    .mapToLong(Map.Entry::getValue)
                    .sum();
        }

        @Override
        public void close() {
            for (DeviceBuffer buffer : open) {
                if (buffer != null) {
                    buffer.close();
                }
            }
            memory.close();
        }
    }
}
