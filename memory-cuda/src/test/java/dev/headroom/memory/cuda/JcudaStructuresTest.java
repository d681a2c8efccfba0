package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.cuda.CudaDouble.Live;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUmemAccessDesc;
import jcuda.driver.CUmemAccess_flags;
import jcuda.driver.CUmemAllocationProp;
import jcuda.driver.CUmemAllocationType;
import jcuda.driver.CUmemGenericAllocationHandle;
import jcuda.driver.CUmemLocation;
import jcuda.driver.CUmemLocationType;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Why virtual memory goes past JCuda: its native code fills the driver's structures from the wrong objects, which a driver
 * that looks at them refuses. The same calls with structures of our own are taken. Should a later JCuda do better, this
 * fails, and the detour can go.
 */
class JcudaStructuresTest {

    private static final long GRANULE = 2 << 20;

    private final CUdevice device = new CUdevice();
    private CudaDouble driver;
    private CudaApi ours;

    @BeforeEach
    void open() throws Exception {
        driver = CudaDouble.machine(64);
        ours = CudaLibrary.ofSystem().load();
        CUcontext context = new CUcontext();
        JCudaDriver.cuDeviceGet(device, 0);
        JCudaDriver.cuDevicePrimaryCtxRetain(context, device);
        JCudaDriver.cuCtxPushCurrent(context);
    }

    @AfterEach
    void close() {
        if (driver != null) {
            JCudaDriver.cuCtxPopCurrent(new CUcontext());
            CudaDouble.empty();
        }
    }

    private static CUmemLocation firstDevice() {
        CUmemLocation location = new CUmemLocation();
        location.type = CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE;
        location.id = 0;
        return location;
    }

    @Test
    void its_description_of_memory_is_refused() {
        CUmemAllocationProp prop = new CUmemAllocationProp();
        prop.type = CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED;
        prop.location = firstDevice();
        CUmemGenericAllocationHandle handle = new CUmemGenericAllocationHandle();
        assertThat(JCudaDriver.cuMemCreate(handle, GRANULE, prop, 0)).isEqualTo(1);
        assertThat(ours.createMemory(new long[1], GRANULE, 0)).isZero();
    }

    @Test
    void its_description_of_access_is_refused() {
        long[] address = new long[1];
        long[] memory = new long[1];
        assertThat(ours.reserveAddresses(address, GRANULE, GRANULE)).isZero();
        assertThat(ours.createMemory(memory, GRANULE, 0)).isZero();
        assertThat(ours.mapMemory(address[0], GRANULE, memory[0])).isZero();
        CUmemAccessDesc access = new CUmemAccessDesc();
        access.location = firstDevice();
        access.flags = CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
        CUdeviceptr pointer = new DevicePointer(address[0]);
        assertThat(JCudaDriver.cuMemSetAccess(pointer, GRANULE, new CUmemAccessDesc[] {access}, 1))
                .isIn(1, 101);
        assertThat(ours.allowAccess(address[0], GRANULE, 0)).isZero();
        assertThat(driver.ledger()).extracting(Live::kind).contains("address range", "physical memory", "mapping");
    }
}
