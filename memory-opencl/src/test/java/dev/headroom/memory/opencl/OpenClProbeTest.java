package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.DeviceClass;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryBudget;
import dev.headroom.memory.PhysicalId;
import dev.headroom.memory.opencl.FakePlatforms.Device;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.UnavailableException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.jocl.CL;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What devices say of themselves, and what is made of it. Needs no OpenCL. */
class OpenClProbeTest {

    private static final int FREE_AMD = 0x4039;

    private static List<GpuDevice> devices(FakePlatforms platforms) {
        return switch (platforms.backend().probe()) {
            case BackendProbe.Available(List<GpuDevice> devices) -> devices;
            case BackendProbe.Unavailable absent -> throw new AssertionError(absent.reason());
        };
    }

    private static GpuDevice only(Device device) {
        return devices(new FakePlatforms().platform(device)).getFirst();
    }

    private static MemoryBudget budget(Device device) throws DriverException {
        OpenClBackend backend = new FakePlatforms().platform(device).backend();
        if (backend.probe() instanceof BackendProbe.Available(List<GpuDevice> devices)) {
            return backend.budget(devices.getFirst());
        }
        throw new AssertionError("no device");
    }

    private static String reason(FakePlatforms platforms) {
        if (platforms.backend().probe() instanceof BackendProbe.Unavailable(String reason, String hint)) {
            assertThat(hint).isNotBlank();
            return reason;
        }
        throw new AssertionError("there are devices");
    }

    @Test
    void a_card() {
        assertThat(only(Device.card()))
                .isEqualTo(new GpuDevice(
                        "opencl",
                        0,
                        "Card One",
                        DeviceClass.DISCRETE,
                        PhysicalId.unknown(),
                        false,
                        OptionalLong.of(2L << 30),
                        Optional.empty(),
                        Optional.of("550.1")));
    }

    @Test
    void classes_and_whose_memory_it_is() {
        GpuDevice integrated = only(Device.card().number(0x1035, 1));
        assertThat(integrated.deviceClass()).isEqualTo(DeviceClass.INTEGRATED);
        assertThat(integrated.physicalId()).isEqualTo(PhysicalId.ofHost());
        assertThat(integrated.unifiedMemory()).isTrue();
        GpuDevice cpu = only(Device.card().wide(CL.CL_DEVICE_TYPE, CL.CL_DEVICE_TYPE_CPU));
        assertThat(cpu.deviceClass()).isEqualTo(DeviceClass.CPU);
        assertThat(cpu.physicalId()).isEqualTo(PhysicalId.ofHost());
        GpuDevice accelerator = only(Device.card().wide(CL.CL_DEVICE_TYPE, CL.CL_DEVICE_TYPE_ACCELERATOR));
        assertThat(accelerator.deviceClass()).isEqualTo(DeviceClass.DISCRETE);
        assertThat(only(Device.card().without(0x1035)).deviceClass()).isEqualTo(DeviceClass.DISCRETE);
    }

    @Test
    void devices_are_counted_across_platforms_and_empty_platforms_do_not_matter() {
        List<GpuDevice> devices = devices(new FakePlatforms()
                .platform(Device.card().text(CL.CL_DEVICE_NAME, "a"))
                .platform()
                .platform(
                        Device.card().text(CL.CL_DEVICE_NAME, "b"),
                        Device.card().number(CL.CL_DEVICE_AVAILABLE, 0),
                        Device.card().text(CL.CL_DEVICE_NAME, "c")));
        assertThat(devices)
                .extracting(GpuDevice::toString)
                .containsExactly("opencl:0 (a)", "opencl:1 (b)", "opencl:2 (c)");
    }

    @Test
    void the_hardware_is_known_by_its_uuid() {
        byte[] uuid = new byte[16];
        for (int i = 0; i < uuid.length; i++) {
            uuid[i] = (byte) (0xF0 + i);
        }
        Device device = Device.card()
                .text(CL.CL_DEVICE_EXTENSIONS, "cl_khr_device_uuid")
                .bytes(0x106A, uuid);
        assertThat(only(device).physicalId()).isEqualTo(PhysicalId.ofUuid("f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff"));
        // Too short an answer says nothing.
        assertThat(only(device.bytes(0x106A, new byte[15])).physicalId()).isEqualTo(PhysicalId.unknown());
        // Without the extension the number may mean anything.
        assertThat(only(Device.card().bytes(0x106A, uuid)).physicalId()).isEqualTo(PhysicalId.unknown());
    }

    @Test
    void the_hardware_is_known_by_its_place() {
        Device khronos = Device.card()
                .text(CL.CL_DEVICE_EXTENSIONS, "cl_khr_pci_bus_info")
                .bytes(
                        0x410F,
                        FakePlatforms.buffer(16)
                                .putInt(1)
                                .putInt(0xAF)
                                .putInt(2)
                                .putInt(3)
                                .array());
        assertThat(only(khronos).physicalId()).isEqualTo(PhysicalId.ofPci("0001:af:02.3"));
        Device nvidia = Device.card()
                .text(CL.CL_DEVICE_EXTENSIONS, "cl_khr_fp64 cl_nv_device_attribute_query")
                .number(0x4008, 0x3B)
                .number(0x4009, 5 << 3 | 1)
                .number(0x4000, 9)
                .number(0x4001, 0);
        assertThat(only(nvidia).physicalId()).isEqualTo(PhysicalId.ofPci("0000:3b:05.1"));
        assertThat(only(nvidia).computeCapability()).contains("9.0");
        assertThat(only(nvidia.number(0x400A, 2)).physicalId()).isEqualTo(PhysicalId.ofPci("0002:3b:05.1"));
        byte[] topology = FakePlatforms.buffer(24).putInt(1).array();
        topology[21] = (byte) 0xC1;
        topology[22] = 4;
        topology[23] = 1;
        Device amd = Device.card()
                .text(CL.CL_DEVICE_EXTENSIONS, "cl_amd_device_attribute_query")
                .bytes(0x4037, topology);
        assertThat(only(amd).physicalId()).isEqualTo(PhysicalId.ofPci("0000:c1:04.1"));
        topology[0] = 0;
        assertThat(only(amd).physicalId()).isEqualTo(PhysicalId.unknown());
    }

    @Test
    void free_memory_is_measured_by_amd_only() throws DriverException {
        byte[] free = FakePlatforms.buffer(16).putLong(1 << 20).putLong(1 << 19).array();
        Device amd = Device.card()
                .text(CL.CL_DEVICE_EXTENSIONS, "cl_amd_device_attribute_query")
                .bytes(FREE_AMD, free);
        assertThat(budget(amd).freeBytes()).hasValue(1L << 30);
        assertThat(budget(amd).source()).isEqualTo(MemoryBudget.Source.MEASURED);
        assertThat(budget(amd).detail()).isEqualTo("CL_DEVICE_GLOBAL_FREE_MEMORY_AMD of driver 550.1");
        assertThat(budget(amd.without(FREE_AMD)).source()).isEqualTo(MemoryBudget.Source.UNKNOWN);
        MemoryBudget plain = budget(Device.card().bytes(FREE_AMD, free));
        assertThat(plain.totalBytes()).isEqualTo(8L << 30);
        assertThat(plain.source()).isEqualTo(MemoryBudget.Source.UNKNOWN);
        assertThat(plain.detail())
                .isEqualTo("CL_DEVICE_GLOBAL_MEM_SIZE of driver 550.1; it does not tell what is free");
    }

    /** Limits have no sign: all bits set is the most there is, not minus one. */
    @Test
    void limits_have_no_sign() throws DriverException {
        Device device = Device.card()
                .wide(CL.CL_DEVICE_GLOBAL_MEM_SIZE, -1)
                .wide(CL.CL_DEVICE_MAX_MEM_ALLOC_SIZE, -1)
                .number(CL.CL_DEVICE_MEM_BASE_ADDR_ALIGN, -1)
                .text(CL.CL_DEVICE_EXTENSIONS, "cl_amd_device_attribute_query")
                .bytes(FREE_AMD, FakePlatforms.buffer(8).putLong(-1).array());
        assertThat(only(device).maxAllocationBytes()).hasValue(Long.MAX_VALUE);
        assertThat(budget(device).totalBytes()).isEqualTo(Long.MAX_VALUE);
        assertThat(budget(device).freeBytes()).hasValue(Long.MAX_VALUE);
        assertThat(budget(device.number(CL.CL_DEVICE_GLOBAL_MEM_SIZE, -1)).totalBytes())
                .isEqualTo(0xFFFF_FFFFL);
        assertThat(only(device.number(CL.CL_DEVICE_MAX_MEM_ALLOC_SIZE, 0)).maxAllocationBytes())
                .isEmpty();
    }

    /** The device counts in bits; sub-buffers can begin at powers of two only. */
    @ParameterizedTest
    @CsvSource({"1024, 128", "4096, 512", "8, 1", "0, 1", "1000, 128", "-1, 2097152"})
    void alignment_is_in_bits(int bits, long bytes) throws Exception {
        FakePlatforms platforms =
                new FakePlatforms().platform(Device.card().number(CL.CL_DEVICE_MEM_BASE_ADDR_ALIGN, bits));
        assertThat(ClDevices.list(platforms.api()).getFirst().baseAlignment()).isEqualTo(bytes);
    }

    @Test
    void no_driver() {
        String reason = "there is an OpenCL loader, but no driver for it to load (CL_PLATFORM_NOT_FOUND_KHR)";
        assertThat(reason(new FakePlatforms())).isEqualTo(reason);
        assertThat(reason(new FakePlatforms().platform(Device.card()).failing("countPlatforms", -1001)))
                .isEqualTo(reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"countPlatforms", "getPlatforms"})
    void a_broken_loader(String call) {
        assertThat(reason(new FakePlatforms().platform(Device.card()).failing(call, -6)))
                .isEqualTo("the OpenCL loader fails: clGetPlatformIDs failed: CL_OUT_OF_HOST_MEMORY (code -6)");
    }

    @Test
    void no_device() {
        assertThat(reason(new FakePlatforms().platform())).isEqualTo("no OpenCL driver offers a device");
        assertThat(reason(new FakePlatforms().platform(Device.card()).failing("countDevices", -32)))
                .isEqualTo("no OpenCL driver offers a device: clGetDeviceIDs failed: CL_INVALID_PLATFORM (code -32)");
        assertThat(reason(new FakePlatforms().platform(Device.card()).failing("getDeviceInfo", -33)))
                .isEqualTo("no OpenCL driver offers a device: clGetDeviceInfo failed: CL_INVALID_DEVICE (code -33)");
        assertThat(reason(new FakePlatforms().platform(Device.card().number(CL.CL_DEVICE_AVAILABLE, 0))))
                .contains("the device says it is not available");
        assertThat(reason(new FakePlatforms().platform(Device.card().text(CL.CL_DEVICE_GLOBAL_MEM_SIZE, "8 GiB"))))
                .contains("an answer of 5 bytes to 0x101F");
    }

    @Test
    void no_loader() {
        assertThatThrownBy(() -> new ClLibrary(List.of("libnowhere.so.1", "libnowhere.so")).load())
                .isInstanceOf(UnavailableException.class)
                .hasMessage("no OpenCL loader: libnowhere.so.1 or libnowhere.so cannot be opened");
    }

    @Test
    void a_device_that_is_gone_is_not_opened() {
        OpenClBackend backend = new FakePlatforms().platform(Device.card()).backend();
        GpuDevice other = only(Device.card().text(CL.CL_DEVICE_NAME, "Another"));
        assertThatThrownBy(() -> backend.open(other))
                .isInstanceOf(DriverException.class)
                .hasMessageContaining("opencl:0 (Another) is not there any more");
        OpenClBackend empty = new FakePlatforms().backend();
        assertThatThrownBy(() -> empty.budget(other))
                .isInstanceOf(DriverException.class)
                .hasMessageContaining("no driver for it to load");
    }
}
