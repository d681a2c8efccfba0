package dev.headroom.memory.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.PoolProfile;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.management.ManagementFactory;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/**
 * What the engine's own books take on the Java heap, in exact counters: the bytes a thread allocates. The figures are in
 * docs/memory-model.md; a bound here is what was measured, so that more shows.
 */
class BookkeepingBytesTest {

    private static final long KIB = 1024;
    private static final long MIB = 1L << 20;
    private static final int PIECES = 8;
    private static final int MANY = 10_000;
    private static final int OFFERS = 8;

    /** What a first call of its kind may leave beside what is measured. */
    private static final long ONCE = 2 * KIB;

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** A stripe of a cache is made once, whatever comes and goes: its bytes over the sizes it can hold at a time. */
    @Test
    void bytesPerSizeAtHand() {
        BufferCache warm = new BufferCache(1, 64 * MIB, PIECES);
        long sizes = sizesHeld(warm);
        long bytes = allocated(() -> new BufferCache(1, 64 * MIB, PIECES));
        System.out.printf("a stripe: %d bytes, %d sizes at a time, %d each%n", bytes, sizes, bytes / sizes);
        assertThat(sizes).isGreaterThanOrEqualTo(32);
        assertThat(bytes / sizes)
                .as("bytes per size with its %d names, in each stripe", PIECES)
                .isLessThanOrEqualTo(136);
    }

    /** What goes through a cache leaves nothing on the Java heap. */
    @Test
    void aCacheMakesNoGarbage() {
        BufferCache cache = new BufferCache(1, 64 * MIB, PIECES);
        for (int i = 0; i < 400; i++) {
            int ignored = cache.put(i, 256L * (1 + i / 4));
        }
        long before = cache.hits();
        long bytes = allocated(() -> {
            for (int i = 0; i < MANY; i++) {
                long size = 256L * (1 + i % 100);
                int name = cache.take(size);
                if (name != BufferCache.NONE) {
                    int ignored = cache.put(name, size);
                }
            }
            return cache;
        });
        assertThat(cache.hits() - before).isGreaterThan(MANY / 10);
        assertThat(bytes).isLessThanOrEqualTo(ONCE);
    }

    /** A class of blocks has a slab of 2 MiB, and in it a bit for each block, whatever is in use. */
    @Test
    void bytesPerBlockOfAClass() {
        double perBlock = bytesPerName(PoolProfile.blockClasses(1L << 30));
        System.out.printf("a block of a class: %.1f bytes, with its place%n", perBlock);
        assertThat(perBlock).as("16 of them are its place").isBetween(16.0, 24.0);
    }

    /** What the book remembers of a buffer, beside its handle. */
    @Test
    void bytesPerBufferInTheBook() {
        double perBuffer = bytesPerName(PoolProfile.engine());
        System.out.printf(
                "a buffer in the book: %.1f bytes, with its place and what is thrown away as tables grow%n", perBuffer);
        assertThat(perBuffer).as("half of it is thrown away as tables grow").isBetween(32.0, 136.0);
    }

    /** The bytes a book takes for each of many buffers of 1 KiB, what it throws away as it grows included. */
    private double bytesPerName(PoolProfile profile) {
        int few = 64;
        int many = 64 * 2048;
        return (double) (bookBytes(profile, many) - bookBytes(profile, few)) / (many - few);
    }

    private long bookBytes(PoolProfile profile, int buffers) {
        MemoryConfig config =
                MemoryConfig.builder().profile(profile).maxPooled(0).build();
        try (GpuMemory memory = GpuMemory.builder()
                .backend(SimulatedBackend.card(8L << 30))
                .config(config)
                .open()) {
            PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
            BlockList book = pool.heaps().primary().blocks();
            pool.allocate(KIB).close();
            try (DeviceBuffer room = pool.allocate(512 * MIB)) { // so that the driver is not asked meanwhile
                assertThat(room.byteSize()).isPositive();
            }
            int[] names = new int[buffers];
            long bytes = allocated(() -> {
                for (int i = 0; i < names.length; i++) {
                    names[i] = book.hit(KIB, 256);
                }
                return book;
            });
            for (int name : names) {
                book.free(name);
            }
            return bytes;
        }
    }

    /** A closed buffer with work pending: an entry in the queue, and a link and a point for each operation. */
    @Test
    void bytesPerPendingOperation() {
        try (GpuMemory memory =
                GpuMemory.builder().backend(SimulatedBackend.card(8L << 30)).open()) {
            PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
            CompletionStage<Void> stage = new CompletableFuture<>();
            Point point = new Point.OnStage(stage);
            long link = each(_ -> new Point.Pending(point, null));
            long copy = each(i -> new Point.OnQueue(null, i));
            ReclaimQueue queue = new ReclaimQueue(pool.waiter());
            EngineBuffer buffer = (EngineBuffer) pool.allocate(4 * KIB);
            BlockList blocks = buffer.heap().blocks();
            Point.Pending pending = new Point.Pending(point, null);
            long entry = each(_ -> {
                queue.add(blocks, buffer.node(), pending);
                return queue;
            });
            System.out.printf(
                    "pending: %d bytes for a copy, %d for its link, %d for a closed buffer in the queue with its growth%n",
                    copy, link, entry);
            assertThat(queue.size()).isEqualTo(MANY);
            assertThat(copy).as("what is waited for").isLessThanOrEqualTo(24);
            assertThat(link).as("that it is waited for").isLessThanOrEqualTo(24);
            assertThat(entry)
                    .as("a closed buffer, with what the queue throws away as it grows")
                    .isLessThanOrEqualTo(32 + 20);
            queue.clear();
            buffer.close();
        }
    }

    /** However often an operation is noted, garbage does not pile up: what is done is dropped. */
    @Test
    void bytesPerNotedOperation() {
        try (GpuMemory memory =
                GpuMemory.builder().backend(SimulatedBackend.card(8L << 30)).open()) {
            PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
            try (DeviceBuffer open = pool.allocate(4 * KIB)) {
                EngineBuffer buffer = (EngineBuffer) open;
                Point done = new Point.OnStage(CompletableFuture.completedFuture(null));
                for (int i = 0; i < MANY; i++) {
                    buffer.addPending(done);
                }
                int length = 0;
                for (Point.Pending p = buffer.pending(); p != null; p = p.rest()) {
                    length++;
                }
                assertThat(length).isEqualTo(1);
            }
        }
    }

    /** Every way to a buffer of a size that is at hand: no driver call, and so many bytes on the Java heap. */
    @Test
    void pairsByEveryWay() {
        SimulatedBackend card = SimulatedBackend.card(8L << 30);
        try (GpuMemory memory = GpuMemory.builder().backend(card).open()) {
            PoolEngine pool = (PoolEngine) memory.pool(memory.devices().getFirst());
            AllocationRequest request = AllocationRequest.of(64 * KIB);
            AllocationRequest aligned = request.aligned(4096);
            record Way(String name, Runnable pair, long most) {}
            List<Way> ways = List.of(
                    new Way("allocate(bytes)", () -> pool.allocate(64 * KIB).close(), 40),
                    new Way("allocate(request)", () -> pool.allocate(request).close(), 64),
                    new Way("aligned", () -> pool.allocate(aligned).close(), 112),
                    new Way(
                            "with fallback",
                            () -> pool.allocateWithFallback(request).close(),
                            160));
            for (Way way : ways) {
                for (int i = 0; i < MANY; i++) {
                    way.pair().run();
                }
                long calls = card.device(0).ledger().totalCalls();
                long bytes = each(_ -> {
                    way.pair().run();
                    return way;
                });
                System.out.println(way.name() + ": " + bytes + " bytes per pair");
                assertThat(bytes).as(way.name()).isLessThanOrEqualTo(way.most());
                assertThat(card.device(0).ledger().totalCalls()).as(way.name()).isEqualTo(calls);
            }
        }
    }

    /** How many sizes a stripe holds at a time. */
    private static long sizesHeld(BufferCache cache) {
        for (int size = 1; size <= 120; size++) { // all of them together are below the bound in bytes
            int offer = 0; // it is kept when it comes again, once the one before has made room
            while (offer < OFFERS && cache.put(size * OFFERS + offer, 256L * size) != BufferCache.NONE) {
                offer++;
            }
        }
        BitSet sizes = new BitSet();
        boolean ignored = cache.drain((names, count) -> {
            for (int i = 0; i < count; i++) {
                sizes.set(names[i] / OFFERS);
            }
        });
        return sizes.cardinality();
    }

    /** The bytes of one of many, rounded to the nearest: what is made once is spread over all of them. */
    private long each(IntFunction<?> one) {
        Object[] kept = new Object[MANY];
        for (int i = 0; i < 10; i++) {
            kept[i] = one.apply(i); // what only a first call makes
        }
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 10; i < MANY; i++) {
            kept[i] = one.apply(i);
        }
        long bytes = threads.getCurrentThreadAllocatedBytes() - before;
        assertThat(kept).doesNotContainNull();
        return Math.round((double) bytes / (MANY - 10));
    }

    private long allocated(Supplier<?> call) {
        long before = threads.getCurrentThreadAllocatedBytes();
        Object result = call.get();
        long bytes = threads.getCurrentThreadAllocatedBytes() - before;
        assertThat(result).isNotNull();
        return bytes;
    }
}
