package dev.headroom.memory.cuda;

import static jcuda.driver.JCudaDriver.cuCtxPopCurrent;
import static jcuda.driver.JCudaDriver.cuCtxPushCurrent;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoD;
import static jcuda.driver.JCudaDriver.cuMemsetD8Async;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.QueueFence;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Buffers, streams and contexts as a program with kernels uses them, and what is refused before it reaches CUDA. */
class NativeViewsTest {

    private static final Duration PATIENCE = Duration.ofSeconds(30);

    @RegisterExtension
    final CleanDriver clean = new CleanDriver();

    private CudaDouble machine;
    private GpuMemory memory;
    private GpuMemoryPool pool;

    @BeforeEach
    void open() {
        machine = CudaDouble.machine(1024, 1024);
        memory = GpuMemory.builder()
                .backend(new CudaBackend())
                .backend(SimulatedBackend.host(1L << 30))
                .open();
        pool = memory.pool(memory.devices().getFirst());
    }

    @AfterEach
    void close() {
        memory.close();
    }

    private void inContext(Runnable calls) {
        assertThat(cuCtxPushCurrent(CudaContext.of(pool).context())).isZero();
        try {
            calls.run();
        } finally {
            assertThat(cuCtxPopCurrent(new CUcontext())).isZero();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"DEVICE", "UPLOAD", "READBACK"})
    void a_program_writes_through_the_pointer(MemoryKind kind) {
        try (DeviceBuffer padding = pool.allocate(AllocationRequest.of(300).ofKind(kind));
                DeviceBuffer buffer = pool.allocate(AllocationRequest.of(64).ofKind(kind));
                CudaPointer view = CudaPointer.of(buffer)) {
            assertThat(padding.byteSize()).isEqualTo(300);
            assertThat(view.byteSize()).isEqualTo(64);
            inContext(() -> assertThat(cuMemcpyHtoD(view.pointer(), Pointer.to(new long[] {11, 22}), 16))
                    .isZero());
            MemorySegment back = MemorySegment.ofArray(new long[2]);
            buffer.read(0, back);
            assertThat(back.toArray(ValueLayout.JAVA_LONG)).containsExactly(11, 22);
        }
    }

    /** How an argument of a kernel is given: a pointer to the pointer. */
    @Test
    void a_kernel_sees_the_address() {
        try (DeviceBuffer buffer = pool.allocate(5000);
                DeviceBuffer arguments = pool.allocate(8);
                CudaPointer view = CudaPointer.of(buffer);
                CudaPointer target = CudaPointer.of(arguments)) {
            inContext(() -> assertThat(cuMemcpyHtoD(target.pointer(), Pointer.to(view.pointer()), 8))
                    .isZero());
            MemorySegment back = MemorySegment.ofArray(new long[1]);
            arguments.read(0, back);
            assertThat(back.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(view.address());
        }
    }

    @Test
    void a_mapped_buffer_and_its_pointer_are_the_same_memory() {
        try (DeviceBuffer buffer = pool.allocate(AllocationRequest.of(4096).ofKind(MemoryKind.READBACK));
                CudaPointer view = CudaPointer.of(buffer);
                HostView mapped = buffer.map()) {
            assertThat(mapped.segment().address()).isEqualTo(view.address());
        }
    }

    @Test
    void an_open_view_keeps_the_buffer_where_it_is() {
        DeviceBuffer buffer = pool.allocate(4096);
        CudaPointer view = CudaPointer.of(buffer);
        buffer.close();
        DeviceBuffer next = pool.allocate(4096);
        try (CudaPointer other = CudaPointer.of(next)) {
            assertThat(other.address()).isNotEqualTo(view.address());
        }
        view.close();
        view.close();
        next.close();
        assertThatThrownBy(view::pointer)
                .isInstanceOf(BufferClosedException.class)
                .hasMessageContaining("the CUDA view of Buffer#")
                .hasMessageContaining("was used after it was closed");
        assertThatThrownBy(() -> CudaPointer.of(buffer)).isInstanceOf(BufferClosedException.class);
    }

    @Test
    void work_in_a_users_stream_comes_between_ours() {
        machine.work(Work.HELD, 0);
        CudaContext context = CudaContext.of(pool);
        try (UserStream theirs = new UserStream(context.context());
                DeviceBuffer buffer = pool.allocate(1000)) {
            CompletableFuture<Void> written = buffer.writeAsync(0, MemorySegment.ofArray(new byte[1000]));
            CompletableFuture<Void> readBack;
            byte[] result = new byte[1000];
            MemorySegment landed = Arena.ofAuto().allocate(1000);
            QueueFence fence;
            try (CudaPointer view = CudaPointer.of(buffer)) {
                buffer.waitOn(theirs.queue());
                inContext(() -> assertThat(cuMemsetD8Async(view.pointer(), (byte) 7, 500, theirs.queue().stream()))
                        .isZero());
                fence = buffer.usedOn(theirs.queue());
                readBack = buffer.readAsync(0, landed);
            }
            assertThat(fence.isDone()).isFalse();
            assertThat(readBack).isNotDone();
            machine.work(Work.AT_ONCE, 0);
            while (machine.step(1000) > 0) {
                // Until nothing is left.
            }
            assertThat(fence.await(PATIENCE)).isTrue();
            assertThat(written).succeedsWithin(PATIENCE);
            assertThat(readBack).succeedsWithin(PATIENCE);
            MemorySegment.copy(landed, ValueLayout.JAVA_BYTE, 0, result, 0, 1000);
            for (int i = 0; i < 1000; i++) {
                assertThat(result[i]).as("byte " + i).isEqualTo((byte) (i < 500 ? 7 : 0));
            }
        }
    }

    @Test
    void the_default_stream_is_a_stream_too() {
        CudaStream stream = CudaStream.of(new CUstream());
        assertThat(stream.backend()).isEqualTo("cuda");
        try (DeviceBuffer buffer = pool.allocate(64)) {
            buffer.fill(0, 64, (byte) 1);
            buffer.waitOn(stream);
            assertThat(buffer.usedOn(stream).await(PATIENCE)).isTrue();
        }
    }

    @Test
    @SuppressWarnings("deprecation")
    void a_stream_of_another_context_is_refused() {
        GpuMemoryPool elsewhere = memory.pool(memory.devices().get(1));
        try (UserStream theirs = new UserStream(CudaContext.of(elsewhere).context());
                DeviceBuffer buffer = pool.allocate(64)) {
            assertThatThrownBy(() -> buffer.usedOn(theirs.queue()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageStartingWith("the stream belongs to another CUDA context than cuda:0")
                    .hasMessageEndingWith("create it while CudaContext.of(pool).context() is current");
        }
    }

    @Test
    void what_belongs_to_others_is_refused() {
        GpuDevice host = memory.devices().getLast();
        GpuMemoryPool elsewhere = memory.pool(host);
        try (DeviceBuffer buffer = elsewhere.allocate(64)) {
            assertThatThrownBy(() -> CudaPointer.of(buffer))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageEndingWith("is not a buffer of a CUDA pool");
        }
        assertThatThrownBy(() -> CudaContext.of(elsewhere))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("the pool on " + host + " is not a CUDA pool");
    }

    @Test
    void a_closed_pool_has_no_context() {
        memory.close();
        assertThatThrownBy(() -> CudaContext.of(pool)).isInstanceOf(BufferClosedException.class);
    }

    @Test
    void the_context_is_that_of_the_device() {
        CudaContext first = CudaContext.of(pool);
        CudaContext second = CudaContext.of(memory.pool(memory.devices().get(1)));
        assertThat(first.context()).isNotEqualTo(second.context());
        assertThat(first.device()).isNotEqualTo(second.device());
    }

    /** What the program has made current stays so, whatever Headroom does. */
    @Test
    void the_programs_own_context_stays_current() {
        CUcontext others = CudaContext.of(memory.pool(memory.devices().get(1))).context();
        assertThat(cuCtxPushCurrent(others)).isZero();
        try (DeviceBuffer buffer = pool.allocate(100_000)) {
            buffer.fill(0, 100_000, (byte) 1);
            buffer.read(0, MemorySegment.ofArray(new byte[100_000]));
            CUcontext now = new CUcontext();
            assertThat(JCudaDriver.cuCtxGetCurrent(now)).isZero();
            assertThat(now).isEqualTo(others);
        } finally {
            assertThat(cuCtxPopCurrent(new CUcontext())).isZero();
        }
        CUcontext none = new CUcontext();
        assertThat(JCudaDriver.cuCtxGetCurrent(none)).isZero();
        assertThat(none).isEqualTo(new CUcontext());
    }

    /** A program may have told JCuda to throw; our own calls must not notice. */
    @Test
    void exceptions_of_jcuda_do_not_get_through() throws Exception {
        machine.work(Work.BY_WORKER, 1_000_000);
        JCudaDriver.setExceptionsEnabled(true);
        try (DeviceBuffer buffer = pool.allocate(4096)) {
            CudaApi real = CudaLibrary.ofSystem().load();
            machine.failAt("cuDeviceGetCount", 1, 719, CudaDouble.Lasting.ONCE);
            assertThat(real.deviceCount(new int[1])).isEqualTo(719);
            assertThat(real.deviceCount(new int[1])).isZero();
            assertThat(buffer.writeAsync(0, MemorySegment.ofArray(new byte[4096])))
                    .succeedsWithin(PATIENCE);
        } finally {
            JCudaDriver.setExceptionsEnabled(false);
        }
    }
}
