package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.jocl.CL.clBuildProgram;
import static org.jocl.CL.clCreateCommandQueue;
import static org.jocl.CL.clCreateContext;
import static org.jocl.CL.clCreateKernel;
import static org.jocl.CL.clCreateProgramWithSource;
import static org.jocl.CL.clEnqueueNDRangeKernel;
import static org.jocl.CL.clReleaseCommandQueue;
import static org.jocl.CL.clReleaseContext;
import static org.jocl.CL.clReleaseKernel;
import static org.jocl.CL.clReleaseProgram;
import static org.jocl.CL.clSetKernelArg;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.Sizeof;
import org.jocl.cl_command_queue;
import org.jocl.cl_context;
import org.jocl.cl_device_id;
import org.jocl.cl_kernel;
import org.jocl.cl_mem;
import org.jocl.cl_program;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Kernels on pooled buffers, and what is refused before it reaches OpenCL. */
class NativeViewsTest {

    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final int COUNT = 100_000;
    private static final String SCALE = """
            kernel void scale(global const int *from, global int *to, int factor) {
                size_t i = get_global_id(0);
                to[i] = from[i] * factor;
            }
            """;

    private ScriptedCl cl;
    private GpuMemory memory;
    private GpuMemoryPool pool;

    @BeforeEach
    void open() {
        cl = ScriptedCl.overReal();
        open(cl);
    }

    private void open(ScriptedCl over) {
        memory = GpuMemory.builder()
                .backend(over.backend())
                .backend(SimulatedBackend.host(1L << 30))
                .open();
        pool = memory.pool(memory.devices().getFirst());
    }

    @AfterEach
    void close() {
        memory.close();
        assertThat(cl.faults()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    @SuppressWarnings("deprecation")
    void a_kernel_runs_on_pooled_buffers(boolean ownQueue) {
        OpenClContext context = OpenClContext.of(pool);
        cl_command_queue handle =
                ownQueue ? clCreateCommandQueue(context.context(), context.device(), 0, null) : context.commandQueue();
        OpenClQueue queue = OpenClQueue.of(handle);
        cl_program program = clCreateProgramWithSource(context.context(), 1, new String[] {SCALE}, null, null);
        assertThat(clBuildProgram(program, 0, null, null, null, null)).isZero();
        cl_kernel kernel = clCreateKernel(program, "scale", null);
        try (Arena arena = Arena.ofShared();
                DeviceBuffer padding = pool.allocate(1);
                DeviceBuffer from = pool.allocate(4L * COUNT);
                DeviceBuffer to = pool.allocate(4L * COUNT)) {
            padding.fill(0, 1, (byte) 1);
            MemorySegment numbers = arena.allocate(ValueLayout.JAVA_INT, COUNT);
            for (int i = 0; i < COUNT; i++) {
                numbers.setAtIndex(ValueLayout.JAVA_INT, i, i);
            }
            from.writeAsync(0, numbers);
            for (int factor = 2; factor < 5; factor++) {
                QueueFence fence = launch(kernel, queue, from, to, factor);
                assertThat(fence.await(PATIENCE)).isTrue();
                MemorySegment result = arena.allocate(4L * COUNT);
                to.read(0, result);
                for (int i = 0; i < COUNT; i += 997) {
                    assertThat(result.getAtIndex(ValueLayout.JAVA_INT, i)).isEqualTo(i * factor);
                }
            }
        } finally {
            clReleaseKernel(kernel);
            clReleaseProgram(program);
            if (ownQueue) {
                clReleaseCommandQueue(handle);
            }
        }
    }

    private static QueueFence launch(
            cl_kernel kernel, OpenClQueue queue, DeviceBuffer from, DeviceBuffer to, int factor) {
        try (OpenClMem source = OpenClMem.of(from);
                OpenClMem target = OpenClMem.of(to)) {
            clSetKernelArg(kernel, 0, Sizeof.cl_mem, Pointer.to(source.mem()));
            clSetKernelArg(kernel, 1, Sizeof.cl_mem, Pointer.to(target.mem()));
            clSetKernelArg(kernel, 2, Sizeof.cl_int, Pointer.to(new int[] {factor}));
            from.waitOn(queue);
            to.waitOn(queue);
            clEnqueueNDRangeKernel(queue.queue(), kernel, 1, null, new long[] {COUNT}, null, 0, null, null);
            from.usedOn(queue);
            return to.usedOn(queue);
        }
    }

    @Test
    void a_view_is_made_when_asked_for_and_released_once() {
        try (DeviceBuffer buffer = pool.allocate(1000)) {
            OpenClMem.of(buffer).close();
            assertThat(cl.calls("createSubBuffer")).isZero();
            OpenClMem view = OpenClMem.of(buffer);
            assertThat(view.byteSize()).isEqualTo(1000);
            cl_mem mem = view.mem();
            assertThat(view.mem()).isSameAs(mem);
            assertThat(cl.calls("createSubBuffer")).isEqualTo(1);
            int before = cl.calls("releaseBuffer");
            view.close();
            view.close();
            assertThat(cl.calls("releaseBuffer")).isEqualTo(before + 1);
            assertThatThrownBy(view::mem)
                    .isInstanceOf(BufferClosedException.class)
                    .hasMessageContaining("the OpenCL view of Buffer#")
                    .hasMessageContaining("was used after it was closed");
        }
    }

    @Test
    void an_open_view_keeps_the_buffer_where_it_is() {
        DeviceBuffer buffer = pool.allocate(4096);
        OpenClMem view = OpenClMem.of(buffer);
        buffer.close();
        DeviceBuffer next = pool.allocate(4096);
        try (OpenClMem other = OpenClMem.of(next)) {
            assertThat(view.mem()).isNotEqualTo(other.mem());
        }
        view.close();
        next.close();
        assertThatThrownBy(() -> OpenClMem.of(buffer)).isInstanceOf(BufferClosedException.class);
    }

    /** Whatever the device wants: where a sub-buffer may begin, a buffer begins. */
    @ParameterizedTest
    @ValueSource(ints = {128, 512, 4096, 65_536})
    void every_buffer_can_be_seen_through_a_view(int alignment) {
        memory.close();
        cl.property(CL.CL_DEVICE_MEM_BASE_ADDR_ALIGN, 8L * alignment);
        open(cl);
        List<DeviceBuffer> live = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            DeviceBuffer buffer =
                    pool.allocate(AllocationRequest.of(1 + 377L * i).aligned(1L << i % 10));
            live.add(buffer);
            try (OpenClMem view = OpenClMem.of(buffer)) {
                assertThat(view.mem()).isNotNull();
            }
        }
        assertThat(cl.subBufferOffsets()).hasSize(40).allMatch(offset -> offset % alignment == 0);
        live.forEach(DeviceBuffer::close);
    }

    @Test
    void what_belongs_to_others_is_refused() {
        GpuDevice host = memory.devices().getLast();
        GpuMemoryPool elsewhere = memory.pool(host);
        try (DeviceBuffer buffer = elsewhere.allocate(64)) {
            assertThatThrownBy(() -> OpenClMem.of(buffer))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageEndingWith("is not a buffer of an OpenCL pool");
        }
        assertThatThrownBy(() -> OpenClContext.of(elsewhere))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("the pool on " + host + " is not an OpenCL pool");
    }

    @Test
    @SuppressWarnings("deprecation")
    void a_queue_of_another_context_is_refused() {
        OpenClContext context = OpenClContext.of(pool);
        cl_context other = clCreateContext(null, 1, new cl_device_id[] {context.device()}, null, null, null);
        cl_command_queue queue = clCreateCommandQueue(other, context.device(), 0, null);
        try (DeviceBuffer buffer = pool.allocate(64)) {
            assertThatThrownBy(() -> buffer.usedOn(OpenClQueue.of(queue)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageEndingWith("create it in OpenClContext.of(pool).context()");
        } finally {
            clReleaseCommandQueue(queue);
            clReleaseContext(other);
        }
    }

    @Test
    void a_closed_pool_has_no_context() {
        memory.close();
        assertThatThrownBy(() -> OpenClContext.of(pool)).isInstanceOf(BufferClosedException.class);
    }

    /** A program may have told JOCL to throw; our own calls must not notice. */
    @Test
    void exceptions_of_jocl_do_not_get_through() throws Exception {
        ClApi real = ScriptedCl.realOrSkip();
        ClDevice device = ClDevices.list(real).getFirst();
        CL.setExceptionsEnabled(true);
        try {
            int[] code = new int[1];
            cl_context context = real.createContext(device.platform(), device.id(), code);
            assertThat(real.createBuffer(context, 0, -1, code)).isNull();
            assertThat(code[0]).isEqualTo(-61);
            assertThat(real.getDeviceInfo(device.id(), 0x7FFF, null, new long[1]))
                    .isEqualTo(-30);
            assertThat(real.releaseContext(context)).isZero();
        } finally {
            CL.setExceptionsEnabled(false);
        }
    }
}
