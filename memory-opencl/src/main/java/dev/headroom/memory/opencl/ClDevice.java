package dev.headroom.memory.opencl;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.spi.DriverException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.jocl.CL;
import org.jocl.cl_device_id;
import org.jocl.cl_platform_id;

/**
 * A device as OpenCL describes it. The figures are read once: PoCL gives another total from one run to the next.
 *
 * @param platform      its platform
 * @param id            its handle
 * @param device        what users see of it
 * @param totalBytes    all memory it has, or may use of the host's
 * @param baseAlignment where sub-buffers may begin, in bytes, a power of two
 * @param driverVersion the driver's version
 * @param info          asks it anew
 * @param tellsFree     whether it has AMD's call for free memory
 */
record ClDevice(
        cl_platform_id platform,
        cl_device_id id,
        GpuDevice device,
        long totalBytes,
        long baseAlignment,
        String driverVersion,
        ClInfo info,
        boolean tellsFree) {

    /** Deprecated in JOCL, because OpenCL 2 has finer answers; every driver still gives this one. */
    private static final int HOST_UNIFIED_MEMORY = 0x1035;

    // Numbers of extensions, which JOCL does not name.
    private static final int DEVICE_UUID_KHR = 0x106A;
    private static final int PCI_BUS_INFO_KHR = 0x410F;
    private static final int COMPUTE_CAPABILITY_MAJOR_NV = 0x4000;
    private static final int COMPUTE_CAPABILITY_MINOR_NV = 0x4001;
    private static final int PCI_BUS_ID_NV = 0x4008;
    private static final int PCI_SLOT_ID_NV = 0x4009;
    private static final int PCI_DOMAIN_ID_NV = 0x400A;
    private static final int TOPOLOGY_AMD = 0x4037;
    private static final int GLOBAL_FREE_MEMORY_AMD = 0x4039;

    private static final int TOPOLOGY_TYPE_PCIE_AMD = 1;
    private static final int TOPOLOGY_BYTES_AMD = 24;
    private static final int UUID_BYTES = 16;
    private static final int PCI_FIELDS = 4;

    /**
     * Asks a device who it is.
     *
     * @param cl       the calls
     * @param platform its platform
     * @param id       its handle
     * @param index    its place among all devices of all platforms
     * @throws DriverException if it does not say what every device must
     */
    static ClDevice read(ClApi cl, cl_platform_id platform, cl_device_id id, int index) throws DriverException {
        ClInfo info =
                new ClInfo("clGetDeviceInfo", (name, value, byteSize) -> cl.getDeviceInfo(id, name, value, byteSize));
        if (info.number(CL.CL_DEVICE_AVAILABLE) == 0) {
            throw new DriverException(
                    DriverException.Kind.UNEXPECTED, 0, "clGetDeviceInfo", "the device says it is not available");
        }
        Set<String> extensions =
                Set.copyOf(Arrays.asList(info.text(CL.CL_DEVICE_EXTENSIONS).split("\\s+")));
        DeviceClass deviceClass = deviceClass(info);
        boolean shares = sharesHostMemory(deviceClass);
        PhysicalId physicalId = shares ? PhysicalId.ofHost() : physicalId(info, extensions);
        long totalBytes = info.number(CL.CL_DEVICE_GLOBAL_MEM_SIZE);
        long largest = info.number(CL.CL_DEVICE_MAX_MEM_ALLOC_SIZE);
        String driverVersion = info.text(CL.CL_DRIVER_VERSION);
        GpuDevice device = new GpuDevice(
                OpenClBackend.NAME,
                index,
                info.text(CL.CL_DEVICE_NAME),
                deviceClass,
                physicalId,
                shares,
                largest > 0 ? OptionalLong.of(largest) : OptionalLong.empty(),
                computeCapability(info, extensions),
                Optional.of(driverVersion).filter(version -> !version.isBlank()));
        return new ClDevice(
                platform,
                id,
                device,
                totalBytes,
                alignment(info.number(CL.CL_DEVICE_MEM_BASE_ADDR_ALIGN)),
                driverVersion,
                info,
                extensions.contains("cl_amd_device_attribute_query"));
    }

    /** Whether device and host have the same memory, so that mapping costs no copy. */
    boolean sharesHostMemory() {
        return device.unifiedMemory();
    }

    /** Whether the device is the host's own processor, so that its memory is plain memory of this process. */
    boolean isHostProcessor() {
        return device.deviceClass() == DeviceClass.CPU;
    }

    /** The largest single buffer. */
    long largestBytes() {
        return Math.min(device.maxAllocationBytes().orElse(Long.MAX_VALUE), Math.max(totalBytes, 1));
    }

    /**
     * Total and free memory. Standard OpenCL does not tell what is free; for a device in the host's memory the engine asks
     * the host's own backend, which knows of containers too.
     */
    MemoryBudget budget() {
        String total = "CL_DEVICE_GLOBAL_MEM_SIZE of driver " + driverVersion;
        Optional<ByteBuffer> free =
                tellsFree ? info.bytesIfKnown(GLOBAL_FREE_MEMORY_AMD, Long.BYTES) : Optional.empty();
        // In units of 1024 bytes; the first of two numbers is all that is free, the second its largest piece.
        return free.map(ByteBuffer::getLong)
                .map(units -> MemoryBudget.measured(
                        totalBytes,
                        units < 0 ? Long.MAX_VALUE : Math.min(units, Long.MAX_VALUE >> 10) << 10,
                        "CL_DEVICE_GLOBAL_FREE_MEMORY_AMD of driver " + driverVersion))
                .orElseGet(() -> MemoryBudget.unknown(totalBytes, total + "; it does not tell what is free"));
    }

    private static DeviceClass deviceClass(ClInfo info) throws DriverException {
        long type = info.number(CL.CL_DEVICE_TYPE);
        if ((type & CL.CL_DEVICE_TYPE_CPU) != 0) {
            return DeviceClass.CPU;
        }
        // Graphics cards and accelerators alike: what matters here is whose memory it is. Deprecated, and all drivers
        // tell.
        boolean unified = info.numberIfKnown(HOST_UNIFIED_MEMORY).orElse(0L) != 0;
        return unified ? DeviceClass.INTEGRATED : DeviceClass.DISCRETE;
    }

    private static boolean sharesHostMemory(DeviceClass deviceClass) {
        return deviceClass == DeviceClass.CPU || deviceClass == DeviceClass.INTEGRATED;
    }

    private static PhysicalId physicalId(ClInfo info, Set<String> extensions) {
        Optional<String> uuid = extensions.contains("cl_khr_device_uuid")
                ? info.bytesIfKnown(DEVICE_UUID_KHR, UUID_BYTES).map(ClDevice::uuid)
                : Optional.empty();
        return new PhysicalId(uuid, pciAddress(info, extensions), false);
    }

    private static String uuid(ByteBuffer answer) {
        byte[] bytes = new byte[UUID_BYTES];
        answer.get(bytes);
        return PhysicalId.uuidOf(bytes);
    }

    private static Optional<String> pciAddress(ClInfo info, Set<String> extensions) {
        if (extensions.contains("cl_khr_pci_bus_info")) {
            return info.bytesIfKnown(PCI_BUS_INFO_KHR, PCI_FIELDS * Integer.BYTES)
                    .map(bytes -> pciAddress(bytes.getInt(), bytes.getInt(), bytes.getInt(), bytes.getInt()));
        }
        if (extensions.contains("cl_nv_device_attribute_query")) {
            return info.numberIfKnown(PCI_BUS_ID_NV)
                    .flatMap(bus -> info.numberIfKnown(PCI_SLOT_ID_NV)
                            .map(slot -> pciAddress(
                                    info.numberIfKnown(PCI_DOMAIN_ID_NV).orElse(0L), bus, slot >> 3, slot & 7)));
        }
        if (extensions.contains("cl_amd_device_attribute_query")) {
            return info.bytesIfKnown(TOPOLOGY_AMD, TOPOLOGY_BYTES_AMD)
                    .filter(bytes -> bytes.getInt(0) == TOPOLOGY_TYPE_PCIE_AMD)
                    .map(bytes -> pciAddress(
                            0,
                            Byte.toUnsignedLong(bytes.get(TOPOLOGY_BYTES_AMD - 3)),
                            Byte.toUnsignedLong(bytes.get(TOPOLOGY_BYTES_AMD - 2)),
                            Byte.toUnsignedLong(bytes.get(TOPOLOGY_BYTES_AMD - 1))));
        }
        return Optional.empty();
    }

    private static String pciAddress(long domain, long bus, long device, long function) {
        return "%04x:%02x:%02x.%x".formatted(domain, bus, device, function);
    }

    private static Optional<String> computeCapability(ClInfo info, Set<String> extensions) {
        return extensions.contains("cl_nv_device_attribute_query")
                ? info.numberIfKnown(COMPUTE_CAPABILITY_MAJOR_NV)
                        .flatMap(major ->
                                info.numberIfKnown(COMPUTE_CAPABILITY_MINOR_NV).map(minor -> major + "." + minor))
                : Optional.empty();
    }

    /** The device says it in bits. What it says may be no power of two, or more than anybody can ask for. */
    private static long alignment(long bits) {
        long bytes = Math.clamp(bits / Byte.SIZE, 1, AllocationRequest.MAX_ALIGNMENT);
        long power = Long.highestOneBit(bytes);
        return power == bytes ? bytes : 2 * power;
    }
}
