package dev.headroom.memory.cuda;

import dev.headroom.memory.cuda.CudaSymbols.Feature;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;

/**
 * The CUDA calls this backend makes, one method each, so that a test can make any of them fail. Every method returns the
 * call's code; what else it gives back means nothing unless that is {@link #SUCCESS}. No method throws, and none blocks
 * in Java: a virtual thread keeps its carrier, and so the current context, from one call to the next.
 *
 * <p>Addresses, of device and host alike, are numbers. Calls in the second half need a current context.
 */
interface CudaApi {

    /** The code of a call that went well. */
    int SUCCESS = 0;

    /** Whether the calls of a feature are there. Those that need one say which; without it they must not be made. */
    boolean offers(Feature feature);

    /** {@code cuInit}. */
    int init();

    /** {@code cuDriverGetVersion}: the CUDA version, thousands for the major and tens for the minor number. */
    int driverVersion(int[] version);

    /** {@code cuDeviceGetCount}. */
    int deviceCount(int[] count);

    /** {@code cuDeviceGet}. */
    int device(CUdevice device, int ordinal);

    /** {@code cuDeviceGetName}: text that ends with a zero. */
    int deviceName(byte[] name, CUdevice device);

    /** {@code cuDeviceGetAttribute}. */
    int deviceAttribute(int[] value, int attribute, CUdevice device);

    /** {@code cuDeviceTotalMem}. */
    int deviceTotal(long[] byteSize, CUdevice device);

    /** {@code cuDeviceGetUuid}: of the card, even for a slice of one. */
    int cardUuid(byte[] uuid, CUdevice device);

    /** {@code cuDeviceGetUuid_v2}, of {@link Feature#SLICES}: of the slice, or of the card that is not cut. */
    int sliceUuid(byte[] uuid, int device);

    /** {@code cuDeviceGetPCIBusId}. */
    int pciAddress(String[] address, CUdevice device);

    /** {@code cuDeviceCanAccessPeer}, of {@link Feature#PEERS}. */
    int canAccessPeer(int[] can, CUdevice device, CUdevice peer);

    /** {@code cuDevicePrimaryCtxRetain}. */
    int retainPrimary(CUcontext context, CUdevice device);

    /** {@code cuDevicePrimaryCtxRelease}. */
    int releasePrimary(CUdevice device);

    /** {@code cuCtxPushCurrent}. */
    int push(CUcontext context);

    /** {@code cuCtxPopCurrent}. */
    int pop();

    // In a context.

    /** {@code cuMemGetInfo}. */
    int memoryInfo(long[] free, long[] total);

    /** {@code cuMemAlloc}. */
    int allocate(long[] address, long byteSize);

    /** {@code cuMemFree}. */
    int free(long address);

    /** {@code cuMemHostAlloc}. */
    int allocateHost(long[] address, long byteSize, int flags);

    /** {@code cuMemFreeHost}. */
    int freeHost(long address);

    /** {@code cuMemcpyHtoDAsync}. */
    int copyToDevice(long target, long source, long byteSize, CUstream stream);

    /** {@code cuMemcpyDtoHAsync}. */
    int copyToHost(long target, long source, long byteSize, CUstream stream);

    /** {@code cuMemcpyDtoDAsync}. */
    int copyWithin(long target, long source, long byteSize, CUstream stream);

    /** {@code cuMemcpyAsync}: the driver finds out what either address is. */
    int copyAny(long target, long source, long byteSize, CUstream stream);

    /** {@code cuCtxEnablePeerAccess}, of {@link Feature#PEERS}. */
    int enablePeer(CUcontext peer);

    /** {@code cuMemcpyPeerAsync}, of {@link Feature#PEERS}. */
    int copyPeer(
            long target, CUcontext targetContext, long source, CUcontext sourceContext, long byteSize, CUstream stream);

    /** {@code cuMemsetD8Async}. */
    int fill(long address, byte value, long byteSize, CUstream stream);

    /** {@code cuStreamCreate}. */
    int createStream(CUstream stream, int flags);

    /** {@code cuStreamDestroy}. */
    int destroyStream(CUstream stream);

    /** {@code cuStreamQuery}. */
    int queryStream(CUstream stream);

    /** {@code cuStreamWaitEvent}. */
    int waitEvent(CUstream stream, CUevent event);

    /** {@code cuStreamGetCtx}, of {@link Feature#STREAM_CONTEXT}. */
    int streamContext(CUstream stream, CUcontext context);

    /** {@code cuEventCreate}. */
    int createEvent(CUevent event, int flags);

    /** {@code cuEventDestroy}. */
    int destroyEvent(CUevent event);

    /** {@code cuEventRecord}. */
    int recordEvent(CUevent event, CUstream stream);

    /** {@code cuEventQuery}. */
    int queryEvent(CUevent event);

    // Virtual memory. The device is a number here, because it travels inside structures.

    /** {@code cuMemGetAllocationGranularity}, the minimum, of {@link Feature#VIRTUAL_MEMORY}. */
    int granularity(long[] byteSize, int device);

    /** {@code cuMemAddressReserve}, of {@link Feature#VIRTUAL_MEMORY}. */
    int reserveAddresses(long[] address, long byteSize, long byteAlignment);

    /** {@code cuMemAddressFree}, of {@link Feature#VIRTUAL_MEMORY}. */
    int freeAddresses(long address, long byteSize);

    /** {@code cuMemCreate}, of {@link Feature#VIRTUAL_MEMORY}. */
    int createMemory(long[] handle, long byteSize, int device);

    /** {@code cuMemRelease}, of {@link Feature#VIRTUAL_MEMORY}. */
    int releaseMemory(long handle);

    /** {@code cuMemMap}, of {@link Feature#VIRTUAL_MEMORY}. */
    int mapMemory(long address, long byteSize, long handle);

    /** {@code cuMemUnmap}, of {@link Feature#VIRTUAL_MEMORY}. */
    int unmapMemory(long address, long byteSize);

    /** {@code cuMemSetAccess} to reading and writing by one device, of {@link Feature#VIRTUAL_MEMORY}. */
    int allowAccess(long address, long byteSize, int device);
}
