package dev.headroom.examples.matmul;

import static dev.headroom.examples.matmul.KernelSource.TILE;
import static dev.headroom.examples.matmul.KernelSource.tiles;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.opencl.OpenClContext;
import dev.headroom.memory.opencl.OpenClMem;
import dev.headroom.memory.opencl.OpenClQueue;
import java.nio.charset.StandardCharsets;
import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.Sizeof;
import org.jocl.cl_device_id;
import org.jocl.cl_kernel;
import org.jocl.cl_mem;
import org.jocl.cl_program;

/** The kernel through JOCL, in the context the pool's memory lives in. */
final class OpenClMatmul implements MatmulKernels {

    private final OpenClQueue queue;
    private final cl_program program;
    private final cl_kernel kernel; // guarded by this: arguments and launch belong together

    private OpenClMatmul(OpenClQueue queue, cl_program program, cl_kernel kernel) {
        this.queue = queue;
        this.program = program;
        this.kernel = kernel;
    }

    /** Compiles the kernel for the device of an OpenCL pool. */
    static OpenClMatmul of(GpuMemoryPool pool) {
        OpenClContext context = OpenClContext.of(pool);
        int[] code = new int[1];
        String[] source = {KernelSource.read("matmul.cl")};
        cl_program program = CL.clCreateProgramWithSource(context.context(), 1, source, null, code);
        check("clCreateProgramWithSource", code[0]);
        if (CL.clBuildProgram(program, 0, null, null, null, null) != CL.CL_SUCCESS) {
            String log = buildLog(program, context.device());
            CL.clReleaseProgram(program);
            throw new KernelFailedException("matmul.cl does not compile: " + log);
        }
        cl_kernel kernel = CL.clCreateKernel(program, "matmul", code);
        check("clCreateKernel", code[0]);
        return new OpenClMatmul(context.queue(), program, kernel);
    }

    @Override
    public synchronized QueueFence launch(MatmulShape shape, DeviceBuffer a, DeviceBuffer b, DeviceBuffer c) {
        try (OpenClMem memOfA = OpenClMem.of(a);
                OpenClMem memOfB = OpenClMem.of(b);
                OpenClMem memOfC = OpenClMem.of(c)) {
            set(0, shape.m());
            set(1, shape.k());
            set(2, shape.n());
            set(3, memOfA.mem());
            set(4, memOfB.mem());
            set(5, memOfC.mem());
            a.waitOn(queue); // the kernel waits for our copies
            b.waitOn(queue);
            c.waitOn(queue);
            long[] items = {(long) tiles(shape.n()) * TILE, (long) tiles(shape.m()) * TILE};
            long[] group = {TILE, TILE};
            check(
                    "clEnqueueNDRangeKernel",
                    CL.clEnqueueNDRangeKernel(queue.queue(), kernel, 2, null, items, group, 0, null, null));
            a.usedOn(queue); // and later copies, reuse and close wait for the kernel
            b.usedOn(queue);
            return c.usedOn(queue);
        }
    }

    private void set(int argument, int value) {
        check("clSetKernelArg", CL.clSetKernelArg(kernel, argument, Sizeof.cl_int, Pointer.to(new int[] {value})));
    }

    private void set(int argument, cl_mem value) {
        check("clSetKernelArg", CL.clSetKernelArg(kernel, argument, Sizeof.cl_mem, Pointer.to(value)));
    }

    private static String buildLog(cl_program program, cl_device_id device) {
        long[] size = new long[1];
        CL.clGetProgramBuildInfo(program, device, CL.CL_PROGRAM_BUILD_LOG, 0, null, size);
        byte[] log = new byte[(int) size[0]];
        CL.clGetProgramBuildInfo(program, device, CL.CL_PROGRAM_BUILD_LOG, log.length, Pointer.to(log), null);
        return new String(log, StandardCharsets.UTF_8).strip();
    }

    private static void check(String call, int code) {
        if (code != CL.CL_SUCCESS) {
            throw new KernelFailedException(call + ": " + CL.stringFor_errorCode(code));
        }
    }

    /** OpenCL keeps what queued launches still need. */
    @Override
    public synchronized void close() {
        CL.clReleaseKernel(kernel);
        CL.clReleaseProgram(program);
    }
}
