package dev.headroom.memory;

import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/**
 * What is known about one live buffer.
 *
 * <p>Threads: immutable.
 *
 * <p>Example:
 *
 * <pre>{@code
 * BufferMetadata scores = BufferMetadata.of(BufferId.next(), 1 << 20, 1 << 18, BufferLocation.GPU, System.nanoTime())
 *         .withTag("attention_scores");
 * }</pre>
 *
 * @param id the buffer
 * @param sizeBytes the size in bytes, 1 or more
 * @param numElements the number of elements, 1 or more; for plain bytes the same as {@code sizeBytes}. Elements of less
 *     than a byte may outnumber the bytes
 * @param location where the bytes live
 * @param allocatedAtNanos when it was allocated, by a monotonic clock such as {@link System#nanoTime()}; any value is
 *     allowed, and only differences to the same clock mean something
 * @param tag what the caller called it, if anything
 * @param site where it was allocated, if the {@link TrackingLevel} records that: a throwable made for its stack trace,
 *     never thrown
 */
public record BufferMetadata(
        BufferId id,
        long sizeBytes,
        long numElements,
        BufferLocation location,
        long allocatedAtNanos,
        Optional<String> tag,
        Optional<Throwable> site) {

    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if {@code sizeBytes} or {@code numElements} is less than 1
     */
    public BufferMetadata {
        Objects.requireNonNull(id, "id");
        Objects.requireNonNull(location, "location");
        Objects.requireNonNull(tag, "tag");
        Objects.requireNonNull(site, "site");
        requirePositive("sizeBytes", sizeBytes);
        requirePositive("numElements", numElements);
    }

    /**
     * Describes a buffer that has neither a tag nor a known allocation site.
     *
     * @param id the buffer
     * @param sizeBytes the size in bytes, 1 or more
     * @param numElements the number of elements, 1 or more
     * @param location where the bytes live
     * @param allocatedAtNanos when it was allocated, by a monotonic clock
     * @return the description
     * @throws IllegalArgumentException if {@code sizeBytes} or {@code numElements} is less than 1
     */
    public static BufferMetadata of(
            BufferId id, long sizeBytes, long numElements, BufferLocation location, long allocatedAtNanos) {
        return new BufferMetadata(
                id, sizeBytes, numElements, location, allocatedAtNanos, Optional.empty(), Optional.empty());
    }

    /**
     * The same description with a tag.
     *
     * @param newTag what to call the buffer
     * @return a copy with that tag
     */
    public BufferMetadata withTag(String newTag) {
        return new BufferMetadata(id, sizeBytes, numElements, location, allocatedAtNanos, Optional.of(newTag), site);
    }

    /**
     * The same description with an allocation site.
     *
     * @param newSite a throwable made where the buffer was allocated
     * @return a copy with that site
     */
    public BufferMetadata withSite(Throwable newSite) {
        return new BufferMetadata(id, sizeBytes, numElements, location, allocatedAtNanos, tag, Optional.of(newSite));
    }

    /**
     * How long ago the buffer was allocated.
     *
     * <p>The clock may have wrapped around {@link Long#MAX_VALUE} in between. A time before the allocation, which a
     * caller gets who read the clock first, is an age of zero.
     *
     * @param nowNanos the time now, by the clock that gave {@link #allocatedAtNanos()}
     * @return the age, never negative
     */
    public Duration age(long nowNanos) {
        return Duration.ofNanos(Math.max(0, nowNanos - allocatedAtNanos));
    }

    /**
     * One line for reports, such as {@code Buffer#7: 1 MiB, 262144 elements, GPU, tag attention_scores}. The allocation
     * site is not part of it.
     *
     * @return the line
     */
    @Override
    public String toString() {
        return id + ": " + ByteSize.format(sizeBytes) + ", " + numElements + " elements, " + location
                + tag.map(name -> ", tag " + name).orElse("");
    }

    private static void requirePositive(String name, long value) {
        if (value < 1) {
            throw new IllegalArgumentException(name + " is " + value + ": allowed are 1 or more");
        }
    }
}
