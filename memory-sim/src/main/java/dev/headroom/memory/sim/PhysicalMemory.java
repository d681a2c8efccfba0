package dev.headroom.memory.sim;

import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import java.util.UUID;

/**
 * One simulated physical memory. Devices built on the same object share it, whichever backends they belong to, as a
 * card does that CUDA and OpenCL both show. Thread-safe.
 */
public final class PhysicalMemory {

    private final PhysicalId id;
    private final long totalBytes;
    private long usedBytes;
    private long touchedBytes;
    private long competingBytes;

    private PhysicalMemory(PhysicalId id, long totalBytes) {
        if (totalBytes <= 0) {
            throw new IllegalArgumentException("totalBytes is " + totalBytes + ": must be above 0");
        }
        this.id = id;
        this.totalBytes = totalBytes;
    }

    /**
     * The memory of a card no other object stands for.
     *
     * @param totalBytes how much, above 0
     * @return the memory, with an identity of its own
     */
    public static PhysicalMemory of(long totalBytes) {
        // Unique in the process: two tests never share a domain by accident.
        return of(PhysicalId.ofUuid("sim-" + UUID.randomUUID()), totalBytes);
    }

    /**
     * Memory with a given identity.
     *
     * @param id         the identity
     * @param totalBytes how much, above 0
     * @return the memory
     */
    public static PhysicalMemory of(PhysicalId id, long totalBytes) {
        return new PhysicalMemory(id, totalBytes);
    }

    /**
     * Host memory. All of it belongs to one domain of the process, as real host memory does.
     *
     * @param totalBytes how much, above 0
     * @return the memory
     */
    public static PhysicalMemory host(long totalBytes) {
        return of(PhysicalId.ofHost(), totalBytes);
    }

    /**
     * Which memory this is.
     *
     * @return the identity
     */
    public PhysicalId id() {
        return id;
    }

    /**
     * How much there is.
     *
     * @return bytes
     */
    public long totalBytes() {
        return totalBytes;
    }

    /**
     * What simulated drivers have taken.
     *
     * @return bytes
     */
    public synchronized long usedBytes() {
        return usedBytes;
    }

    /**
     * What another process holds.
     *
     * @return bytes
     */
    public synchronized long competingBytes() {
        return competingBytes;
    }

    /**
     * What is really free.
     *
     * @return bytes, 0 or more
     */
    public synchronized long freeBytes() {
        return Math.max(0, totalBytes - usedBytes - competingBytes);
    }

    /**
     * Sets what another process holds; memory already granted stays granted.
     *
     * @param bytes 0 or more
     */
    public synchronized void occupy(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("bytes is " + bytes + ": must be 0 or more");
        }
        competingBytes = bytes;
    }

    /** Takes memory if there is enough, or in any case. */
    synchronized boolean take(long bytes, boolean always) {
        if (!always && bytes > totalBytes - usedBytes - competingBytes) {
            return false;
        }
        usedBytes += bytes;
        return true;
    }

    synchronized void giveBack(long bytes) {
        usedBytes -= bytes;
    }

    /** Counts memory that was written for the first time, or (negative) given back. */
    synchronized void touch(long bytes) {
        touchedBytes += bytes;
    }

    synchronized MemoryBudget budget(FreeFigure figure, String detail) {
        return switch (figure) {
            case FreeFigure.Measured() -> MemoryBudget.measured(totalBytes, freeBytes(), detail);
            case FreeFigure.Unknown() -> MemoryBudget.unknown(totalBytes, detail + ": the driver does not tell");
            case FreeFigure.Lagging() ->
                MemoryBudget.measured(totalBytes, Math.max(0, totalBytes - touchedBytes - competingBytes), detail)
                        .withLag();
            case FreeFigure.OffBy(long bytes) -> MemoryBudget.measured(totalBytes, freeBytes() + bytes, detail);
            case FreeFigure.Constant(long bytes) -> MemoryBudget.measured(totalBytes, bytes, detail);
        };
    }
}
