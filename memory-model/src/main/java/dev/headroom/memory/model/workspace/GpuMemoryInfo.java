package dev.headroom.memory.model.workspace;

import dev.headroom.memory.DriverFailedException;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.MemoryBudget;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * What a device has for workspaces, once a tenth of it is set aside for the driver and for other programs. A plain value,
 * true at the moment it was made; keep it as long as that is good enough.
 *
 * @param totalMemory all memory of the device in bytes, 0 or more
 * @param availableMemory {@code max(0, free - reservedMemory)} in bytes
 * @param reservedMemory {@code floor(0.1 x totalMemory)} in bytes
 * @param deviceId which device, such as {@code cuda:0}
 */
public record GpuMemoryInfo(long totalMemory, long availableMemory, long reservedMemory, String deviceId) {

    /** One part of so many is set aside. */
    private static final long RESERVED_PART = 10;

    /** Refuses figures below 0. */
    public GpuMemoryInfo {
        Objects.requireNonNull(deviceId, "deviceId");
        requireNotNegative("totalMemory", totalMemory);
        requireNotNegative("availableMemory", availableMemory);
        requireNotNegative("reservedMemory", reservedMemory);
    }

    /**
     * The figures of a device with so much memory.
     *
     * @param totalBytes all of it, 0 or more
     * @param freeBytes what is free of it, 0 or more
     * @param deviceId which device, such as {@code cuda:0}
     * @return the figures
     */
    public static GpuMemoryInfo of(long totalBytes, long freeBytes, String deviceId) {
        requireNotNegative("totalBytes", totalBytes);
        requireNotNegative("freeBytes", freeBytes);
        long reserved = totalBytes / RESERVED_PART;
        return new GpuMemoryInfo(totalBytes, Math.max(0, freeBytes - reserved), reserved, deviceId);
    }

    /**
     * Asks the system about a device, without opening it.
     *
     * @param memory where the device was found
     * @param device the device
     * @return the figures; where nothing tells what is free, {@link MemoryBudget#UNKNOWN_FREE_SHARE} of the total counts
     * @throws GpuMemoryQueryException if the driver does not answer
     */
    public static GpuMemoryInfo query(GpuMemory memory, GpuDevice device) {
        return query(device, () -> memory.budget(device));
    }

    /**
     * Asks the driver of an open device.
     *
     * @param pool the device's pool; what lies idle in it does not count as free
     * @return the figures; where nothing tells what is free, {@link MemoryBudget#UNKNOWN_FREE_SHARE} of the total counts
     * @throws GpuMemoryQueryException if the driver does not answer
     */
    public static GpuMemoryInfo query(GpuMemoryPool pool) {
        return query(pool.device(), pool::budget);
    }

    private static GpuMemoryInfo query(GpuDevice device, Supplier<MemoryBudget> asked) {
        MemoryBudget budget;
        try {
            budget = asked.get();
        } catch (DriverFailedException e) {
            throw new GpuMemoryQueryException(device.id(), e);
        }
        long total = budget.totalBytes();
        return of(total, budget.freeBytes().orElse((long) (total * MemoryBudget.UNKNOWN_FREE_SHARE)), device.id());
    }

    private static void requireNotNegative(String name, long value) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " is " + value + ": must be 0 or more");
        }
    }
}
