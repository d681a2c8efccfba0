package dev.headroom.memory.cuda;

import dev.headroom.memory.cuda.CudaSymbols.Feature;
import java.lang.foreign.SymbolLookup;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;
import java.util.function.IntSupplier;
import jcuda.CudaException;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.CUuuid;
import jcuda.driver.JCudaDriver;

/**
 * The calls as JCuda makes them; those it cannot make go through {@link DirectCalls}.
 *
 * <p>A program may have told JCuda to throw instead of returning codes. That setting is the whole process's, so it is left
 * as it is, and what is thrown is turned back into its code.
 */
final class JcudaApi implements CudaApi {

    private static final int NO_FLAGS = 0;
    private static final int PCI_ADDRESS_CHARS = 64;

    private final Set<Feature> features;
    private final DirectCalls direct;

    /** Takes the calls of a driver that has all that are required. JCuda must be loaded. */
    JcudaApi(SymbolLookup driver) {
        Set<Feature> found = EnumSet.noneOf(Feature.class);
        for (Feature feature : Feature.values()) {
            if (CudaSymbols.missing(feature.symbols(), driver).isEmpty()) {
                found.add(feature);
            }
        }
        features = Collections.unmodifiableSet(found);
        direct = new DirectCalls(driver, features);
    }

    @Override
    public boolean offers(Feature feature) {
        return features.contains(feature);
    }

    @Override
    public int init() {
        return code(() -> JCudaDriver.cuInit(NO_FLAGS));
    }

    @Override
    public int driverVersion(int[] version) {
        return code(() -> JCudaDriver.cuDriverGetVersion(version));
    }

    @Override
    public int deviceCount(int[] count) {
        return code(() -> JCudaDriver.cuDeviceGetCount(count));
    }

    @Override
    public int device(CUdevice device, int ordinal) {
        return code(() -> JCudaDriver.cuDeviceGet(device, ordinal));
    }

    @Override
    public int deviceName(byte[] name, CUdevice device) {
        return code(() -> JCudaDriver.cuDeviceGetName(name, name.length, device));
    }

    @Override
    public int deviceAttribute(int[] value, int attribute, CUdevice device) {
        return code(() -> JCudaDriver.cuDeviceGetAttribute(value, attribute, device));
    }

    @Override
    public int deviceTotal(long[] byteSize, CUdevice device) {
        return code(() -> JCudaDriver.cuDeviceTotalMem(byteSize, device));
    }

    @Override
    public int cardUuid(byte[] uuid, CUdevice device) {
        CUuuid result = new CUuuid();
        int code = code(() -> JCudaDriver.cuDeviceGetUuid(result, device));
        System.arraycopy(result.bytes, 0, uuid, 0, uuid.length);
        return code;
    }

    @Override
    public int sliceUuid(byte[] uuid, int device) {
        return direct.uuid(uuid, device);
    }

    @Override
    public int pciAddress(String[] address, CUdevice device) {
        return code(() -> JCudaDriver.cuDeviceGetPCIBusId(address, PCI_ADDRESS_CHARS, device));
    }

    @Override
    public int canAccessPeer(int[] can, CUdevice device, CUdevice peer) {
        return code(() -> JCudaDriver.cuDeviceCanAccessPeer(can, device, peer));
    }

    @Override
    public int retainPrimary(CUcontext context, CUdevice device) {
        return code(() -> JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
    }

    @Override
    public int releasePrimary(CUdevice device) {
        return code(() -> JCudaDriver.cuDevicePrimaryCtxRelease(device));
    }

    @Override
    public int push(CUcontext context) {
        return code(() -> JCudaDriver.cuCtxPushCurrent(context));
    }

    @Override
    public int pop() {
        CUcontext popped = new CUcontext();
        return code(() -> JCudaDriver.cuCtxPopCurrent(popped));
    }

    @Override
    public int memoryInfo(long[] free, long[] total) {
        return code(() -> JCudaDriver.cuMemGetInfo(free, total));
    }

    @Override
    public int allocate(long[] address, long byteSize) {
        DevicePointer pointer = new DevicePointer();
        int code = code(() -> JCudaDriver.cuMemAlloc(pointer, byteSize));
        address[0] = pointer.address();
        return code;
    }

    @Override
    public int free(long address) {
        DevicePointer pointer = new DevicePointer(address);
        return code(() -> JCudaDriver.cuMemFree(pointer));
    }

    @Override
    public int allocateHost(long[] address, long byteSize, int flags) {
        return direct.allocateHost(address, byteSize, flags);
    }

    @Override
    public int freeHost(long address) {
        RawPointer pointer = new RawPointer(address);
        return code(() -> JCudaDriver.cuMemFreeHost(pointer));
    }

    @Override
    public int copyToDevice(long target, long source, long byteSize, CUstream stream) {
        DevicePointer to = new DevicePointer(target);
        RawPointer from = new RawPointer(source);
        return code(() -> JCudaDriver.cuMemcpyHtoDAsync(to, from, byteSize, stream));
    }

    @Override
    public int copyToHost(long target, long source, long byteSize, CUstream stream) {
        RawPointer to = new RawPointer(target);
        DevicePointer from = new DevicePointer(source);
        return code(() -> JCudaDriver.cuMemcpyDtoHAsync(to, from, byteSize, stream));
    }

    @Override
    public int copyWithin(long target, long source, long byteSize, CUstream stream) {
        DevicePointer to = new DevicePointer(target);
        DevicePointer from = new DevicePointer(source);
        return code(() -> JCudaDriver.cuMemcpyDtoDAsync(to, from, byteSize, stream));
    }

    @Override
    public int copyAny(long target, long source, long byteSize, CUstream stream) {
        DevicePointer to = new DevicePointer(target);
        DevicePointer from = new DevicePointer(source);
        return code(() -> JCudaDriver.cuMemcpyAsync(to, from, byteSize, stream));
    }

    @Override
    public int enablePeer(CUcontext peer) {
        return code(() -> JCudaDriver.cuCtxEnablePeerAccess(peer, NO_FLAGS));
    }

    @Override
    public int copyPeer(
            long target,
            CUcontext targetContext,
            long source,
            CUcontext sourceContext,
            long byteSize,
            CUstream stream) {
        DevicePointer to = new DevicePointer(target);
        DevicePointer from = new DevicePointer(source);
        return code(() -> JCudaDriver.cuMemcpyPeerAsync(to, targetContext, from, sourceContext, byteSize, stream));
    }

    @Override
    public int fill(long address, byte value, long byteSize, CUstream stream) {
        DevicePointer pointer = new DevicePointer(address);
        return code(() -> JCudaDriver.cuMemsetD8Async(pointer, value, byteSize, stream));
    }

    @Override
    public int createStream(CUstream stream, int flags) {
        return code(() -> JCudaDriver.cuStreamCreate(stream, flags));
    }

    @Override
    public int destroyStream(CUstream stream) {
        return code(() -> JCudaDriver.cuStreamDestroy(stream));
    }

    @Override
    public int queryStream(CUstream stream) {
        return code(() -> JCudaDriver.cuStreamQuery(stream));
    }

    @Override
    public int waitEvent(CUstream stream, CUevent event) {
        return code(() -> JCudaDriver.cuStreamWaitEvent(stream, event, NO_FLAGS));
    }

    @Override
    public int streamContext(CUstream stream, CUcontext context) {
        return code(() -> JCudaDriver.cuStreamGetCtx(stream, context));
    }

    @Override
    public int createEvent(CUevent event, int flags) {
        return code(() -> JCudaDriver.cuEventCreate(event, flags));
    }

    @Override
    public int destroyEvent(CUevent event) {
        return code(() -> JCudaDriver.cuEventDestroy(event));
    }

    @Override
    public int recordEvent(CUevent event, CUstream stream) {
        return code(() -> JCudaDriver.cuEventRecord(event, stream));
    }

    @Override
    public int queryEvent(CUevent event) {
        return code(() -> JCudaDriver.cuEventQuery(event));
    }

    @Override
    public int granularity(long[] byteSize, int device) {
        return direct.granularity(byteSize, device);
    }

    @Override
    public int reserveAddresses(long[] address, long byteSize, long byteAlignment) {
        return direct.reserve(address, byteSize, byteAlignment);
    }

    @Override
    public int freeAddresses(long address, long byteSize) {
        return direct.freeAddresses(address, byteSize);
    }

    @Override
    public int createMemory(long[] handle, long byteSize, int device) {
        return direct.create(handle, byteSize, device);
    }

    @Override
    public int releaseMemory(long handle) {
        return direct.release(handle);
    }

    @Override
    public int mapMemory(long address, long byteSize, long handle) {
        return direct.map(address, byteSize, handle);
    }

    @Override
    public int unmapMemory(long address, long byteSize) {
        return direct.unmap(address, byteSize);
    }

    @Override
    public int allowAccess(long address, long byteSize, int device) {
        return direct.setAccess(address, byteSize, device);
    }

    private static int code(IntSupplier call) {
        try {
            return call.getAsInt();
        } catch (CudaException thrown) {
            return CudaError.codeOf(thrown.getMessage());
        }
    }
}
