package dev.headroom.memory.opencl;

import java.lang.foreign.MemorySegment;
import org.jocl.cl_command_queue;
import org.jocl.cl_context;
import org.jocl.cl_device_id;
import org.jocl.cl_event;
import org.jocl.cl_mem;
import org.jocl.cl_platform_id;
import org.jspecify.annotations.Nullable;

/**
 * The OpenCL calls this backend makes, one method each, so that a test can make any of them fail. Every method returns
 * the call's code or puts it into {@code code[0]}; what else it gives back means nothing unless that is {@link #SUCCESS}.
 * No method throws.
 */
interface ClApi {

    /** The code of a call that went well. */
    int SUCCESS = 0;

    /** {@code clGetPlatformIDs}: how many there are. */
    int countPlatforms(int[] count);

    /** {@code clGetPlatformIDs}: fills the array. */
    int getPlatforms(cl_platform_id[] platforms);

    /** {@code clGetDeviceIDs} of every type: how many there are. */
    int countDevices(cl_platform_id platform, int[] count);

    /** {@code clGetDeviceIDs} of every type: fills the array. */
    int getDevices(cl_platform_id platform, cl_device_id[] devices);

    /** {@code clGetDeviceInfo}; without a place for the value, its size only. */
    int getDeviceInfo(cl_device_id device, int name, byte @Nullable [] value, long[] byteSize);

    /** {@code clCreateContext}. */
    @Nullable
    cl_context createContext(cl_platform_id platform, cl_device_id device, int[] code);

    /** {@code clReleaseContext}. */
    int releaseContext(cl_context context);

    /** {@code clCreateCommandQueue}, in order. */
    @Nullable
    cl_command_queue createQueue(cl_context context, cl_device_id device, int[] code);

    /** {@code clReleaseCommandQueue}. */
    int releaseQueue(cl_command_queue queue);

    /** {@code clGetCommandQueueInfo} of {@code CL_QUEUE_CONTEXT}. */
    int getQueueContext(cl_command_queue queue, cl_context context);

    /** {@code clFlush}. */
    int flush(cl_command_queue queue);

    /** {@code clFinish}. */
    int finish(cl_command_queue queue);

    /** {@code clCreateBuffer}. */
    @Nullable
    cl_mem createBuffer(cl_context context, long flags, long byteSize, int[] code);

    /** {@code clCreateSubBuffer}. */
    @Nullable
    cl_mem createSubBuffer(cl_mem buffer, long byteOffset, long byteSize, int[] code);

    /** {@code clReleaseMemObject}. */
    int releaseBuffer(cl_mem buffer);

    /** {@code clEnqueueMigrateMemObjects} to the queue's device, contents undefined. */
    int migrate(cl_command_queue queue, cl_mem buffer, cl_event done);

    /** {@code clEnqueueCopyBuffer}. */
    int copy(
            cl_command_queue queue,
            cl_mem source,
            cl_mem target,
            long sourceOffset,
            long targetOffset,
            long byteSize,
            cl_event done);

    /** {@code clEnqueueFillBuffer}. */
    int fill(cl_command_queue queue, cl_mem buffer, byte[] pattern, long byteOffset, long byteSize, cl_event done);

    /** {@code clEnqueueWriteBuffer}, not blocking, without an event. */
    int write(cl_command_queue queue, cl_mem buffer, long byteOffset, MemorySegment source);

    /** {@code clEnqueueReadBuffer}, not blocking, without an event. */
    int read(cl_command_queue queue, cl_mem buffer, long byteOffset, MemorySegment target);

    /** {@code clEnqueueMapBuffer}, blocking. Returns the address. */
    long map(cl_command_queue queue, cl_mem buffer, long flags, long byteOffset, long byteSize, int[] code);

    /** {@code clEnqueueUnmapMemObject}, without an event. */
    int unmap(cl_command_queue queue, cl_mem buffer, long address);

    /** {@code clEnqueueMarkerWithWaitList} behind everything in the queue. */
    int marker(cl_command_queue queue, cl_event done);

    /** {@code clEnqueueBarrierWithWaitList} behind events, none of which may be missing. */
    int barrier(cl_command_queue queue, cl_event[] events, cl_event done);

    /** {@code clGetEventInfo} of {@code CL_EVENT_COMMAND_EXECUTION_STATUS}. */
    int getEventStatus(cl_event event, int[] status);

    /** {@code clReleaseEvent}. */
    int releaseEvent(cl_event event);
}
