package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.testkit.BytePattern;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which way bytes go, and that nobody waits who was not asked to. */
class CudaCopiesTest {

    private static final int MIB = 1 << 20;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    @RegisterExtension
    final CleanDriver clean = new CleanDriver();

    private CudaDouble machine;
    private GpuMemory memory;
    private GpuMemoryPool pool;

    @BeforeEach
    void open() {
        machine = CudaDouble.machine(1024, 1024);
        MemoryConfig config = MemoryConfig.builder().stagingBytes(2 * MIB).build();
        memory = GpuMemory.builder()
                .backend(new CudaBackend())
                .backend(SimulatedBackend.host(1L << 33))
                .config(config)
                .open();
        pool = memory.pool(memory.devices().getFirst());
    }

    @AfterEach
    void close() {
        memory.close();
    }

    private long calls(String name) {
        return machine.callsByName().getOrDefault(name, 0L);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void from_device_to_device(boolean peers) {
        machine.peers(peers, 2);
        GpuMemoryPool other = memory.pool(memory.devices().get(1));
        BytePattern pattern = BytePattern.of(5, 1);
        try (Arena arena = Arena.ofConfined();
                DeviceBuffer here = pool.allocate(5 * MIB);
                DeviceBuffer there = other.allocate(5 * MIB);
                DeviceBuffer back = pool.allocate(5 * MIB)) {
            MemorySegment bytes = arena.allocate(5 * MIB);
            pattern.writeTo(bytes);
            here.write(0, bytes);
            here.copyTo(0, there, 0, 5 * MIB);
            there.copyTo(0, back, 0, 5 * MIB);
            bytes.fill((byte) 0);
            back.read(0, bytes);
            pattern.requireIn(bytes);
        }
        assertThat(calls("cuMemcpyPeerAsync")).isEqualTo(peers ? 2 : 0);
    }

    /** Behind work that goes on, an asynchronous read and write return at once. */
    @Test
    void nobody_waits_for_the_device() {
        try (Arena arena = Arena.ofShared();
                DeviceBuffer buffer = pool.allocate(MIB)) {
            buffer.fill(0, MIB, (byte) 1);
            machine.work(Work.HELD, 0);
            MemorySegment source = arena.allocate(MIB).fill((byte) 7);
            MemorySegment target = arena.allocate(MIB);
            CompletableFuture<Void> written = buffer.writeAsync(0, source);
            source.fill((byte) 0); // it is the caller's again
            CompletableFuture<Void> readBack = buffer.readAsync(0, target);
            assertThat(written).isNotDone();
            assertThat(readBack).isNotDone();
            machine.work(Work.AT_ONCE, 0);
            assertThat(written).succeedsWithin(PATIENCE);
            assertThat(readBack).succeedsWithin(PATIENCE);
            assertThat(target.mismatch(arena.allocate(MIB).fill((byte) 7))).isEqualTo(-1);
        }
    }

    /** JCuda cannot hand out so much. Only what is touched takes memory of this machine. */
    @Test
    void pinned_memory_of_three_gibibytes() {
        long size = 3L << 30;
        try (DeviceBuffer pinned = pool.allocate(AllocationRequest.of(size).ofKind(MemoryKind.READBACK));
                DeviceBuffer device = pool.allocate(4096)) {
            device.fill(0, 4096, (byte) 9);
            device.copyTo(0, pinned, size - 4096, 4096);
            try (HostView view = pinned.map()) {
                assertThat(view.segment().byteSize()).isEqualTo(size);
                assertThat(view.segment().asSlice(size - 4096).mismatch(MemorySegment.ofArray(filled(4096))))
                        .isEqualTo(-1);
            }
        }
    }

    private static byte[] filled(int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) 9);
        return bytes;
    }

    /** What the pool has given back, the device has back: granule by granule. */
    @Test
    void idle_granules_go_back_to_the_device() {
        long before = machine.used(0);
        DeviceBuffer low = pool.allocate(16 * MIB);
        DeviceBuffer middle = pool.allocate(16 * MIB);
        DeviceBuffer high = pool.allocate(16 * MIB);
        long full = machine.used(0);
        assertThat(full - before).isGreaterThanOrEqualTo(48L * MIB);
        middle.close();
        assertThat(pool.shrink()).isGreaterThanOrEqualTo(16L * MIB);
        assertThat(full - machine.used(0)).isGreaterThanOrEqualTo(16L * MIB);
        low.fill(0, 16 * MIB, (byte) 1);
        high.fill(0, 16 * MIB, (byte) 1);
        low.close();
        high.close();
    }
}
