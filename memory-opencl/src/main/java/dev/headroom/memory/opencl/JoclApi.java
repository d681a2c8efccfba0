package dev.headroom.memory.opencl;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.function.IntSupplier;
import java.util.function.Supplier;
import org.jocl.CL;
import org.jocl.CLException;
import org.jocl.Pointer;
import org.jocl.Sizeof;
import org.jocl.cl_buffer_region;
import org.jocl.cl_command_queue;
import org.jocl.cl_context;
import org.jocl.cl_context_properties;
import org.jocl.cl_device_id;
import org.jocl.cl_event;
import org.jocl.cl_mem;
import org.jocl.cl_platform_id;
import org.jspecify.annotations.Nullable;

/**
 * The calls as JOCL makes them; those that name host memory go through {@link HostTransfers}.
 *
 * <p>A program may have told JOCL to throw instead of returning codes. That setting is the whole process's, so it is left
 * as it is, and what is thrown is turned back into its code.
 */
final class JoclApi implements ClApi {

    private final SymbolLookup loader;
    private volatile @Nullable HostTransfers transfers;

    /**
     * Takes the calls of a loader.
     *
     * @throws java.util.NoSuchElementException if the loader lacks one
     */
    JoclApi(SymbolLookup loader) {
        this.loader = loader;
        HostTransfers.require(loader);
    }

    @Override
    public int countPlatforms(int[] count) {
        return code(() -> CL.clGetPlatformIDs(0, null, count));
    }

    @Override
    public int getPlatforms(cl_platform_id[] platforms) {
        return code(() -> CL.clGetPlatformIDs(platforms.length, platforms, null));
    }

    @Override
    public int countDevices(cl_platform_id platform, int[] count) {
        return code(() -> CL.clGetDeviceIDs(platform, CL.CL_DEVICE_TYPE_ALL, 0, null, count));
    }

    @Override
    public int getDevices(cl_platform_id platform, cl_device_id[] devices) {
        return code(() -> CL.clGetDeviceIDs(platform, CL.CL_DEVICE_TYPE_ALL, devices.length, devices, null));
    }

    @Override
    public int getDeviceInfo(cl_device_id device, int name, byte @Nullable [] value, long[] byteSize) {
        return code(() -> CL.clGetDeviceInfo(device, name, length(value), pointer(value), byteSize));
    }

    @Override
    public @Nullable cl_context createContext(cl_platform_id platform, cl_device_id device, int[] code) {
        cl_context_properties properties = new cl_context_properties();
        properties.addProperty(CL.CL_CONTEXT_PLATFORM, platform);
        return made(code, () -> CL.clCreateContext(properties, 1, new cl_device_id[] {device}, null, null, code));
    }

    @Override
    public int releaseContext(cl_context context) {
        return code(() -> CL.clReleaseContext(context));
    }

    @Override
    @SuppressWarnings("deprecation") // its successor is missing in OpenCL 1.2, which is what many GPUs offer
    public @Nullable cl_command_queue createQueue(cl_context context, cl_device_id device, int[] code) {
        return made(code, () -> CL.clCreateCommandQueue(context, device, 0, code));
    }

    @Override
    public int releaseQueue(cl_command_queue queue) {
        return code(() -> CL.clReleaseCommandQueue(queue));
    }

    @Override
    public int getQueueContext(cl_command_queue queue, cl_context context) {
        return code(() ->
                CL.clGetCommandQueueInfo(queue, CL.CL_QUEUE_CONTEXT, Sizeof.cl_context, Pointer.to(context), null));
    }

    @Override
    public int flush(cl_command_queue queue) {
        return code(() -> CL.clFlush(queue));
    }

    @Override
    public int finish(cl_command_queue queue) {
        return code(() -> CL.clFinish(queue));
    }

    @Override
    public @Nullable cl_mem createBuffer(cl_context context, long flags, long byteSize, int[] code) {
        return made(code, () -> CL.clCreateBuffer(context, flags, byteSize, null, code));
    }

    @Override
    public @Nullable cl_mem createSubBuffer(cl_mem buffer, long byteOffset, long byteSize, int[] code) {
        cl_buffer_region region = new cl_buffer_region(byteOffset, byteSize);
        // Flags of 0: those of the buffer.
        return made(code, () -> CL.clCreateSubBuffer(buffer, 0, CL.CL_BUFFER_CREATE_TYPE_REGION, region, code));
    }

    @Override
    public int releaseBuffer(cl_mem buffer) {
        return code(() -> CL.clReleaseMemObject(buffer));
    }

    @Override
    public int migrate(cl_command_queue queue, cl_mem buffer, cl_event done) {
        return code(() -> CL.clEnqueueMigrateMemObjects(
                queue, 1, new cl_mem[] {buffer}, CL.CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, null, done));
    }

    @Override
    public int copy(
            cl_command_queue queue,
            cl_mem source,
            cl_mem target,
            long sourceOffset,
            long targetOffset,
            long byteSize,
            cl_event done) {
        return code(() ->
                CL.clEnqueueCopyBuffer(queue, source, target, sourceOffset, targetOffset, byteSize, 0, null, done));
    }

    @Override
    public int fill(
            cl_command_queue queue, cl_mem buffer, byte[] pattern, long byteOffset, long byteSize, cl_event done) {
        return code(() -> CL.clEnqueueFillBuffer(
                queue, buffer, Pointer.to(pattern), pattern.length, byteOffset, byteSize, 0, null, done));
    }

    @Override
    public int write(cl_command_queue queue, cl_mem buffer, long byteOffset, MemorySegment source) {
        return host().write(queue.getNativePointer(), buffer.getNativePointer(), byteOffset, source);
    }

    @Override
    public int read(cl_command_queue queue, cl_mem buffer, long byteOffset, MemorySegment target) {
        return host().read(queue.getNativePointer(), buffer.getNativePointer(), byteOffset, target);
    }

    @Override
    public long map(cl_command_queue queue, cl_mem buffer, long flags, long byteOffset, long byteSize, int[] code) {
        return host().map(queue.getNativePointer(), buffer.getNativePointer(), flags, byteOffset, byteSize, code);
    }

    @Override
    public int unmap(cl_command_queue queue, cl_mem buffer, long address) {
        return host().unmap(queue.getNativePointer(), buffer.getNativePointer(), address);
    }

    @Override
    public int marker(cl_command_queue queue, cl_event done) {
        return code(() -> CL.clEnqueueMarkerWithWaitList(queue, 0, null, done));
    }

    @Override
    public int barrier(cl_command_queue queue, cl_event[] events, cl_event done) {
        return code(() -> CL.clEnqueueBarrierWithWaitList(queue, events.length, events, done));
    }

    @Override
    public int getEventStatus(cl_event event, int[] status) {
        return code(() -> CL.clGetEventInfo(
                event, CL.CL_EVENT_COMMAND_EXECUTION_STATUS, Sizeof.cl_int, Pointer.to(status), null));
    }

    @Override
    public int releaseEvent(cl_event event) {
        return code(() -> CL.clReleaseEvent(event));
    }

    private HostTransfers host() {
        HostTransfers linked = transfers;
        if (linked == null) {
            linked = new HostTransfers(loader); // by two threads at worst
            transfers = linked;
        }
        return linked;
    }

    private static int code(IntSupplier call) {
        try {
            return call.getAsInt();
        } catch (CLException thrown) {
            return thrown.getStatus();
        }
    }

    private static <T> @Nullable T made(int[] code, Supplier<@Nullable T> call) {
        try {
            return call.get();
        } catch (CLException thrown) {
            code[0] = thrown.getStatus();
            return null;
        }
    }

    private static long length(byte @Nullable [] value) {
        return value == null ? 0 : value.length;
    }

    private static @Nullable Pointer pointer(byte @Nullable [] value) {
        return value == null ? null : Pointer.to(value);
    }
}
