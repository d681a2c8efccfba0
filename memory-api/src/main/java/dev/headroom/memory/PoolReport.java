package dev.headroom.memory;

import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Everything a pool knows about itself at one moment. Immutable. Taking it walks every buffer and every free range and asks the
 * driver once; for figures that are needed often there is {@link MemoryStats}.
 *
 * @param device     the device
 * @param domain     the physical memory the device's memory is, empty if the pool does not tell
 * @param profile    how the pool cuts its memory
 * @param stats      the cheap figures
 * @param room       what may still be taken, and why no more
 * @param heaps      what is held, by kind of memory; empty if the pool does not tell
 * @param rungs      how often each rung of the ladder yielded the bytes, by its name, in the order they are climbed
 * @param fallbacks  buffers the host stood in for
 * @param quarantine what the driver did not take back
 * @param pending    closed buffers whose work is not done yet
 * @param idle       what could be given back to the driver
 * @param tracking   what is known about open buffers
 */
public record PoolReport(
        GpuDevice device,
        Optional<MemoryDomain> domain,
        PoolProfile profile,
        MemoryStats stats,
        Room room,
        List<HeapReport> heaps,
        Map<String, Long> rungs,
        Count fallbacks,
        Count quarantine,
        Count pending,
        Idle idle,
        Tracking tracking) {

    /** The version of the form {@link #toJson} writes. Within a version fields are only added. */
    public static final int SCHEMA = 1;

    /**
     * So many things with so many bytes.
     *
     * @param count how many
     * @param bytes their bytes
     */
    public record Count(long count, long bytes) {

        /** None. */
        public static final Count NONE = new Count(0, 0);
    }

    /**
     * What the system and the configuration leave to a pool.
     *
     * @param budget      what the system says
     * @param pressure    how full the device is, or the limit where one is set
     * @param usableBytes bytes the pool may still take from the driver
     * @param limitBytes  the absolute limit, if one is set
     * @param terms       the limit or the margins in words
     */
    public record Room(
            MemoryBudget budget, MemoryPressure pressure, long usableBytes, OptionalLong limitBytes, String terms) {

        /** Refuses what is missing. */
        public Room {
            Objects.requireNonNull(budget, "budget");
            Objects.requireNonNull(pressure, "pressure");
            Objects.requireNonNull(limitBytes, "limitBytes");
            Objects.requireNonNull(terms, "terms");
        }
    }

    /**
     * Memory without buffers.
     *
     * @param bytes   how much
     * @param longest how long the part has been idle that has been so the longest; empty if nothing is
     */
    public record Idle(long bytes, Optional<Duration> longest) {

        /** Nothing. */
        public static final Idle NONE = new Idle(0, Optional.empty());

        /** Refuses what is missing. */
        public Idle {
            Objects.requireNonNull(longest, "longest");
        }
    }

    /**
     * What is known about open buffers; how many there are is in {@link MemoryStats#activeBuffers}.
     *
     * @param level   how much is recorded
     * @param tracked those that are recorded, with their bytes as asked for
     * @param tags    the recorded ones by tag, the largest sum first; buffers without a tag are under an empty text
     */
    public record Tracking(TrackingLevel level, Count tracked, Map<String, Count> tags) {

        /** Copies the map. */
        public Tracking {
            Objects.requireNonNull(level, "level");
            Objects.requireNonNull(tracked, "tracked");
            tags = Collections.unmodifiableMap(new LinkedHashMap<>(tags));
        }
    }

    /** Copies list and map. */
    public PoolReport {
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(domain, "domain");
        Objects.requireNonNull(profile, "profile");
        Objects.requireNonNull(stats, "stats");
        Objects.requireNonNull(room, "room");
        heaps = List.copyOf(heaps);
        rungs = Collections.unmodifiableMap(new LinkedHashMap<>(rungs));
        Objects.requireNonNull(fallbacks, "fallbacks");
        Objects.requireNonNull(quarantine, "quarantine");
        Objects.requireNonNull(pending, "pending");
        Objects.requireNonNull(idle, "idle");
        Objects.requireNonNull(tracking, "tracking");
    }

    /**
     * What can be said about a pool of a backend's own, from its cheap figures alone.
     *
     * @param pool the pool
     * @return a report without heaps
     * @throws DriverFailedException if the driver does not answer
     */
    static PoolReport ofFigures(GpuMemoryPool pool) {
        MemoryStats stats = pool.stats();
        Optional<AllocationTracker> tracker = pool.tracker();
        return new PoolReport(
                pool.device(),
                Optional.empty(),
                PoolProfile.engine(),
                stats,
                new Room(
                        pool.budget(),
                        pool.pressure(),
                        pool.usableBytes(),
                        OptionalLong.empty(),
                        "by the rules of the backend's own pool"),
                List.of(),
                Map.of(),
                new Count(stats.cpuFallbacks(), 0),
                Count.NONE,
                Count.NONE,
                new Idle(stats.pooledBytes(), Optional.empty()),
                new Tracking(
                        tracker.isPresent() ? TrackingLevel.SAMPLED : TrackingLevel.COUNT,
                        tracker.map(known -> new Count(known.count(), known.totalBytes()))
                                .orElse(Count.NONE),
                        Map.of()));
    }

    /**
     * The report for programs: one line of JSON in ASCII, without a line end. The form is described by
     * {@code docs/pool-report.schema.json}; its first field is {@code "schema"}, the version of that form. Unknown values are
     * null.
     *
     * @return the text
     */
    public String toJson() {
        return PoolReportJson.of(this);
    }

    /**
     * The report for people.
     *
     * @return several lines, without a line end
     */
    @Override
    public String toString() {
        return PoolReportText.of(this);
    }
}
