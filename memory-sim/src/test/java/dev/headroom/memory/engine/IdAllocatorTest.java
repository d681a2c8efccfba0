package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.BufferClosedException;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.DeviceOutOfMemoryException;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.IdAllocator;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryStats;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.TraceRecording;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Memory by number: what it costs, and what is refused. */
class IdAllocatorTest {

    private static final long KIB = 1024;
    private static final long MIB = 1L << 20;
    private static final int WARM_UP = 20_000;
    private static final int PAIRS = 10_000;

    private final SimulatedBackend card = SimulatedBackend.card(1L << 30);
    private final GpuMemory memory = GpuMemory.builder().backend(card).open();
    private final PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
    private final IdAllocator ids = pool.ids();

    @AfterEach
    void everythingGoesBack() {
        if (!pool.isClosed()) {
            pool.validate();
        }
        memory.close();
        assertThat(ledger().liveBytes()).isZero();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 256, 4 * KIB, 64 * KIB, MIB, 8 * MIB, 16 * MIB + 1})
    void aPairMakesNoDriverCallAndNoGarbage(long byteSize) {
        pairs(byteSize, WARM_UP);
        long calls = ledger().totalCalls();
        MemoryStats before = pool.stats();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        pairs(byteSize, PAIRS);
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        assertThat(allocated / PAIRS).as("bytes on the Java heap per pair").isZero();
        assertThat(ledger().totalCalls()).isEqualTo(calls);
        assertThat(pool.stats().poolHits()).isEqualTo(before.poolHits() + PAIRS);
    }

    @Test
    void idsSayWhereTheirMemoryLies() {
        long small = ids.allocate(1000);
        long large = ids.allocate(3 * MIB);
        assertThat(List.of(small, large)).allMatch(id -> id >= 0);
        assertThat(ids.byteSize(small)).isEqualTo(1024);
        assertThat(ids.byteSize(large)).isEqualTo(3 * MIB);
        assertThat(ids.block(small)).isEqualTo(ids.block(large)).isZero();
        assertThat(ids.offset(large) % 256).isZero();
        assertThat(Math.abs(ids.offset(small) - ids.offset(large))).isGreaterThanOrEqualTo(1024);
        assertThat(pool.stats().activeBuffers()).isEqualTo(2);
        assertThat(pool.stats().inUseBytes()).isEqualTo(1024 + 3 * MIB);
        ids.free(small);
        ids.free(large);
        assertThat(pool.stats().activeBuffers()).isZero();
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    @Test
    void whatIsNotInUseIsRefused() {
        long freed = ids.allocate(KIB);
        ids.free(freed);
        refused(freed);
        long later = ids.allocate(KIB);
        refused(freed);
        try (DeviceBuffer _ = pool.allocate(KIB)) {
            for (long name = 0; name < 10; name++) {
                if (name != later) {
                    refused(name); // also that of the buffer
                }
            }
        }
        for (long id :
                new long[] {-1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 32 | 123_456_789, 1L << 32 | 0xFFFF_FFFDL}) {
            refused(id);
        }
        ids.free(later);
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void anIdIsRefusedHoweverOftenItsSlotWasReused() {
        long first = ids.allocate(MIB);
        ids.free(first);
        for (int i = 0; i < WARM_UP; i++) {
            long id = ids.allocate(MIB);
            assertThat(id).isNotEqualTo(first);
            ids.free(id);
        }
        refused(first);
    }

    @Test
    void sizesBelowOneAreRefused() {
        for (long byteSize : new long[] {0, -1, Long.MIN_VALUE}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> ids.allocate(byteSize))
                    .withMessageContaining(String.valueOf(byteSize));
        }
    }

    @Test
    void aBufferTakesTheMemoryOver() {
        long id = ids.allocate(4 * KIB);
        try (Arena arena = Arena.ofConfined();
                DeviceBuffer buffer = ids.toBuffer(id)) {
            refused(id);
            assertThat(buffer.byteSize()).isEqualTo(4 * KIB);
            MemorySegment bytes = arena.allocate(4 * KIB).fill((byte) 7);
            buffer.write(0, bytes);
            MemorySegment back = arena.allocate(4 * KIB);
            buffer.read(0, back);
            assertThat(back.mismatch(bytes)).isEqualTo(-1);
            assertThat(pool.stats().activeBuffers()).isOne();
        }
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void aViewLeavesTheMemoryToItsId() {
        long id = ids.allocate(4 * KIB);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(4 * KIB).fill((byte) 7);
            try (DeviceBuffer view = ids.view(id)) {
                view.write(0, bytes);
                assertThat(view.pool()).isSameAs(pool);
            }
            assertThat(pool.stats().activeBuffers()).as("the id's own").isOne();
            DeviceBuffer other = ids.view(id);
            MemorySegment back = arena.allocate(4 * KIB);
            other.read(0, back);
            assertThat(back.mismatch(bytes)).isEqualTo(-1);
            ids.free(id);
            long later = ids.allocate(4 * KIB); // the same memory
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> other.write(0, bytes))
                    .withMessageStartingWith("id " + id + " is not in use");
            other.close();
            assertThat(pool.stats().activeBuffers()).isOne();
            ids.free(later);
        }
        assertThat(pool.stats().activeBuffers()).isZero();
    }

    @Test
    void aFullDeviceRefusesAndLosesNothing() {
        List<Long> open = new ArrayList<>();
        assertThatThrownBy(() -> {
                    for (int i = 0; i < 10_000; i++) {
                        open.add(ids.allocate(64 * MIB));
                    }
                })
                .isInstanceOf(DeviceOutOfMemoryException.class)
                .hasMessageContaining("64 MiB");
        assertThat(pool.stats().activeBuffers()).isEqualTo(open.size());
        ids.free(open.removeLast());
        open.add(ids.allocate(64 * MIB));
        open.forEach(ids::free);
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    @Test
    void aClosedPoolHandsNothingOut() {
        long id = ids.allocate(KIB);
        memory.close();
        assertThatThrownBy(() -> ids.allocate(KIB)).isInstanceOf(BufferClosedException.class);
        assertThatThrownBy(() -> ids.toBuffer(id)).isInstanceOf(BufferClosedException.class);
        ids.free(id); // harmless
    }

    @Test
    void idsOfBlockClassesAreIdsToo() {
        MemoryConfig config = MemoryConfig.builder()
                .profile(PoolProfile.blockClasses(64 * MIB))
                .build();
        try (GpuMemory other = GpuMemory.builder()
                .backend(SimulatedBackend.card(1L << 30))
                .config(config)
                .open()) {
            GpuMemoryPool divided = other.pool(other.devices().getFirst());
            IdAllocator blocks = divided.ids();
            long first = blocks.allocate(100);
            long second = blocks.allocate(100);
            assertThat(blocks.byteSize(first)).isEqualTo(KIB);
            assertThat(Math.abs(blocks.offset(first) - blocks.offset(second))).isGreaterThanOrEqualTo(KIB);
            blocks.free(first);
            assertThatIllegalArgumentException().isThrownBy(() -> blocks.free(first));
            blocks.free(second);
            assertThat(divided.stats().activeBuffers()).isZero();
        }
    }

    @Test
    void aTraceHoldsIds(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("ids.trace");
        long before = ids.allocate(KIB);
        try (TraceRecording _ = pool.recordTrace(file)) {
            long id = ids.allocate(2 * KIB);
            ids.free(before); // the trace does not know it
            ids.free(id);
        }
        List<String> lines = Files.readAllLines(file).stream()
                .filter(line -> !line.startsWith("#"))
                .toList();
        assertThat(lines).hasSize(2);
        assertThat(lines.getFirst()).startsWith("a ").contains(" 2048");
        assertThat(lines.getLast()).startsWith("f ");
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void nothingOverlapsWhateverIsDone(long seed) {
        new IdModel(pool, seed).run(20_000);
        assertThat(pool.stats().activeBuffers()).isZero();
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    @Test
    void threadsShareOneAllocator() throws InterruptedException {
        List<Throwable> failures = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            SplittableRandom random = new SplittableRandom(i);
            Runnable work = () -> {
                long[] open = new long[16];
                for (int step = 0; step < 5000; step++) {
                    int at = random.nextInt(open.length);
                    if (open[at] != 0) {
                        ids.free(open[at] - 1);
                        open[at] = 0;
                    } else {
                        open[at] = ids.allocate(1 + random.nextInt(8) * 64 * KIB) + 1;
                    }
                }
                for (long id : open) {
                    if (id != 0) {
                        ids.free(id - 1);
                    }
                }
            };
            Thread thread = i % 2 == 0
                    ? Thread.ofPlatform().unstarted(work)
                    : Thread.ofVirtual().unstarted(work);
            thread.setUncaughtExceptionHandler((_, failure) -> {
                synchronized (failures) {
                    failures.add(failure);
                }
            });
            threads.add(thread);
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(failures).isEmpty();
        assertThat(pool.stats().activeBuffers()).isZero();
        assertThat(pool.stats().inUseBytes()).isZero();
    }

    private void refused(long id) {
        String message = "id " + id + " is not in use: it was freed, or is none of this pool's";
        assertThatIllegalArgumentException().isThrownBy(() -> ids.free(id)).withMessage(message);
        assertThatIllegalArgumentException().isThrownBy(() -> ids.offset(id)).withMessage(message);
        assertThatIllegalArgumentException().isThrownBy(() -> ids.byteSize(id)).withMessage(message);
        assertThatIllegalArgumentException().isThrownBy(() -> ids.block(id)).withMessage(message);
        assertThatIllegalArgumentException().isThrownBy(() -> ids.toBuffer(id)).withMessage(message);
        assertThatIllegalArgumentException().isThrownBy(() -> ids.view(id)).withMessage(message);
    }

    private void pairs(long byteSize, int count) {
        for (int i = 0; i < count; i++) {
            ids.free(ids.allocate(byteSize));
        }
    }

    private Ledger ledger() {
        return card.device(0).ledger();
    }
}
