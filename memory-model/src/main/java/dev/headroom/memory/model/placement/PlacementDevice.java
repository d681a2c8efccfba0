package dev.headroom.memory.model.placement;

import java.util.Objects;

/**
 * A place for parts of a model: a device, or the host.
 *
 * @param id its short name, such as {@code cuda:0}
 * @param usableBytes what may be taken there, as {@code GpuMemory.usableBytes} says
 * @param marginBytes what is to stay free of that for surprises
 * @param overheadBytes what the first use of the device costs, such as the driver's context; 0 where one is open already
 * @param occupiedBytes what others hold there and might free
 */
public record PlacementDevice(String id, long usableBytes, long marginBytes, long overheadBytes, long occupiedBytes) {

    /** Refuses sizes below 0. */
    public PlacementDevice {
        Objects.requireNonNull(id, "id");
        Sizes.requireNotNegative("usableBytes", usableBytes);
        Sizes.requireNotNegative("marginBytes", marginBytes);
        Sizes.requireNotNegative("overheadBytes", overheadBytes);
        Sizes.requireNotNegative("occupiedBytes", occupiedBytes);
    }

    /**
     * A device without margin and overhead, on which nobody else holds anything.
     *
     * @param id its short name
     * @param usableBytes what may be taken there
     * @return the device
     */
    public static PlacementDevice of(String id, long usableBytes) {
        return new PlacementDevice(id, usableBytes, 0, 0, 0);
    }

    /**
     * This device with a margin.
     *
     * @param bytes what is to stay free
     * @return a copy
     */
    public PlacementDevice withMargin(long bytes) {
        return new PlacementDevice(id, usableBytes, bytes, overheadBytes, occupiedBytes);
    }

    /**
     * This device with an overhead.
     *
     * @param bytes what its first use costs
     * @return a copy
     */
    public PlacementDevice withOverhead(long bytes) {
        return new PlacementDevice(id, usableBytes, marginBytes, bytes, occupiedBytes);
    }

    /**
     * This device with what others hold there.
     *
     * @param bytes what they might free
     * @return a copy
     */
    public PlacementDevice withOccupied(long bytes) {
        return new PlacementDevice(id, usableBytes, marginBytes, overheadBytes, bytes);
    }

    /**
     * This device after others have freed some of what they hold.
     *
     * @param bytes how much
     * @return a copy
     */
    PlacementDevice freed(long bytes) {
        return new PlacementDevice(
                id, usableBytes + Math.min(bytes, Long.MAX_VALUE - usableBytes), marginBytes, overheadBytes, 0);
    }

    /**
     * What parts of a model may take here.
     *
     * @return usable less margin and overhead; -1 where these are more
     */
    long roomBytes() {
        long afterMargin = Math.max(-1, usableBytes - marginBytes);
        return Math.max(-1, afterMargin - overheadBytes);
    }
}
