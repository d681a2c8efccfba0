package dev.headroom.memory.sim;

import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import java.util.UUID;

/**
 * One simulated physical memory. Devices built on the same object share it, whichever backends they belong to, as a
 * card does that CUDA and OpenCL both show. Thread-safe.
 */
public final class PhysicalMemory {

    /** Who holds what; one for all names a memory has. Guarded by itself. */
    private static final class Books {
        private long usedBytes;
        private long touchedBytes;
        private long competingBytes;
    }

    private final PhysicalId id;
    private final long totalBytes;
    private final Books books;

    private PhysicalMemory(PhysicalId id, long totalBytes, Books books) {
        if (totalBytes <= 0) {
            throw new IllegalArgumentException("totalBytes is " + totalBytes + ": must be above 0");
        }
        this.id = id;
        this.totalBytes = totalBytes;
        this.books = books;
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
        return new PhysicalMemory(id, totalBytes, new Books());
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
     * The same memory under another name, as an API has it that knows only the UUID of a card, or only its address.
     *
     * @param otherId the name
     * @return the memory; what is taken through one name is taken from all
     */
    public PhysicalMemory knownAs(PhysicalId otherId) {
        return new PhysicalMemory(otherId, totalBytes, books);
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
    public long usedBytes() {
        synchronized (books) {
            return books.usedBytes;
        }
    }

    /**
     * What another process holds.
     *
     * @return bytes
     */
    public long competingBytes() {
        synchronized (books) {
            return books.competingBytes;
        }
    }

    /**
     * What is really free.
     *
     * @return bytes, 0 or more
     */
    public long freeBytes() {
        synchronized (books) {
            return Math.max(0, totalBytes - books.usedBytes - books.competingBytes);
        }
    }

    /**
     * Sets what another process holds; memory already granted stays granted.
     *
     * @param bytes 0 or more
     */
    public void occupy(long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("bytes is " + bytes + ": must be 0 or more");
        }
        synchronized (books) {
            books.competingBytes = bytes;
        }
    }

    /** Takes memory if there is enough, or in any case. */
    boolean take(long bytes, boolean always) {
        synchronized (books) {
            if (!always && bytes > totalBytes - books.usedBytes - books.competingBytes) {
                return false;
            }
            books.usedBytes += bytes;
            return true;
        }
    }

    void giveBack(long bytes) {
        synchronized (books) {
            books.usedBytes -= bytes;
        }
    }

    /** Counts memory that was written for the first time, or (negative) given back. */
    void touch(long bytes) {
        synchronized (books) {
            books.touchedBytes += bytes;
        }
    }

    MemoryBudget budget(FreeFigure figure, String detail) {
        return switch (figure) {
            case FreeFigure.Measured() -> MemoryBudget.measured(totalBytes, freeBytes(), detail);
            case FreeFigure.Unknown() -> MemoryBudget.unknown(totalBytes, detail + ": the driver does not tell");
            case FreeFigure.Lagging() ->
                MemoryBudget.measured(totalBytes, untouchedBytes(), detail).withLag();
            case FreeFigure.OffBy(long bytes) -> MemoryBudget.measured(totalBytes, freeBytes() + bytes, detail);
            case FreeFigure.Constant(long bytes) -> MemoryBudget.measured(totalBytes, bytes, detail);
        };
    }

    private long untouchedBytes() {
        synchronized (books) {
            return Math.max(0, totalBytes - books.touchedBytes - books.competingBytes);
        }
    }
}
