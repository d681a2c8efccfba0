package dev.headroom.memory;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Properties;

/**
 * How much a pool may take and how it behaves. Immutable. Start from a preset:
 * {@snippet :
 * MemoryConfig config = MemoryConfig.forInference().toBuilder().limitBytes(8L << 30).build();
 * }
 *
 * @param gpuMemoryFraction  the share of the device's total this process may hold, 0.1 to 1.0
 * @param cpuFallbackEnabled whether host memory may stand in for a full device
 * @param minFreeBytes       bytes to leave free on the device for others, 0 or more
 * @param tracking           what is recorded about open buffers
 * @param reclaimLeaked      whether the memory of a buffer that was dropped without close is taken back, where tracking sees it
 * @param eventSampling      of so many allocations one is a Flight Recorder event, with its close, 1 to 1 048 576
 * @param pressureInterval   the time between two looks at how full the device is, once somebody listens, 10 ms to 1 day
 * @param maxPooledPerBucket freed buffers of a size that are kept at hand, in each of a few places threads spread over, 0 or more;
 *                           no more than 61 are kept, and of the device no more than 1/128 in all
 * @param preAllocate        whether a pool takes {@code preAllocateSizes} when it opens
 * @param preAllocateSizes   sizes in bytes taken when a pool opens, each above 0
 * @param limitBytes         an absolute limit on a pool's blocks; replaces fraction and minFreeBytes
 * @param fallbackLimitBytes an absolute limit on what the host pool may hold
 * @param stagingBytes       size of the staging ring of each direction, 1 MiB or more
 * @param waitTimeout        how long an allocation waits for pending work before it fails, 0 to 365 days
 * @param closeTimeout       how long a close waits for pending work before it leaves memory to the operating system, 0 to 365 days
 * @param growthBytes        the least a pool takes from the driver at a time, where the device has it, 0 to 1 TiB; 1/256 of what
 *                           is in use where that is more, and where it is 0 no more than is needed. With virtual memory the
 *                           most it takes beyond the need: 1/512 of what is in use where that is less
 * @param releaseThresholdBytes idle memory a pool that needs more may keep, 0 or more: what is idle beyond it is given back, as far
 *                           as it makes up for what is taken
 * @param profile            how a pool cuts its memory into buffers
 * @param idleTrimAfter      how long memory may be idle before it is given back by itself, above 0 up to 365 days; empty for never
 * @param outOfMemoryReport  the folder for reports on allocations that failed for want of memory; empty for none
 */
public record MemoryConfig(
        double gpuMemoryFraction,
        boolean cpuFallbackEnabled,
        long minFreeBytes,
        TrackingLevel tracking,
        boolean reclaimLeaked,
        int eventSampling,
        Duration pressureInterval,
        int maxPooledPerBucket,
        boolean preAllocate,
        List<Long> preAllocateSizes,
        OptionalLong limitBytes,
        OptionalLong fallbackLimitBytes,
        long stagingBytes,
        Duration waitTimeout,
        Duration closeTimeout,
        long growthBytes,
        long releaseThresholdBytes,
        PoolProfile profile,
        Optional<Duration> idleTrimAfter,
        Optional<Path> outOfMemoryReport) {

    private static final long MIB = 1L << 20;
    private static final double MIN_FRACTION = 0.1;
    /** Longer waits could not be counted in nanoseconds for good; nobody waits that long. */
    private static final Duration MAX_TIMEOUT = Duration.ofDays(365);

    private static final long MAX_GROWTH = 1L << 40;
    private static final int MAX_SAMPLING = 1 << 20;
    private static final Duration MIN_INTERVAL = Duration.ofMillis(10);
    private static final Duration MAX_INTERVAL = Duration.ofDays(1);

    /** Refuses values outside the ranges above, naming the value and the range. */
    public MemoryConfig {
        Objects.requireNonNull(tracking, "tracking");
        Objects.requireNonNull(limitBytes, "limitBytes");
        Objects.requireNonNull(fallbackLimitBytes, "fallbackLimitBytes");
        if (!(gpuMemoryFraction >= MIN_FRACTION && gpuMemoryFraction <= 1)) {
            throw new IllegalArgumentException(
                    "gpuMemoryFraction is " + gpuMemoryFraction + ": must be from 0.1 to 1.0");
        }
        requireAtLeast("minFreeBytes", minFreeBytes, 0);
        if (eventSampling < 1 || eventSampling > MAX_SAMPLING) {
            throw new IllegalArgumentException(
                    "eventSampling is " + eventSampling + ": must be from 1 to " + MAX_SAMPLING);
        }
        if (pressureInterval.compareTo(MIN_INTERVAL) < 0 || pressureInterval.compareTo(MAX_INTERVAL) > 0) {
            throw new IllegalArgumentException(
                    "pressureInterval is " + pressureInterval + ": must be from 10 ms to 1 day");
        }
        requireAtLeast("maxPooledPerBucket", maxPooledPerBucket, 0);
        requireAtLeast("stagingBytes", stagingBytes, MIB);
        limitBytes.ifPresent(limit -> requireAtLeast("limitBytes", limit, 1));
        fallbackLimitBytes.ifPresent(limit -> requireAtLeast("fallbackLimitBytes", limit, 1));
        preAllocateSizes = List.copyOf(preAllocateSizes);
        preAllocateSizes.forEach(size -> requireAtLeast("preAllocateSizes", size, 1));
        requireTimeout("waitTimeout", waitTimeout);
        requireTimeout("closeTimeout", closeTimeout);
        if (growthBytes < 0 || growthBytes > MAX_GROWTH) {
            throw new IllegalArgumentException("growthBytes is " + growthBytes + ": must be from 0 to " + MAX_GROWTH);
        }
        requireAtLeast("releaseThresholdBytes", releaseThresholdBytes, 0);
        Objects.requireNonNull(profile, "profile");
        idleTrimAfter.ifPresent(MemoryConfig::requireIdleTime);
        Objects.requireNonNull(outOfMemoryReport, "outOfMemoryReport");
    }

    /**
     * The default: 0.9 of the device, 512 MiB left free, fallback on.
     *
     * @return the configuration
     */
    public static MemoryConfig defaults() {
        return builder().build();
    }

    /**
     * For serving a model: 0.95 of the device, 256 MiB left free, fallback on.
     *
     * @return the configuration
     */
    public static MemoryConfig forInference() {
        return builder()
                .fraction(0.95)
                .minFreeBytes(256 * MIB)
                .tracking(TrackingLevel.OFF)
                .maxPooled(4)
                .build();
    }

    /**
     * For training: 0.8 of the device, 1 GiB left free, no fallback.
     *
     * @return the configuration
     */
    public static MemoryConfig forTraining() {
        return builder()
                .fraction(0.8)
                .cpuFallback(false)
                .minFreeBytes(1024 * MIB)
                .maxPooled(16)
                .build();
    }

    /**
     * For small or shared machines: 0.7 of the device, 128 MiB left free, fallback on.
     *
     * @return the configuration
     */
    public static MemoryConfig forConstrained() {
        return builder()
                .fraction(0.7)
                .minFreeBytes(128 * MIB)
                .tracking(TrackingLevel.OFF)
                .maxPooled(2)
                .build();
    }

    /**
     * Reads a configuration from properties, such as those of a file: {@code headroom.} and the name of a component above, in
     * any number. What is not among them has its default; properties with other prefixes are ignored.
     *
     * <p>Sizes are numbers of bytes or texts such as {@code 512MiB}, lists of them separated by commas; durations are those of
     * {@link Duration#parse}; what may be left out is left out by {@code none}; {@code profile} is {@code engine} or
     * {@code blockClasses:}<i>size</i>.
     *
     * @param properties the properties
     * @return the configuration
     * @throws IllegalArgumentException if a name is unknown, or a value is none or out of its range
     */
    public static MemoryConfig of(Properties properties) {
        return ConfigProperties.read(properties);
    }

    /**
     * The configuration as properties, all of them, for {@link #of}.
     *
     * @return names with the prefix {@code headroom.}, and values
     */
    public Properties toProperties() {
        return ConfigProperties.write(this);
    }

    /**
     * A builder that starts from the defaults.
     *
     * @return the builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * A builder that starts from this configuration.
     *
     * @return the builder
     */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.fraction = gpuMemoryFraction;
        builder.cpuFallback = cpuFallbackEnabled;
        builder.minFreeBytes = minFreeBytes;
        builder.tracking = tracking;
        builder.reclaimLeaked = reclaimLeaked;
        builder.eventSampling = eventSampling;
        builder.pressureInterval = pressureInterval;
        builder.maxPooled = maxPooledPerBucket;
        builder.preAllocate = preAllocate;
        builder.preAllocateSizes = preAllocateSizes;
        builder.limitBytes = limitBytes;
        builder.fallbackLimitBytes = fallbackLimitBytes;
        builder.stagingBytes = stagingBytes;
        builder.waitTimeout = waitTimeout;
        builder.closeTimeout = closeTimeout;
        builder.growthBytes = growthBytes;
        builder.releaseThresholdBytes = releaseThresholdBytes;
        builder.profile = profile;
        builder.idleTrimAfter = idleTrimAfter;
        builder.outOfMemoryReport = outOfMemoryReport;
        return builder;
    }

    private static void requireAtLeast(String name, long value, long minimum) {
        if (value < minimum) {
            throw new IllegalArgumentException(name + " is " + value + ": must be " + minimum + " or more");
        }
    }

    private static void requireTimeout(String name, Duration value) {
        if (value.isNegative() || value.compareTo(MAX_TIMEOUT) > 0) {
            throw new IllegalArgumentException(
                    name + " is " + value + ": must be from 0 to " + MAX_TIMEOUT.toDays() + " days");
        }
    }

    private static void requireIdleTime(Duration value) {
        if (!value.isPositive() || value.compareTo(MAX_TIMEOUT) > 0) {
            throw new IllegalArgumentException(
                    "idleTrimAfter is " + value + ": must be above 0, up to " + MAX_TIMEOUT.toDays() + " days");
        }
    }

    /** Collects a configuration. Not thread-safe. */
    public static final class Builder {
        private double fraction = 0.9;
        private boolean cpuFallback = true;
        private long minFreeBytes = 512 * MIB;
        private TrackingLevel tracking = TrackingLevel.COUNT;
        private boolean reclaimLeaked;
        private int eventSampling = 64;
        private Duration pressureInterval = Duration.ofSeconds(1);
        private int maxPooled = 8;
        private boolean preAllocate;
        private List<Long> preAllocateSizes = List.of();
        private OptionalLong limitBytes = OptionalLong.empty();
        private OptionalLong fallbackLimitBytes = OptionalLong.empty();
        private long stagingBytes = 16 * MIB;
        private Duration waitTimeout = Duration.ofSeconds(10);
        private Duration closeTimeout = Duration.ofSeconds(10);
        private long growthBytes = 32 * MIB;
        private long releaseThresholdBytes;
        private PoolProfile profile = PoolProfile.engine();
        private Optional<Duration> idleTrimAfter = Optional.empty();
        private Optional<Path> outOfMemoryReport = Optional.empty();

        private Builder() {}

        /**
         * Sets the share of the device's total this process may hold.
         *
         * @param value any finite number; clamped to 0.1 .. 1.0
         * @return this builder
         * @throws IllegalArgumentException for NaN and infinities
         */
        public Builder fraction(double value) {
            if (!Double.isFinite(value)) {
                throw new IllegalArgumentException("fraction is " + value + ": must be a number from 0.1 to 1.0");
            }
            fraction = Math.clamp(value, MIN_FRACTION, 1.0);
            return this;
        }

        /**
         * Sets whether host memory may stand in for a full device.
         *
         * @param enabled true to allow it
         * @return this builder
         */
        public Builder cpuFallback(boolean enabled) {
            cpuFallback = enabled;
            return this;
        }

        /**
         * Sets what to leave free for others.
         *
         * @param bytes 0 or more
         * @return this builder
         */
        public Builder minFreeBytes(long bytes) {
            minFreeBytes = bytes;
            return this;
        }

        /**
         * Sets what is recorded about open buffers.
         *
         * @param level the level
         * @return this builder
         */
        public Builder tracking(TrackingLevel level) {
            tracking = Objects.requireNonNull(level, "level");
            return this;
        }

        /**
         * Sets whether open buffers are recorded: {@link TrackingLevel#FULL} or {@link TrackingLevel#COUNT}.
         *
         * @param trackAllocations true to record each
         * @return this builder
         */
        public Builder tracking(boolean trackAllocations) {
            return tracking(trackAllocations ? TrackingLevel.FULL : TrackingLevel.COUNT);
        }

        /**
         * Sets what becomes of a buffer the garbage collector finds dropped without close. It is always reported, as far as
         * {@link #tracking(TrackingLevel)} remembers it. By default its memory stays in use until the pool closes, because
         * work that Headroom was not told of may still use it.
         *
         * @param enabled true to take the memory back on a later call of the pool, or by its monitor
         * @return this builder
         */
        public Builder reclaimLeaked(boolean enabled) {
            reclaimLeaked = enabled;
            return this;
        }

        /**
         * Sets how many allocations share one Flight Recorder event.
         *
         * @param oneIn 1, for an event per allocation, to 1 048 576
         * @return this builder
         */
        public Builder eventSampling(int oneIn) {
            eventSampling = oneIn;
            return this;
        }

        /**
         * Sets how often a pool that somebody listens to looks how full its device is.
         *
         * @param interval 10 ms to 1 day
         * @return this builder
         */
        public Builder pressureInterval(Duration interval) {
            pressureInterval = Objects.requireNonNull(interval, "interval");
            return this;
        }

        /**
         * Sets how many idle buffers are kept per size.
         *
         * @param count 0 or more
         * @return this builder
         */
        public Builder maxPooled(int count) {
            maxPooled = count;
            return this;
        }

        /**
         * Sets what a pool takes when it opens, and switches that on.
         *
         * @param byteSizes sizes in bytes, each above 0
         * @return this builder
         */
        public Builder preAllocation(List<Long> byteSizes) {
            preAllocateSizes = List.copyOf(byteSizes);
            preAllocate = true;
            return this;
        }

        /**
         * Sets an absolute limit on a pool's blocks, in place of fraction and minimum free. It binds pools of devices, not
         * the host pool that others fall back to.
         *
         * @param bytes above 0
         * @return this builder
         */
        public Builder limitBytes(long bytes) {
            limitBytes = OptionalLong.of(bytes);
            return this;
        }

        /**
         * Sets an absolute limit on the host pool that others fall back to.
         *
         * @param bytes above 0
         * @return this builder
         */
        public Builder fallbackLimitBytes(long bytes) {
            fallbackLimitBytes = OptionalLong.of(bytes);
            return this;
        }

        /**
         * Sets the size of the staging ring of each direction.
         *
         * @param bytes 1 MiB or more
         * @return this builder
         */
        public Builder stagingBytes(long bytes) {
            stagingBytes = bytes;
            return this;
        }

        /**
         * Sets how long an allocation waits for pending work before it fails.
         *
         * @param timeout 0 to 365 days
         * @return this builder
         */
        public Builder waitTimeout(Duration timeout) {
            waitTimeout = Objects.requireNonNull(timeout, "timeout");
            return this;
        }

        /**
         * Sets how long a close waits for pending work before it leaves memory to the operating system.
         *
         * @param timeout 0 to 365 days
         * @return this builder
         */
        public Builder closeTimeout(Duration timeout) {
            closeTimeout = Objects.requireNonNull(timeout, "timeout");
            return this;
        }

        /**
         * Sets the least a pool takes from the driver at a time, where the device has it: a small request then leaves room for
         * others that follow. Less wastes less memory and costs more driver calls. With virtual memory, which is taken page by
         * page anyway, it is the most that is taken beyond the need.
         *
         * @param bytes 0, for no more than is needed, to 1 TiB
         * @return this builder
         */
        public Builder growthBytes(long bytes) {
            growthBytes = bytes;
            return this;
        }

        /**
         * Sets how eagerly a pool that needs more memory from the driver gives back what lies idle elsewhere, where it is of no
         * use for the request: pages of a range with virtual memory, and whole blocks without. What is idle beyond this
         * threshold goes back, as much as is needed and no more, so that the pool holds what its buffers take up and little
         * else; the driver calls for it are bounded by what is taken anew and 1/16 of what is allocated, so that a program whose
         * sizes alternate does not pay for it each time. Where memory is short, all that is idle goes back whatever this says.
         *
         * @param bytes 0, the default, for as little idle memory as can be; more for fewer driver calls; {@code Long.MAX_VALUE}
         *              to keep what is idle
         * @return this builder
         */
        public Builder releaseThresholdBytes(long bytes) {
            releaseThresholdBytes = bytes;
            return this;
        }

        /**
         * Sets how a pool cuts its memory into buffers.
         *
         * @param poolProfile the profile
         * @return this builder
         */
        public Builder profile(PoolProfile poolProfile) {
            profile = Objects.requireNonNull(poolProfile, "poolProfile");
            return this;
        }

        /**
         * Sets how long memory may be idle before a pool gives it back by itself. Without this a pool keeps what it has until
         * memory is short, or {@link GpuMemoryPool#shrink()} is called.
         *
         * @param idleFor above 0, up to 365 days
         * @return this builder
         */
        public Builder idleTrimAfter(Duration idleFor) {
            idleTrimAfter = Optional.of(idleFor);
            return this;
        }

        /**
         * Has a report written when an allocation finally fails with {@link DeviceOutOfMemoryException}, whose message then names
         * the file: an {@link OutOfMemoryReport}. A pool writes at most 10 of them, and at most one a minute. A report that cannot
         * be written is logged, and changes nothing else.
         *
         * @param folder where to; made if it is not there
         * @return this builder
         */
        public Builder outOfMemoryReport(Path folder) {
            outOfMemoryReport = Optional.of(folder);
            return this;
        }

        /**
         * The configuration.
         *
         * @return the configuration
         * @throws IllegalArgumentException if a value is out of its range
         */
        public MemoryConfig build() {
            return new MemoryConfig(
                    fraction,
                    cpuFallback,
                    minFreeBytes,
                    tracking,
                    reclaimLeaked,
                    eventSampling,
                    pressureInterval,
                    maxPooled,
                    preAllocate,
                    preAllocateSizes,
                    limitBytes,
                    fallbackLimitBytes,
                    stagingBytes,
                    waitTimeout,
                    closeTimeout,
                    growthBytes,
                    releaseThresholdBytes,
                    profile,
                    idleTrimAfter,
                    outOfMemoryReport);
        }
    }
}
