package dev.headroom.memory.benchmarks;

import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.IdAllocator;
import dev.headroom.memory.sim.Ledger;
import dev.headroom.memory.sim.SimulatedBackend;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * How long single calls take that make no driver call: allocations and frees by id in the mixed load, each timed by itself. Adds
 * {@code call/p50}, {@code call/p99.9} and {@code call/max} in ns, the two looks at the clock included, which take up most of the
 * first. What the machine or the garbage collector do to this thread is in the last.
 */
final class WorstCase {

    private static final long BYTES = 128L << 30;
    private static final int LIVE = 10_000;
    private static final int WARM_UP = 300_000;
    private static final int CALLS = 1_000_000;

    private final SimulatedBackend backend = Peers.backend(BYTES);
    private final SplittableRandom random = new SplittableRandom(11);
    private final long[] open = new long[LIVE];
    private final long[] nanos = new long[2 * CALLS];
    private int timed;

    private WorstCase() {}

    /** Adds the figures. */
    static void measure(Figures figures) {
        new WorstCase().run(figures);
    }

    private void run(Figures figures) {
        try (GpuMemory memory = Peers.memory(backend)) {
            GpuMemoryPool pool = memory.pool(memory.devices().getFirst());
            IdAllocator ids = pool.ids();
            for (int i = 0; i < LIVE; i++) {
                open[i] = ids.allocate(byteSize());
            }
            replace(ids, WARM_UP);
            timed = 0;
            replace(ids, CALLS);
        }
        Arrays.sort(nanos, 0, timed);
        figures.put("call/p50", (double) nanos[timed / 2], 0);
        figures.put("call/p99.9", (double) nanos[(int) (timed * 0.999)], 0);
        figures.put("call/max", (double) nanos[timed - 1], 0);
    }

    private void replace(IdAllocator ids, int count) {
        Ledger ledger = backend.device(0).ledger();
        long calls = ledger.totalCalls();
        for (int i = 0; i < count; i++) {
            int place = random.nextInt(LIVE);
            long bytes = byteSize();
            long start = System.nanoTime();
            ids.free(open[place]);
            long between = System.nanoTime();
            open[place] = ids.allocate(bytes);
            long end = System.nanoTime();
            long now = ledger.totalCalls();
            nanos[timed++] = between - start;
            if (now == calls) {
                nanos[timed++] = end - between;
            }
            calls = now;
        }
    }

    private long byteSize() {
        return (long) Math.exp(Math.log(256) + (Math.log(0x1p26) - Math.log(256)) * random.nextDouble());
    }
}
