package dev.headroom.memory.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.cuda.CudaDouble.Lasting;
import dev.headroom.memory.cuda.CudaDouble.Property;
import dev.headroom.memory.cuda.CudaDouble.Work;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the double does when it is asked properly, and what tests can make it do. */
class DoubleBehaviourTest {

    private static final long MIB = 1 << 20;

    private final Arena arena = Arena.ofConfined();
    private CudaDouble cuda;
    private long context;

    @BeforeEach
    void oneDevice() {
        cuda = CudaDouble.machine(64);
        cuda.call("cuInit", 0);
        context = out("cuDevicePrimaryCtxRetain", 0);
        cuda.call("cuCtxSetCurrent", context);
    }

    @AfterEach
    void close() {
        arena.close();
        if (cuda != null) {
            CudaDouble.empty();
        }
    }

    private long out(String name, Object... arguments) {
        MemorySegment slot = arena.allocate(JAVA_LONG);
        Object[] all = Stream.concat(Stream.of(slot), Stream.of(arguments)).toArray();
        assertThat(cuda.call(name, all)).as(name).isZero();
        return slot.get(JAVA_LONG, 0);
    }

    private long outLast(String name, Object... arguments) {
        MemorySegment slot = arena.allocate(JAVA_LONG);
        Object[] all = Stream.concat(Stream.of(arguments), Stream.of(slot)).toArray();
        assertThat(cuda.call(name, all)).as(name).isZero();
        return slot.get(JAVA_LONG, 0);
    }

    private MemorySegment bytes(int size, int value) {
        return arena.allocate(size).fill((byte) value);
    }

    @Test
    @SuppressWarnings("restricted")
    void is_found_by_its_name() {
        for (String name : new String[] {"libcuda.so.1", "libnvidia-ml.so.1"}) {
            SymbolLookup found = SymbolLookup.libraryLookup(name, arena);
            String symbol = name.startsWith("libcuda") ? "cuInit" : "nvmlInit_v2";
            assertThat(found.find(symbol)).isEqualTo(cuda.library().find(symbol));
        }
    }

    @Test
    void copies_for_real() {
        long a = out("cuMemAlloc_v2", 3 * MIB);
        long b = out("cuMemAlloc_v2", 3 * MIB);
        MemorySegment source = bytes((int) (3 * MIB), 7);
        MemorySegment target = bytes((int) (3 * MIB), 0);
        assertThat(cuda.call("cuMemcpyHtoD_v2", a, source, 3 * MIB)).isZero();
        assertThat(cuda.call("cuMemcpyDtoD_v2", b, a, 3 * MIB)).isZero();
        assertThat(cuda.call("cuMemsetD32_v2", b + 4, 0x04030201, 1L)).isZero();
        assertThat(cuda.call("cuMemcpyDtoH_v2", target, b, 3 * MIB)).isZero();
        assertThat(target.get(JAVA_INT, 4)).isEqualTo(0x04030201);
        assertThat(target.asSlice(8).mismatch(source.asSlice(8))).isEqualTo(-1);
    }

    @Test
    void new_memory_holds_no_zeros() {
        long memory = out("cuMemAlloc_v2", 4096L);
        MemorySegment target = bytes(4096, 0);
        cuda.call("cuMemcpyDtoH_v2", target, memory, 4096L);
        assertThat(target.get(JAVA_BYTE, 100)).isNotZero();
    }

    @Test
    @SuppressWarnings("restricted")
    void held_work_is_done_in_order_and_only_when_told() {
        cuda.work(Work.HELD, 0);
        long stream = out("cuStreamCreate", 1);
        long other = out("cuStreamCreate", 1);
        long event = out("cuEventCreate", 2);
        long memory = out("cuMemAlloc_v2", 16L);
        long pinned = out("cuMemHostAlloc", 16L, 0);
        MemorySegment view = MemorySegment.ofAddress(pinned).reinterpret(16).fill((byte) 0);
        cuda.call("cuMemsetD8Async", memory, 5, 16L, stream);
        cuda.call("cuEventRecord", event, stream);
        cuda.call("cuStreamWaitEvent", other, event, 0);
        cuda.call("cuMemcpyDtoHAsync_v2", pinned, memory, 16L, other);
        assertThat(cuda.call("cuEventQuery", event)).isEqualTo(600);
        assertThat(view.get(JAVA_BYTE, 0)).isZero();
        assertThat(cuda.step(1)).isEqualTo(1);
        assertThat(cuda.call("cuEventQuery", event)).isEqualTo(600);
        assertThat(cuda.step(9)).isEqualTo(3);
        assertThat(cuda.call("cuEventQuery", event)).isZero();
        assertThat(cuda.call("cuStreamQuery", other)).isZero();
        assertThat(view.get(JAVA_BYTE, 15)).isEqualTo((byte) 5);
    }

    @Test
    void a_worker_does_work_beside_us() {
        cuda.work(Work.BY_WORKER, 100_000);
        long stream = out("cuStreamCreate", 1);
        long memory = out("cuMemAlloc_v2", MIB);
        for (int i = 0; i < 10; i++) {
            assertThat(cuda.call("cuMemsetD8Async", memory, i, MIB, stream)).isZero();
        }
        assertThat(cuda.call("cuStreamSynchronize", stream)).isZero();
        MemorySegment target = bytes(1, 0);
        cuda.call("cuMemcpyDtoH_v2", target, memory + MIB - 1, 1L);
        assertThat(target.get(JAVA_BYTE, 0)).isEqualTo((byte) 9);
    }

    /** The thread must not sleep for what waits for an event while something else comes due. */
    @Test
    @Timeout(30)
    void a_worker_does_what_is_due_while_a_stream_waits() {
        cuda.work(Work.BY_WORKER, 2_000_000);
        long first = out("cuStreamCreate", 1);
        long second = out("cuStreamCreate", 1);
        long event = out("cuEventCreate", 2);
        long memory = out("cuMemAlloc_v2", 16L);
        for (int i = 0; i < 5; i++) {
            cuda.call("cuMemsetD8Async", memory, i, 16L, first);
        }
        cuda.call("cuEventRecord", event, first);
        assertThat(cuda.call("cuStreamWaitEvent", second, event, 0)).isZero();
        assertThat(cuda.call("cuStreamSynchronize", second)).isZero();
        assertThat(cuda.call("cuStreamQuery", first)).isZero();
    }

    @Test
    void pageable_memory_is_read_before_the_call_returns() {
        cuda.work(Work.HELD, 0);
        long stream = out("cuStreamCreate", 1);
        long memory = out("cuMemAlloc_v2", 16L);
        MemorySegment source = bytes(16, 3);
        cuda.call("cuMemcpyHtoDAsync_v2", memory, source, 16L, stream);
        source.fill((byte) 0);
        cuda.step(1);
        MemorySegment target = bytes(16, 0);
        cuda.call("cuMemcpyDtoH_v2", target, memory, 16L);
        assertThat(target.get(JAVA_BYTE, 0)).isEqualTo((byte) 3);
    }

    @Test
    void calls_fail_as_planned() {
        cuda.failAt("cuMemAlloc*", 2, 2, Lasting.ONCE);
        assertThat(cuda.call("cuMemAlloc_v2", arena.allocate(8), 16L)).isZero();
        assertThat(cuda.call("cuMemAlloc_v2", arena.allocate(8), 16L)).isEqualTo(2);
        assertThat(cuda.call("cuMemAlloc_v2", arena.allocate(8), 16L)).isZero();
        assertThat(cuda.firedCalls()).containsExactly("cuMemAlloc_v2 2");
        cuda.failAt(1, 999, true);
        assertThat(cuda.call("cuInit", 0)).isEqualTo(999);
        assertThat(cuda.call("cuCtxSetCurrent", context)).isEqualTo(999);
        cuda.failNoMore();
        assertThat(cuda.call("cuInit", 0)).isZero();
    }

    @Test
    void a_refused_release_stands_in_the_ledger() {
        long memory = out("cuMemAlloc_v2", 4096L);
        cuda.failAt("cuMemFree_v2", 1, 999, Lasting.ONCE);
        assertThat(cuda.call("cuMemFree_v2", memory)).isEqualTo(999);
        assertThat(cuda.ledger()).contains(new CudaDouble.Live("device memory", memory, 4096, 0, 1, true));
    }

    @Test
    void a_poisoned_context_answers_its_code_until_it_is_gone() {
        long memory = out("cuMemAlloc_v2", 16L);
        cuda.set(0, Property.POISON, 700);
        assertThat(cuda.call("cuMemFree_v2", memory)).isEqualTo(700);
        assertThat(cuda.call("cuCtxSetCurrent", context)).isZero();
        assertThat(cuda.call("cuDevicePrimaryCtxRelease_v2", 0)).isZero();
        assertThat(cuda.ledger()).isEmpty();
        assertThat(cuda.misuses()).isEmpty();
        context = out("cuDevicePrimaryCtxRetain", 0);
        cuda.call("cuCtxSetCurrent", context);
        assertThat(cuda.call("cuMemAlloc_v2", arena.allocate(8), 16L)).isZero();
    }

    @Test
    void work_that_fails_poisons_its_context() {
        long stream = out("cuStreamCreate", 1);
        long memory = out("cuMemAlloc_v2", 16L);
        cuda.failWork(0, 2, 719);
        assertThat(cuda.call("cuMemsetD8Async", memory, 1, 16L, stream)).isZero();
        assertThat(cuda.call("cuStreamQuery", stream)).isZero();
        assertThat(cuda.call("cuMemsetD8Async", memory, 1, 16L, stream)).isZero();
        assertThat(cuda.call("cuStreamQuery", stream)).isEqualTo(719);
    }

    @Test
    void the_management_library_sees_all_cards_without_a_context() {
        cuda = CudaDouble.machine(64, 32, 16);
        cuda.set(1, Property.HIDDEN, true).set(2, Property.SLICE, true);
        cuda.call("cuInit", 0);
        assertThat((int) out("cuDeviceGetCount")).isEqualTo(2);
        assertThat(cuda.call("nvmlDeviceGetCount_v2", arena.allocate(8))).isEqualTo(1);
        assertThat(cuda.call("nvmlInit_v2")).isZero();
        assertThat((int) out("nvmlDeviceGetCount_v2")).isEqualTo(3);
        long card = outLast("nvmlDeviceGetHandleByIndex_v2", 2);
        long slice = outLast("nvmlDeviceGetMigDeviceHandleByIndex", card, 0);
        MemorySegment memory = arena.allocate(24, 8);
        assertThat(cuda.call("nvmlDeviceGetMemoryInfo", slice, memory)).isZero();
        assertThat(memory.get(JAVA_LONG, 0)).isEqualTo(16 * MIB);
        MemorySegment uuid = arena.allocate(96);
        cuda.call("nvmlDeviceGetUUID", slice, uuid, 96);
        assertThat(uuid.getString(0)).startsWith("MIG-");
        assertThat(outLast("nvmlDeviceGetHandleByUUID", uuid)).isEqualTo(slice);
        assertThat(cuda.call("nvmlShutdown")).isZero();
        assertThat(cuda.managementUsers()).isZero();
    }

    @Test
    void the_drivers_own_pool_keeps_what_it_may() {
        long pool = out("cuDeviceGetDefaultMemPool", 0);
        long before = cuda.used(0);
        long memory = out("cuMemAllocAsync", MIB, 0L);
        assertThat(cuda.used(0)).isEqualTo(before + 2 * MIB);
        assertThat(cuda.call("cuMemPoolSetAttribute", pool, 4, filled(2 * MIB))).isZero();
        assertThat(cuda.call("cuMemFreeAsync", memory, 0L)).isZero();
        cuda.call("cuStreamSynchronize", 0L);
        assertThat(cuda.used(0)).isEqualTo(before + 2 * MIB);
        assertThat(cuda.call("cuMemPoolTrimTo", pool, 0L)).isZero();
        assertThat(cuda.used(0)).isEqualTo(before);
    }

    private MemorySegment filled(long value) {
        return arena.allocateFrom(JAVA_LONG, value);
    }

    @Test
    void a_gate_holds_calls_back() throws Exception {
        cuda.closeGate("cuMemGetInfo_v2");
        Thread caller = new Thread(() -> {
            cuda.call("cuCtxSetCurrent", context);
            cuda.call("cuMemGetInfo_v2", MemorySegment.ofAddress(0), MemorySegment.ofAddress(0));
        });
        cuda.failAt("cuMemGetInfo_v2", 1, 999, Lasting.ONCE);
        caller.start();
        cuda.awaitGate(1);
        assertThat(caller.isAlive()).isTrue();
        cuda.openGate();
        caller.join();
    }
}
