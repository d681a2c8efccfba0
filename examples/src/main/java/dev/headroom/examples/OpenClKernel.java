package dev.headroom.examples;

import dev.headroom.memory.BackendPreference;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.Selection;
import dev.headroom.memory.opencl.OpenClContext;
import dev.headroom.memory.opencl.OpenClMem;
import dev.headroom.memory.opencl.OpenClQueue;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.Sizeof;
import org.jocl.cl_kernel;
import org.jocl.cl_program;

/**
 * Runs a kernel on buffers of a pool: the kernel is plain JOCL, in the context the pool's memory lives in. Needs an OpenCL
 * device; a CPU with PoCL is one.
 */
final class OpenClKernel {

    private static final int COUNT = 1_000_000;
    private static final long BYTES = 4L * COUNT;

    private static final String SOURCE = """
            kernel void saxpy(float a, global const float *x, global float *y) {
                size_t i = get_global_id(0);
                y[i] = a * x[i] + y[i];
            }
            """;

    private OpenClKernel() {}

    public static void main(String[] args) {
        try (GpuMemory memory = GpuMemory.open()) {
            Selection selection = memory.explainSelection(2 * BYTES, BackendPreference.parse("opencl"));
            if (selection.chosen().isEmpty()) {
                System.out.println(selection.explain());
                return;
            }
            GpuMemoryPool pool = selection.pool();
            try (DeviceBuffer x = pool.allocate(BYTES);
                    DeviceBuffer y = pool.allocate(BYTES)) {
                x.write(0, floats(2));
                y.write(0, floats(1));
                saxpy(OpenClContext.of(pool), 20, x, y);
                float[] result = new float[COUNT];
                y.read(0, MemorySegment.ofArray(result)); // waits for the kernel, which usedOn has declared
                System.out.println("20 * 2 + 1 = " + result[0] + ", and the same in all places: " + isSame(result));
            }
        }
    }

    private static void saxpy(OpenClContext context, float a, DeviceBuffer x, DeviceBuffer y) {
        CL.setExceptionsEnabled(true); // JOCL checks no result of its own accord
        OpenClQueue queue = context.queue();
        cl_program program = CL.clCreateProgramWithSource(context.context(), 1, new String[] {SOURCE}, null, null);
        CL.clBuildProgram(program, 0, null, null, null, null);
        cl_kernel kernel = CL.clCreateKernel(program, "saxpy", null);
        try (OpenClMem from = OpenClMem.of(x);
                OpenClMem to = OpenClMem.of(y)) {
            CL.clSetKernelArg(kernel, 0, Sizeof.cl_float, Pointer.to(new float[] {a}));
            CL.clSetKernelArg(kernel, 1, Sizeof.cl_mem, Pointer.to(from.mem()));
            CL.clSetKernelArg(kernel, 2, Sizeof.cl_mem, Pointer.to(to.mem()));
            x.waitOn(queue); // the kernel waits for copies into the buffers
            y.waitOn(queue);
            CL.clEnqueueNDRangeKernel(queue.queue(), kernel, 1, null, new long[] {COUNT}, null, 0, null, null);
            x.usedOn(queue); // and later copies, reuse and close wait for the kernel
            y.usedOn(queue);
        } finally {
            CL.clReleaseKernel(kernel);
            CL.clReleaseProgram(program);
        }
    }

    private static MemorySegment floats(float value) {
        float[] values = new float[COUNT];
        Arrays.fill(values, value);
        return MemorySegment.ofArray(values);
    }

    private static boolean isSame(float[] values) {
        for (float value : values) {
            if (value != values[0]) {
                return false;
            }
        }
        return true;
    }
}
