package dev.headroom.memory;

import static dev.headroom.memory.Machine.GIB;
import static dev.headroom.memory.Machine.MIB;
import static dev.headroom.memory.Machine.backend;
import static dev.headroom.memory.Machine.card;
import static dev.headroom.memory.Machine.open;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What blocks and frames cost that come and go, in exact counters: they show a loss without a quiet machine. */
class HotBlocksTest {

    private static final int WARM_UP = 2_000;
    private static final int PAIRS = 20_000;
    private static final int BATCH = 300;

    private final SimulatedBackend cuda = backend("cuda", card("RTX", GIB));
    private final GpuMemory memory = open(MemoryConfig.defaults(), cuda);
    private final GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
    private final FixedBlockPool blocks = pool.fixedBlocks(AllocationRequest.of(4096), 128);
    private final BufferStack stack = pool.stack(AllocationRequest.of(16 * MIB));
    private final int[] live = new int[BATCH];

    @AfterEach
    void closeAll() {
        blocks.close();
        stack.close();
        memory.close();
    }

    @Test
    void blocksMakeNoDriverCallAndNoGarbage() {
        requireFree(0, () -> blocks.free(blocks.allocate()));
    }

    /** Through several words and slabs, of which each empties in its turn. */
    @Test
    void theOldestOfManyMakesNoneEither() {
        blocks.allocate(live, 0, BATCH);
        int[] next = new int[1];
        requireFree(0, () -> {
            int at = next[0]++ % BATCH;
            blocks.free(live[at]);
            live[at] = blocks.allocate();
        });
        blocks.free(live, 0, BATCH);
    }

    @Test
    void batchesMakeNoneEither() {
        requireFree(0, () -> {
            blocks.allocate(live, 0, BATCH);
            blocks.free(live, 0, BATCH);
        });
    }

    /** A frame is an object, of 32 bytes where the compiler does not see that nobody keeps it. */
    @Test
    void aFrameMakesNoDriverCall() {
        requireFree(32, () -> {
            try (BufferStack.Frame frame = stack.push()) {
                frame.allocate(1000);
                frame.allocate(MIB);
            }
        });
    }

    @Test
    void whatAFrameAllocatesMakesNoGarbage() {
        BufferStack.Frame[] frame = {stack.push()};
        frame[0].allocate(MIB);
        requireFree(0, () -> frame[0].allocate(1));
        frame[0].close();
    }

    private void requireFree(long bytes, Runnable pair) {
        for (int i = 0; i < WARM_UP; i++) {
            pair.run();
        }
        // A monitor of the pool's asks for the budget now and then.
        long calls = cuda.device(0).ledger().calls("allocate");
        MemoryStats before = pool.stats();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < PAIRS; i++) {
            pair.run();
        }
        allocated = threads.getCurrentThreadAllocatedBytes() - allocated;
        assertThat(allocated / PAIRS).as("bytes on the Java heap per pair").isLessThanOrEqualTo(bytes);
        assertThat(cuda.device(0).ledger().calls("allocate")).isEqualTo(calls);
        assertThat(pool.stats().poolHits()).isEqualTo(before.poolHits());
        assertThat(pool.stats().poolMisses()).isEqualTo(before.poolMisses());
    }
}
