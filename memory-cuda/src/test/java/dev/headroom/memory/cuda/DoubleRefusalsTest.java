package dev.headroom.memory.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The double is worth something only as far as it refuses what a driver refuses, and notices what a driver suffers. */
class DoubleRefusalsTest {

    private static final int MIB = 1 << 20;
    private static final int GRANULE = 2 * MIB;

    private final Arena arena = Arena.ofConfined();
    private CudaDouble cuda;
    private long first;
    private long second;

    @BeforeEach
    void twoDevices() {
        cuda = CudaDouble.machine(64, 64);
        cuda.call("cuInit", 0);
        first = out("cuDevicePrimaryCtxRetain", 0);
        second = out("cuDevicePrimaryCtxRetain", 1);
        cuda.call("cuCtxSetCurrent", first);
    }

    @AfterEach
    void close() {
        arena.close();
        if (cuda != null) {
            CudaDouble.empty();
        }
    }

    private MemorySegment slot() {
        return arena.allocate(JAVA_LONG);
    }

    /** Calls something whose first argument is where it writes a number to. */
    private long out(String name, Object... arguments) {
        MemorySegment slot = slot();
        Object[] all = Stream.concat(Stream.of(slot), Stream.of(arguments)).toArray();
        assertThat(cuda.call(name, all)).as(name).isZero();
        return slot.get(JAVA_LONG, 0);
    }

    private MemorySegment prop(int device) {
        MemorySegment prop = arena.allocate(32, 8);
        prop.set(JAVA_INT, 0, 1);
        prop.set(JAVA_INT, 8, 1);
        prop.set(JAVA_INT, 12, device);
        return prop;
    }

    private MemorySegment access(int device, int flags) {
        MemorySegment access = arena.allocate(12, 4);
        access.set(JAVA_INT, 0, 1);
        access.set(JAVA_INT, 4, device);
        access.set(JAVA_INT, 8, flags);
        return access;
    }

    private long reserve(int granules) {
        return out("cuMemAddressReserve", (long) granules * GRANULE, 0L, 0L, 0L);
    }

    private long create(int granules) {
        return out("cuMemCreate", (long) granules * GRANULE, prop(0), 0L);
    }

    private void requireMisuse(String words) {
        assertThat(cuda.misuses()).anySatisfy(line -> assertThat(line).contains(words));
    }

    @Test
    void exports_all_that_jcuda_needs() throws Exception {
        List<String> needed =
                java.nio.file.Files.readAllLines(DoubleLibrary.SOURCES.resolve("jcuda-12.6.0-symbols.txt"));
        assertThat(needed).hasSize(312);
        assertThat(needed).allMatch(symbol -> cuda.library().find(symbol).isPresent());
    }

    @TestFactory
    Stream<DynamicTest> structures_with_a_wrong_field() {
        record Wrong(String what, int offset, int width, int value) {}
        return Stream.of(
                        new Wrong("type", 0, 4, 2),
                        new Wrong("type of handles", 4, 4, 2),
                        new Wrong("type of location", 8, 4, 2),
                        new Wrong("device", 12, 4, 7),
                        new Wrong("windows data", 16, 4, 1),
                        new Wrong("compression", 24, 1, 9),
                        new Wrong("direct access", 25, 1, 9),
                        new Wrong("usage", 26, 1, 1),
                        new Wrong("reserved", 28, 1, 1),
                        new Wrong("last reserved", 31, 1, 1))
                .map(wrong -> DynamicTest.dynamicTest(wrong.what, () -> {
                    MemorySegment prop = prop(0);
                    if (wrong.width == 4) {
                        prop.set(JAVA_INT, wrong.offset, wrong.value);
                    } else {
                        prop.set(java.lang.foreign.ValueLayout.JAVA_BYTE, wrong.offset, (byte) wrong.value);
                    }
                    assertThat(cuda.call("cuMemCreate", slot(), (long) GRANULE, prop, 0L))
                            .isEqualTo(1);
                    assertThat(cuda.call("cuMemGetAllocationGranularity", slot(), prop, 0))
                            .isEqualTo(1);
                }));
    }

    @Test
    void sizes_that_are_not_whole_granules() {
        assertThat(cuda.call("cuMemCreate", slot(), GRANULE + 4096L, prop(0), 0L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemCreate", slot(), 0L, prop(0), 0L)).isEqualTo(1);
        assertThat(cuda.call("cuMemCreate", slot(), (long) GRANULE, prop(0), 1L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemAddressReserve", slot(), 4096L, 0L, 0L, 0L)).isEqualTo(1);
        assertThat(cuda.call("cuMemAddressReserve", slot(), (long) GRANULE, 3L, 0L, 0L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemAlloc_v2", slot(), 0L)).isEqualTo(1);
        assertThat(cuda.call("cuMemHostAlloc", slot(), 4096L, 8)).isEqualTo(1);
    }

    @Test
    void maps_only_whole_memory_into_reserved_and_empty_places() {
        long range = reserve(4);
        long memory = create(2);
        assertThat(cuda.call("cuMemMap", range, (long) GRANULE, 0L, memory, 0L)).isEqualTo(1);
        assertThat(cuda.call("cuMemMap", range, 2L * GRANULE, (long) GRANULE, memory, 0L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemMap", range + 4096, 2L * GRANULE, 0L, memory, 0L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemMap", range + 3L * GRANULE, 2L * GRANULE, 0L, memory, 0L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemMap", range, 2L * GRANULE, 0L, memory, 0L)).isZero();
        assertThat(cuda.call("cuMemMap", range + GRANULE, 2L * GRANULE, 0L, memory, 0L))
                .as("over another")
                .isEqualTo(1);
        requireMisuse("mapped already");
    }

    @Test
    void virtual_memory_needs_access_before_use() {
        long range = reserve(1);
        long memory = create(1);
        MemorySegment bytes = arena.allocate(64);
        cuda.call("cuMemMap", range, (long) GRANULE, 0L, memory, 0L);
        assertThat(cuda.call("cuMemcpyHtoD_v2", range, bytes, 64L)).isEqualTo(1);
        assertThat(cuda.call("cuMemSetAccess", range, (long) GRANULE, access(0, 2), 1L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemSetAccess", range, GRANULE / 2L, access(0, 3), 1L))
                .isEqualTo(1);
        assertThat(cuda.call("cuMemSetAccess", range, (long) GRANULE, access(1, 3), 1L))
                .as("no peer")
                .isEqualTo(101);
        assertThat(cuda.call("cuMemSetAccess", range, (long) GRANULE, access(0, 1), 1L))
                .isZero();
        assertThat(cuda.call("cuMemcpyHtoD_v2", range, bytes, 64L))
                .as("reading only")
                .isEqualTo(1);
        assertThat(cuda.call("cuMemSetAccess", range, (long) GRANULE, access(0, 3), 1L))
                .isZero();
        assertThat(cuda.call("cuMemcpyHtoD_v2", range, bytes, 64L)).isZero();
    }

    @Test
    void virtual_memory_is_taken_apart_in_order() {
        long range = reserve(2);
        long memory = create(1);
        cuda.call("cuMemMap", range, (long) GRANULE, 0L, memory, 0L);
        assertThat(cuda.call("cuMemAddressFree", range, 2L * GRANULE))
                .as("mapped")
                .isEqualTo(1);
        assertThat(cuda.call("cuMemUnmap", range, 2L * GRANULE))
                .as("half of it")
                .isEqualTo(1);
        assertThat(cuda.call("cuMemRelease", memory)).isZero();
        assertThat(cuda.used(0)).as("mapped memory lives on").isEqualTo(18L * MIB);
        assertThat(cuda.call("cuMemRelease", memory)).as("again").isEqualTo(1);
        assertThat(cuda.call("cuMemUnmap", range, (long) GRANULE)).isZero();
        assertThat(cuda.used(0)).isEqualTo(16L * MIB);
        assertThat(cuda.call("cuMemAddressFree", range, (long) GRANULE))
                .as("another size")
                .isEqualTo(1);
        assertThat(cuda.call("cuMemAddressFree", range, 2L * GRANULE)).isZero();
        assertThat(cuda.ledger()).extracting(CudaDouble.Live::kind).containsOnly("context");
    }

    @Test
    void calls_without_a_context() throws Exception {
        int[] code = new int[1];
        Thread other = new Thread(() -> code[0] = cuda.call("cuMemAlloc_v2", MemorySegment.NULL, 4096L));
        other.start();
        other.join();
        assertThat(code[0]).isEqualTo(201);
        requireMisuse("without a current context");
    }

    @Test
    void calls_before_the_first() {
        cuda.uninitialise();
        assertThat(cuda.call("cuDeviceGetCount", slot())).isEqualTo(3);
        assertThat(cuda.call("cuDriverGetVersion", slot())).isZero();
    }

    @Test
    void things_of_another_context() {
        long stream = out("cuStreamCreate", 1);
        long event = out("cuEventCreate", 2);
        long memory = out("cuMemAlloc_v2", 4096L);
        cuda.call("cuCtxSetCurrent", second);
        assertThat(cuda.call("cuStreamQuery", stream)).isEqualTo(400);
        assertThat(cuda.call("cuEventQuery", event)).isEqualTo(400);
        assertThat(cuda.call("cuMemsetD8_v2", memory, 0, 16L)).isEqualTo(1);
        assertThat(cuda.call("cuMemFree_v2", memory)).isEqualTo(1);
        assertThat(cuda.foreignUses()).isEqualTo(4);
    }

    @Test
    void giving_back_twice() {
        long memory = out("cuMemAlloc_v2", 4096L);
        long host = out("cuMemHostAlloc", 4096L, 0);
        long stream = out("cuStreamCreate", 0);
        long event = out("cuEventCreate", 0);
        for (int expected : new int[] {0, 1}) {
            assertThat(cuda.call("cuMemFree_v2", memory)).isEqualTo(expected);
            assertThat(cuda.call("cuMemFreeHost", host)).isEqualTo(expected);
            assertThat(cuda.call("cuStreamDestroy_v2", stream)).isEqualTo(expected * 400);
            assertThat(cuda.call("cuEventDestroy_v2", event)).isEqualTo(expected * 400);
            assertThat(cuda.misuses()).hasSize(expected * 4);
        }
        cuda.call("cuDevicePrimaryCtxRelease_v2", 0);
        assertThat(cuda.call("cuDevicePrimaryCtxRelease_v2", 0)).isEqualTo(201);
        requireMisuse("more often than retained");
    }

    @Test
    void host_and_device_taken_for_each_other() {
        long memory = out("cuMemAlloc_v2", 4096L);
        MemorySegment bytes = arena.allocate(4096);
        assertThat(cuda.call("cuMemcpyHtoD_v2", bytes.address(), bytes, 16L)).isEqualTo(1);
        assertThat(cuda.call("cuMemcpyHtoD_v2", memory, memory, 16L)).isEqualTo(1);
        requireMisuse("where the host's belongs");
        assertThat(cuda.call("cuMemcpyHtoD_v2", memory + 4000, bytes, 128L))
                .as("over the end")
                .isEqualTo(1);
    }

    @Test
    void more_than_there_is() {
        assertThat(cuda.call("cuMemAlloc_v2", slot(), 49L * MIB)).isEqualTo(2);
        cuda.occupy(0, 40L * MIB);
        assertThat(cuda.call("cuMemAlloc_v2", slot(), 9L * MIB)).isEqualTo(2);
        assertThat(cuda.call("cuMemCreate", slot(), 10L * MIB, prop(0), 0L)).isEqualTo(2);
        assertThat(cuda.call("cuMemAlloc_v2", slot(), 8L * MIB)).isZero();
        cuda.hostLimit(MIB);
        assertThat(cuda.call("cuMemHostAlloc", slot(), MIB + 1L, 0)).isEqualTo(2);
    }

    @Test
    void what_a_context_takes_with_it_is_noticed() {
        out("cuStreamCreate", 0);
        cuda.call("cuDevicePrimaryCtxRelease_v2", 0);
        requireMisuse("stream");
        assertThat(cuda.call("cuMemAlloc_v2", slot(), 16L)).as("it is gone").isEqualTo(709);
    }

    @Test
    void memory_freed_under_pending_work() {
        cuda.work(CudaDouble.Work.HELD, 0);
        long stream = out("cuStreamCreate", 1);
        long memory = out("cuMemAlloc_v2", 4096L);
        assertThat(cuda.call("cuMemsetD8Async", memory, 1, 4096L, stream)).isZero();
        assertThat(cuda.call("cuStreamQuery", stream)).isEqualTo(600);
        cuda.call("cuMemFree_v2", memory);
        requireMisuse("work still to be done");
        assertThat(cuda.step(10)).isEqualTo(1);
        assertThat(cuda.call("cuStreamQuery", stream)).isEqualTo(700);
    }
}
