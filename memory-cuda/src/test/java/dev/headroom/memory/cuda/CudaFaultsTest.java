package dev.headroom.memory.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.headroom.memory.GpuDevice;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.cuda.CudaDouble.Lasting;
import dev.headroom.memory.cuda.CudaDouble.Live;
import dev.headroom.memory.cuda.CudaDouble.Work;
import dev.headroom.memory.spi.BackendProbe;
import dev.headroom.memory.spi.BlockRequest;
import dev.headroom.memory.spi.DeviceDriver;
import dev.headroom.memory.spi.DriverBlock;
import dev.headroom.memory.spi.DriverException;
import dev.headroom.memory.spi.DriverException.Kind;
import dev.headroom.memory.spi.DriverQueue;
import dev.headroom.memory.spi.TransferCommand.Copy;
import dev.headroom.memory.spi.TransferCommand.Fill;
import dev.headroom.memory.spi.TransferCommand.InBlock;
import dev.headroom.memory.spi.TransferCommand.InHost;
import dev.headroom.memory.spi.TransferCommand.InPeer;
import dev.headroom.memory.spi.VirtualMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is left when a call fails, step by step; and how a device goes. */
class CudaFaultsTest {

    private static final long MIB = 1 << 20;
    private static final long GRANULE = 2 * MIB;
    private static final int ILLEGAL_ADDRESS = 700;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private CudaDouble machine;
    private CudaBackend backend;
    private List<GpuDevice> devices;
    private DeviceDriver driver;
    private boolean faultless = true;
    /** Then our calls name what is not there any more, and cannot know. */
    private boolean destroyed;

    @BeforeEach
    void open() throws DriverException {
        machine = CudaDouble.machine(256, 256);
        backend = new CudaBackend();
        devices = switch (backend.probe()) {
            case BackendProbe.Available(List<GpuDevice> found) -> found;
            case BackendProbe.Unavailable absent -> throw new AssertionError(absent.reason());
        };
        driver = backend.open(devices.getFirst());
    }

    @AfterEach
    void close() {
        if (driver != null) {
            driver.close();
        }
        backend.close();
        assertThat(machine.foreignUses()).isZero();
        if (!destroyed) {
            assertThat(machine.misuses()).isEmpty();
        }
        if (faultless) {
            assertThat(machine.ledger()).isEmpty();
        }
    }

    private static BlockRequest request(MemoryKind kind, long byteSize, long byteAlignment) {
        return new BlockRequest(byteSize, byteAlignment, kind, "faults");
    }

    private VirtualMemory ranges() {
        return driver.virtualMemory().orElseThrow();
    }

    private List<String> live() {
        return machine.ledger().stream().map(Live::kind).sorted().toList();
    }

    private long calls(String name) {
        return machine.callsByName().getOrDefault(name, 0L);
    }

    // Opening.

    @Test
    void an_opening_that_fails_leaves_nothing() {
        driver.close();
        driver = null;
        machine.failAt("cuDevicePrimaryCtxRetain", 1, 2, Lasting.ONCE);
        assertThatThrownBy(() -> backend.open(devices.getFirst()))
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.OUT_OF_MEMORY));
        machine.failAt("cuMemGetAllocationGranularity", 1, ILLEGAL_ADDRESS, Lasting.ONCE);
        assertThatThrownBy(() -> backend.open(devices.getFirst()))
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DEVICE_LOST));
        assertThat(machine.ledger()).isEmpty();
    }

    @Test
    void a_driver_that_does_not_say_how_large_a_granule_is_has_none() throws DriverException {
        machine.failAt("cuMemGetAllocationGranularity", 1, 1, Lasting.ONCE);
        try (DeviceDriver other = backend.open(devices.getLast())) {
            assertThat(other.virtualMemory()).isEmpty();
        }
    }

    // Blocks.

    @ParameterizedTest
    @ValueSource(longs = {256, 4096, 1 << 16, 1 << 21})
    void blocks_begin_where_they_were_asked_to(long alignment) throws DriverException {
        DriverBlock padding = driver.allocate(request(MemoryKind.DEVICE, 256, 256));
        for (MemoryKind kind : List.of(MemoryKind.DEVICE, MemoryKind.UPLOAD, MemoryKind.READBACK)) {
            DriverBlock block = driver.allocate(request(kind, 1024, alignment));
            assertThat(((CudaBlock) block).address() % alignment).isZero();
            assertThat(driver.free(block).isFreed()).isTrue();
        }
        assertThat(driver.free(padding).isFreed()).isTrue();
    }

    /** The first piece was not aligned; whichever call fails then, nothing is left. */
    @Test
    void an_alignment_that_fails_half_way_leaves_nothing() throws DriverException {
        DriverBlock padding = driver.allocate(request(MemoryKind.DEVICE, 256, 256));
        machine.failAt("cuMemAlloc_v2", 2, 2, Lasting.ONCE);
        assertThatThrownBy(() -> driver.allocate(request(MemoryKind.DEVICE, 1024, GRANULE)))
                .isInstanceOf(DriverException.class);
        assertThat(machine.fired()).isEqualTo(1);
        assertThat(driver.free(padding).isFreed()).isTrue();
        assertThat(live()).containsExactly("context");
    }

    @Test
    void a_block_that_is_not_taken_back_says_so_and_is_not_tried_again() throws DriverException {
        DriverBlock block = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
        machine.failAt("cuMemFree_v2", 1, 1, Lasting.ONCE);
        assertThat(driver.free(block).failure().orElseThrow())
                .hasMessage("cuMemFree failed: CUDA_ERROR_INVALID_VALUE (code 1)");
        assertThat(driver.free(block).failure().orElseThrow())
                .hasMessage("cuMemFree failed: the block was freed before (code 0)");
        assertThat(calls("cuMemFree_v2")).isEqualTo(1);
        faultless = false;
    }

    // Address ranges.

    /** Two granules: create, map, create, map, set access. Each of the five fails in turn. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5})
    void a_commit_that_fails_at_any_step_is_undone(int step) throws DriverException {
        VirtualMemory memory = ranges();
        DriverBlock range = memory.reserve(4 * GRANULE, MemoryKind.DEVICE);
        long used = machine.used(0);
        machine.failAt("cuMem*", step, 2, Lasting.ONCE);
        DriverException failure =
                catchThrowableOfType(DriverException.class, () -> memory.commit(range, GRANULE, 2 * GRANULE));
        assertThat(failure.kind()).isEqualTo(Kind.OUT_OF_MEMORY);
        assertThat(machine.fired()).isEqualTo(1);
        assertThat(machine.used(0)).isEqualTo(used);
        assertThat(live()).hasSize(2);
        memory.commit(range, GRANULE, 2 * GRANULE);
        assertThat(machine.used(0)).isEqualTo(used + 2 * GRANULE);
        assertThat(memory.release(range).isFreed()).isTrue();
    }

    /** The same where the context is poisoned: each object sees one call at most that gives it back. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5})
    void a_commit_that_loses_the_device_tries_each_object_once(int step) throws DriverException {
        faultless = false;
        VirtualMemory memory = ranges();
        DriverBlock range = memory.reserve(4 * GRANULE, MemoryKind.DEVICE);
        memory.commit(range, 0, GRANULE);
        machine.failAt("cuMem*", step, ILLEGAL_ADDRESS, Lasting.FOR_EVER);
        assertThatThrownBy(() -> memory.commit(range, GRANULE, 2 * GRANULE))
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DEVICE_LOST));
        assertThat(memory.release(range).isFreed()).isFalse();
        assertThat(machine.ledger()).isNotEmpty().allMatch(live -> live.releases() <= 1);
        machine.failNoMore();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cuMemUnmap", "cuMemRelease"})
    void what_a_decommit_could_not_take_goes_with_the_range(String call) throws DriverException {
        VirtualMemory memory = ranges();
        DriverBlock range = memory.reserve(4 * GRANULE, MemoryKind.DEVICE);
        memory.commit(range, 0, 3 * GRANULE);
        machine.failAt(call, 1, 1, Lasting.ONCE);
        assertThat(memory.decommit(range, 0, 2 * GRANULE).failure().orElseThrow())
                .hasMessage(call + " failed: CUDA_ERROR_INVALID_VALUE (code 1)");
        assertThat(memory.release(range).isFreed()).isTrue();
        assertThat(live()).containsExactly("context");
    }

    @Test
    void a_range_that_is_not_taken_back_says_so() throws DriverException {
        VirtualMemory memory = ranges();
        DriverBlock range = memory.reserve(4 * GRANULE, MemoryKind.DEVICE);
        memory.commit(range, 0, GRANULE);
        machine.failAt("cuMemAddressFree", 1, 1, Lasting.ONCE);
        assertThat(memory.release(range).failure().orElseThrow()).hasMessageStartingWith("cuMemAddressFree failed");
        assertThat(memory.release(range).failure().orElseThrow()).hasMessageContaining("was freed before");
        assertThat(calls("cuMemAddressFree")).isEqualTo(1);
        faultless = false;
    }

    // Queues.

    @Test
    void events_are_used_again() throws DriverException {
        DriverQueue queue = driver.openQueue();
        for (int i = 0; i < 1000; i++) {
            assertThat(driver.await(queue, driver.signal(queue), PATIENCE)).isTrue();
        }
        assertThat(calls("cuEventCreate")).isEqualTo(1);
        assertThat(calls("cuEventRecord")).isEqualTo(1000);
        queue.close();
    }

    @Test
    void an_event_that_was_not_recorded_is_not_used_again() throws DriverException {
        DriverQueue queue = driver.openQueue();
        machine.failAt("cuEventRecord", 1, 1, Lasting.ONCE);
        assertThatThrownBy(() -> driver.signal(queue)).isInstanceOf(DriverException.class);
        assertThat(calls("cuEventDestroy_v2")).isEqualTo(1);
        assertThat(driver.signal(queue)).isEqualTo(1);
        queue.close();
    }

    @Test
    void a_question_that_fails_can_be_asked_again() throws DriverException {
        DriverQueue queue = driver.openQueue();
        long value = driver.signal(queue);
        machine.failAt("cuEventQuery", 1, 1, Lasting.ONCE);
        assertThatThrownBy(() -> driver.completed(queue)).isInstanceOf(DriverException.class);
        assertThat(driver.completed(queue)).isEqualTo(value);
        queue.close();
    }

    /** Work that goes on holds its event: whoever else needs one gets another. */
    @Test
    void a_pending_signal_keeps_its_event() throws DriverException {
        machine.work(Work.HELD, 0);
        DriverBlock block = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
        DriverQueue slow = driver.openQueue();
        DriverQueue other = driver.openQueue();
        driver.submit(new Fill(block, 0, 4096, (byte) 1), slow);
        long value = driver.signal(slow);
        driver.waitFor(other, slow, value);
        long behind = driver.signal(other);
        assertThat(driver.completed(slow)).isZero();
        assertThat(driver.await(other, behind, Duration.ZERO)).isFalse();
        assertThat(driver.awaitIdle(Duration.ZERO)).isFalse();
        while (machine.step(100) > 0) {
            // Until nothing is left.
        }
        assertThat(driver.completed(slow)).isEqualTo(value);
        assertThat(driver.completed(other)).isEqualTo(behind);
        assertThat(driver.awaitIdle(Duration.ZERO)).isTrue();
        driver.free(block);
        slow.close();
        other.close();
    }

    /** CUDA would take it, and keep the caller until everything before it is over. */
    @Test
    void memory_that_is_not_pinned_is_left_to_staging() throws DriverException {
        DriverBlock block = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
        DriverQueue queue = driver.openQueue();
        long before = machine.calls();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(4096);
            for (Copy copy : List.of(
                    new Copy(new InHost(bytes), new InBlock(block, 0), 4096),
                    new Copy(new InBlock(block, 0), new InHost(bytes), 4096))) {
                assertThatThrownBy(() -> driver.submit(copy, queue))
                        .isInstanceOfSatisfying(
                                DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.UNSUPPORTED));
            }
        }
        assertThat(machine.calls()).isEqualTo(before);
        queue.close();
        assertThat(driver.free(block).isFreed()).isTrue();
    }

    // Other devices.

    @Test
    void peers_copy_where_they_may() throws DriverException {
        machine.peers(true, 2);
        try (DeviceDriver peer = backend.open(devices.getLast())) {
            DriverBlock ours = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
            DriverBlock theirs = peer.allocate(request(MemoryKind.DEVICE, 4096, 256));
            DriverQueue queue = driver.openQueue();
            for (int i = 0; i < 3; i++) {
                driver.submit(new Copy(new InBlock(ours, 0), new InPeer(theirs, 0), 4096), queue);
                driver.submit(new Copy(new InPeer(theirs, 0), new InBlock(ours, 0), 4096), queue);
            }
            assertThat(driver.await(queue, driver.signal(queue), PATIENCE)).isTrue();
            assertThat(calls("cuMemcpyPeerAsync")).isEqualTo(6);
            assertThat(calls("cuCtxEnablePeerAccess")).isEqualTo(1);
            queue.close();
            assertThat(driver.free(ours).isFreed()).isTrue();
            assertThat(peer.free(theirs).isFreed()).isTrue();
        }
    }

    @Test
    void elsewhere_the_engine_is_told_to_find_another_way() throws DriverException {
        machine.peers(false, 2);
        try (DeviceDriver peer = backend.open(devices.getLast())) {
            DriverBlock ours = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
            DriverBlock theirs = peer.allocate(request(MemoryKind.DEVICE, 4096, 256));
            DriverQueue queue = driver.openQueue();
            assertThatThrownBy(() -> driver.submit(new Copy(new InBlock(ours, 0), new InPeer(theirs, 0), 4096), queue))
                    .isInstanceOfSatisfying(
                            DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.UNSUPPORTED));
            assertThat(calls("cuMemcpyPeerAsync")).isZero();
            queue.close();
            assertThat(driver.free(ours).isFreed()).isTrue();
            assertThat(peer.free(theirs).isFreed()).isTrue();
        }
    }

    // Loss.

    @Test
    void a_poisoned_context_is_never_asked_again() throws DriverException {
        DriverBlock block = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
        DriverBlock pinned = driver.allocate(request(MemoryKind.UPLOAD, 4096, 256));
        DriverQueue queue = driver.openQueue();
        driver.submit(new Fill(block, 0, 16, (byte) 1), queue);
        driver.signal(queue);
        machine.failAt("cuMemGetInfo_v2", 1, ILLEGAL_ADDRESS, Lasting.IN_ITS_CONTEXT);
        assertThatThrownBy(() -> driver.budget(MemoryKind.DEVICE))
                .hasMessage("cuMemGetInfo failed: CUDA_ERROR_ILLEGAL_ADDRESS (code 700)");

        long before = machine.calls();
        for (int i = 0; i < 100; i++) {
            assertLost(() -> driver.allocate(request(MemoryKind.DEVICE, 4096, 256)));
            assertLost(() -> driver.budget(MemoryKind.DEVICE));
            assertLost(() -> driver.submit(new Fill(block, 0, 16, (byte) 1), queue));
            assertLost(() -> driver.signal(queue));
            assertLost(() -> driver.completed(queue));
            assertLost(() -> ranges().reserve(GRANULE, MemoryKind.DEVICE));
        }
        assertThat(machine.calls()).as("calls of a lost device").isEqualTo(before);

        // The other one goes on.
        try (DeviceDriver other = backend.open(devices.getLast())) {
            DriverBlock theirs = other.allocate(request(MemoryKind.DEVICE, 4096, 256));
            assertThat(other.free(theirs).isFreed()).isTrue();
        }

        before = releases();
        driver.free(block);
        driver.free(pinned);
        queue.close();
        driver.close();
        driver = null;
        assertThat(releases() - before)
                .as("one clean-up call for each of block, pinned block, stream, event and context")
                .isLessThanOrEqualTo(5);

        // With its context the poison goes, if nobody else holds it.
        try (DeviceDriver again = backend.open(devices.getFirst())) {
            DriverBlock fresh = again.allocate(request(MemoryKind.DEVICE, 4096, 256));
            assertThat(again.free(fresh).isFreed()).isTrue();
        }
    }

    private long releases() {
        Map<String, Long> calls = machine.callsByName();
        return List.of(
                        "cuMemFree_v2",
                        "cuMemFreeHost",
                        "cuStreamDestroy_v2",
                        "cuEventDestroy_v2",
                        "cuDevicePrimaryCtxRelease_v2")
                .stream()
                .mapToLong(name -> calls.getOrDefault(name, 0L))
                .sum();
    }

    @Test
    void a_context_that_somebody_destroyed_is_a_lost_device() throws DriverException {
        DriverBlock block = driver.allocate(request(MemoryKind.DEVICE, 4096, 256));
        machine.destroyContext(0);
        destroyed = true;
        assertLost(() -> driver.allocate(request(MemoryKind.DEVICE, 4096, 256)));
        long before = machine.calls();
        assertLost(() -> driver.budget(MemoryKind.DEVICE));
        assertThat(machine.calls()).isEqualTo(before);
        assertThat(driver.free(block).isFreed()).isFalse();
    }

    private static void assertLost(ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        DriverException.class, e -> assertThat(e.kind()).isEqualTo(Kind.DEVICE_LOST));
    }
}
