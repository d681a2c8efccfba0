package dev.headroom.memory.cuda;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.cuda.CudaSymbols.Feature;
import dev.headroom.memory.spi.DriverException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;

/**
 * A device as the CUDA driver describes it; to know it, no context is needed.
 *
 * @param handle            the driver's name for it
 * @param device            what users see of it
 * @param totalBytes        all memory it has
 * @param managementUuid    its name in the management library
 * @param hasVirtualMemory  whether it has address ranges that get memory piece by piece
 */
record CudaDevice(
        DeviceHandle handle, GpuDevice device, long totalBytes, String managementUuid, boolean hasVirtualMemory) {

    // Attributes, by their numbers in cuda.h: JCuda calls some deprecated.
    private static final int INTEGRATED = 18;
    private static final int COMPUTE_CAPABILITY_MAJOR = 75;
    private static final int COMPUTE_CAPABILITY_MINOR = 76;
    private static final int VIRTUAL_MEMORY_MANAGEMENT = 102;

    private static final int LONGEST_NAME = 256;
    private static final int UUID_BYTES = 16;

    /**
     * Asks a device who it is.
     *
     * @param cuda    the calls
     * @param ordinal its place among the devices the driver shows
     * @param index   its place among those that answer
     * @throws DriverException if it does not say what every device must
     */
    static CudaDevice read(CudaApi cuda, int ordinal, int index) throws DriverException {
        DeviceHandle handle = new DeviceHandle();
        require("cuDeviceGet", cuda.device(handle, ordinal));
        byte[] name = new byte[LONGEST_NAME];
        require("cuDeviceGetName", cuda.deviceName(name, handle));
        long[] total = new long[1];
        require("cuDeviceTotalMem", cuda.deviceTotal(total, handle));
        long totalBytes = total[0] < 0 ? Long.MAX_VALUE : total[0];
        boolean integrated = attribute(cuda, INTEGRATED, handle) != 0;

        String card = uuid("cuDeviceGetUuid", bytes -> cuda.cardUuid(bytes, handle));
        String own = cuda.offers(Feature.SLICES)
                ? uuid("cuDeviceGetUuid_v2", bytes -> cuda.sliceUuid(bytes, handle.number()))
                : card;
        boolean slice = !own.equals(card);
        GpuDevice device = GpuDevice.of(
                        CudaBackend.NAME,
                        index,
                        text(name),
                        integrated ? DeviceClass.INTEGRATED : DeviceClass.DISCRETE,
                        integrated ? PhysicalId.ofHost() : physicalId(cuda, handle, slice ? "mig-" + own : own))
                .withComputeCapability(attribute(cuda, COMPUTE_CAPABILITY_MAJOR, handle) + "."
                        + attribute(cuda, COMPUTE_CAPABILITY_MINOR, handle))
                .withDriverVersion(driverVersion(cuda));
        return new CudaDevice(
                handle,
                device,
                totalBytes,
                (slice ? "MIG-" : "GPU-") + own,
                cuda.offers(Feature.VIRTUAL_MEMORY) && attribute(cuda, VIRTUAL_MEMORY_MANAGEMENT, handle) != 0);
    }

    /** The version of CUDA the driver offers: each series of drivers has one. */
    private static String driverVersion(CudaApi cuda) throws DriverException {
        int[] version = new int[1];
        require("cuDriverGetVersion", cuda.driverVersion(version));
        return "CUDA " + CudaLibrary.text(version[0]);
    }

    /** The slices of a card share its address, so their own name is what tells them apart. */
    private static PhysicalId physicalId(CudaApi cuda, DeviceHandle handle, String uuid) throws DriverException {
        String[] address = new String[1];
        require("cuDeviceGetPCIBusId", cuda.pciAddress(address, handle));
        return new PhysicalId(
                Optional.of(uuid), Optional.ofNullable(address[0]).map(text -> text.toLowerCase(Locale.ROOT)), false);
    }

    private static int attribute(CudaApi cuda, int attribute, DeviceHandle handle) throws DriverException {
        int[] value = new int[1];
        require("cuDeviceGetAttribute", cuda.deviceAttribute(value, attribute, handle));
        return value[0];
    }

    /** A call that writes sixteen bytes. */
    @FunctionalInterface
    private interface UuidCall {
        int write(byte[] bytes);
    }

    private static String uuid(String name, UuidCall call) throws DriverException {
        byte[] bytes = new byte[UUID_BYTES];
        require(name, call.write(bytes));
        ByteBuffer asWritten = ByteBuffer.wrap(bytes);
        return new UUID(asWritten.getLong(), asWritten.getLong()).toString();
    }

    private static String text(byte[] bytes) {
        int end = 0;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        return new String(Arrays.copyOf(bytes, end), StandardCharsets.UTF_8).strip();
    }

    private static void require(String call, int code) throws DriverException {
        if (code != CudaApi.SUCCESS) {
            throw CudaError.failed(call, code);
        }
    }
}
