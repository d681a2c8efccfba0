package dev.headroom.memory;

import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * One thing a backend can allocate on. A plain value: two probes of the same machine give equal devices.
 *
 * @param backend            the backend's name, such as {@code cuda}
 * @param index              the position within the backend, from 0
 * @param name               the name its driver gives it
 * @param deviceClass        what sort of device it is
 * @param physicalId         which hardware it is
 * @param unifiedMemory      whether it shares its memory with the host
 * @param maxAllocationBytes the largest single allocation in bytes, where the driver has such a limit
 * @param computeCapability  the vendor's capability version, such as {@code 9.0}
 * @param driverVersion      the version of its driver as that writes it, such as {@code 550.54.15}; of the host, the
 *                           operating system
 */
public record GpuDevice(
        String backend,
        int index,
        String name,
        DeviceClass deviceClass,
        PhysicalId physicalId,
        boolean unifiedMemory,
        OptionalLong maxAllocationBytes,
        Optional<String> computeCapability,
        Optional<String> driverVersion) {

    /** Checks that the device can be named. */
    public GpuDevice {
        if (backend.isBlank()) {
            throw new IllegalArgumentException("backend must not be blank");
        }
        if (index < 0) {
            throw new IllegalArgumentException("index is " + index + ": must be 0 or more");
        }
        if (maxAllocationBytes.isPresent() && maxAllocationBytes.getAsLong() <= 0) {
            throw new IllegalArgumentException(
                    "maxAllocationBytes is " + maxAllocationBytes.getAsLong() + ": must be above 0");
        }
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(deviceClass, "deviceClass");
        Objects.requireNonNull(physicalId, "physicalId");
        Objects.requireNonNull(computeCapability, "computeCapability");
        Objects.requireNonNull(driverVersion, "driverVersion");
    }

    /**
     * A device whose driver does not tell its version.
     *
     * @param backend            the backend's name, such as {@code cuda}
     * @param index              the position within the backend, from 0
     * @param name               the name its driver gives it
     * @param deviceClass        what sort of device it is
     * @param physicalId         which hardware it is
     * @param unifiedMemory      whether it shares its memory with the host
     * @param maxAllocationBytes the largest single allocation in bytes, where the driver has such a limit
     * @param computeCapability  the vendor's capability version, such as {@code 9.0}
     */
    public GpuDevice(
            String backend,
            int index,
            String name,
            DeviceClass deviceClass,
            PhysicalId physicalId,
            boolean unifiedMemory,
            OptionalLong maxAllocationBytes,
            Optional<String> computeCapability) {
        this(
                backend,
                index,
                name,
                deviceClass,
                physicalId,
                unifiedMemory,
                maxAllocationBytes,
                computeCapability,
                Optional.empty());
    }

    /**
     * Describes a device with the usual traits of its class: integrated, CPU and host devices share memory with the host.
     *
     * @param backend     the backend's name
     * @param index       the position within the backend, from 0
     * @param name        the name its driver gives it
     * @param deviceClass what sort of device it is
     * @param physicalId  which hardware it is
     * @return the device
     */
    public static GpuDevice of(String backend, int index, String name, DeviceClass deviceClass, PhysicalId physicalId) {
        boolean unified = deviceClass.compareTo(DeviceClass.INTEGRATED) >= 0;
        return new GpuDevice(
                backend, index, name, deviceClass, physicalId, unified, OptionalLong.empty(), Optional.empty());
    }

    /**
     * This device with a limit on single allocations.
     *
     * @param bytes the largest single allocation in bytes, above 0
     * @return a copy with the limit
     */
    public GpuDevice withMaxAllocationBytes(long bytes) {
        return new GpuDevice(
                backend,
                index,
                name,
                deviceClass,
                physicalId,
                unifiedMemory,
                OptionalLong.of(bytes),
                computeCapability,
                driverVersion);
    }

    /**
     * This device with a capability version.
     *
     * @param version the version, such as {@code 9.0}
     * @return a copy with the version
     */
    public GpuDevice withComputeCapability(String version) {
        return new GpuDevice(
                backend,
                index,
                name,
                deviceClass,
                physicalId,
                unifiedMemory,
                maxAllocationBytes,
                Optional.of(version),
                driverVersion);
    }

    /**
     * This device with the version of its driver. What was learned from loads under one version is not held true for another.
     *
     * @param version the version as the driver writes it, such as {@code 550.54.15}
     * @return a copy with the version
     */
    public GpuDevice withDriverVersion(String version) {
        return new GpuDevice(
                backend,
                index,
                name,
                deviceClass,
                physicalId,
                unifiedMemory,
                maxAllocationBytes,
                computeCapability,
                Optional.of(version));
    }

    /**
     * The short name that is unique on this machine, such as {@code cuda:0}.
     *
     * @return backend and index
     */
    public String id() {
        return backend + ":" + index;
    }

    /**
     * The share of the device's memory a careful program would plan with: 0.7 where the host lives in the same memory, else
     * 0.9. A suggestion for {@link MemoryConfig.Builder#fraction}; nothing applies it by itself.
     *
     * @return the fraction
     */
    public double recommendedFraction() {
        return unifiedMemory ? 0.7 : 0.9;
    }

    @Override
    public String toString() {
        return id() + " (" + name + ")";
    }
}
