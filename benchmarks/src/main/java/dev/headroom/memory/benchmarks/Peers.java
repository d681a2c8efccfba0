package dev.headroom.memory.benchmarks;

import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.IdAllocator;
import dev.headroom.memory.LocalCache;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.engine.Tlsf;
import dev.headroom.memory.sim.SimulatedBackend;
import dev.headroom.memory.sim.SimulatedDevice;
import io.netty.buffer.AdaptiveByteBufAllocator;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import java.util.List;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.RootAllocator;
import org.lwjgl.system.jemalloc.JEmalloc;
import org.lwjgl.system.rpmalloc.RPmalloc;
import org.lwjgl.system.rpmalloc.rpmalloc_interface_t;

/** Headroom and its peers, by name. Each runs in a process of its own, so that it is the only one the compiler sees. */
final class Peers {

    static final String HEADROOM = "headroom";
    static final String IDS = "headroom-ids";
    static final String LOCAL = "headroom-local";
    static final String CORE = "headroom-core";
    static final String VMA_BARE = "vma-bare";
    static final String VMA_SPIN = "vma-spin";
    static final String VMA_MONITOR = "vma-monitor";
    static final String JEMALLOC = "jemalloc";
    static final String RPMALLOC = "rpmalloc";
    static final String NETTY_POOLED = "netty-pooled";
    static final String NETTY_ADAPTIVE = "netty-adaptive";
    static final String ARROW = "arrow";
    static final String POW2 = "pow2-map";

    /** All of them. VMA without a lock is for one thread only. */
    static final List<String> ALL = List.of(
            HEADROOM, VMA_BARE, VMA_SPIN, VMA_MONITOR, JEMALLOC, RPMALLOC, NETTY_POOLED, NETTY_ADAPTIVE, ARROW, POW2);

    /** Those that touch no memory, and so can have more of it than the machine. */
    static final List<String> OF_ADDRESSES = List.of(HEADROOM, VMA_BARE, VMA_SPIN, VMA_MONITOR, POW2);

    private static final long GRANULE = 2L << 20;

    private Peers() {}

    /** A peer that can have so many bytes. */
    static Peer of(String name, long bytes) {
        return switch (name) {
            case HEADROOM -> {
                GpuMemoryPool pool = headroom(bytes);
                yield Peer.ofHandles(pool::allocate, DeviceBuffer::close);
            }
            case IDS -> {
                IdAllocator ids = headroom(bytes).ids();
                yield Peer.ofNumbers(ids::allocate, ids::free);
            }
            case LOCAL -> ofLocal(headroom(bytes));
            case CORE -> {
                Tlsf core = new Tlsf();
                int _ = core.addRegion(bytes);
                yield Peer.ofNumbers(size -> core.allocate(size, Tlsf.DEFAULT_GRANULE), node -> core.free((int) node));
            }
            case VMA_BARE -> {
                VmaBlock block = new VmaBlock(bytes);
                yield Peer.ofNumbers(block::allocate, block::free);
            }
            case VMA_SPIN -> {
                SpinLocked block = new SpinLocked(new VmaBlock(bytes));
                yield Peer.ofNumbers(block::allocate, block::free);
            }
            case VMA_MONITOR -> {
                MonitorLocked block = new MonitorLocked(new VmaBlock(bytes));
                yield Peer.ofNumbers(block::allocate, block::free);
            }
            case JEMALLOC -> Peer.ofNumbers(JEmalloc::nje_malloc, JEmalloc::nje_free);
            case RPMALLOC -> rpmalloc();
            case NETTY_POOLED -> netty(new PooledByteBufAllocator(true, 0, 2, 8192, 9, 256, 64, true, 0));
            case NETTY_ADAPTIVE -> netty(new AdaptiveByteBufAllocator(true, true));
            case ARROW -> {
                RootAllocator root = new RootAllocator(Long.MAX_VALUE);
                yield Peer.ofHandles(root::buffer, ArrowBuf::close);
            }
            case POW2 -> {
                Pow2Map pool = new Pow2Map();
                yield Peer.ofHandles(pool::allocate, pool::free);
            }
            default -> throw new IllegalArgumentException(name);
        };
    }

    /** The engine as it is, over a simulated driver that costs no time and has no contents. */
    static GpuMemoryPool headroom(long bytes) {
        SimulatedBackend backend = SimulatedBackend.builder("sim")
                .device(SimulatedDevice.builder("card")
                        .totalBytes(bytes)
                        .withoutContents()
                        .virtualMemory(GRANULE)
                        .granularity(GRANULE))
                .build();
        GpuMemory memory = GpuMemory.builder()
                .backend(backend)
                .config(MemoryConfig.builder()
                        .fraction(1)
                        .minFreeBytes(0)
                        .cpuFallback(false)
                        .build())
                .open();
        return memory.pool(memory.devices().getFirst());
    }

    /** Each thread makes a cache of its own where it enters. */
    private static Peer ofLocal(GpuMemoryPool pool) {
        return count -> {
            LocalCache cache = pool.localCache();
            return Peer.ofNumbers(cache::allocate, cache::free).slots(count);
        };
    }

    private static Peer rpmalloc() {
        boolean _ = RPmalloc.rpmalloc_initialize(rpmalloc_interface_t.calloc());
        Peer peer = Peer.ofNumbers(RPmalloc::nrpmalloc, RPmalloc::nrpfree);
        return new Peer() {
            @Override
            public Slots slots(int count) {
                return peer.slots(count);
            }

            @Override
            public void enterThread() {
                RPmalloc.rpmalloc_thread_initialize();
            }
        };
    }

    private static Peer netty(ByteBufAllocator allocator) {
        return Peer.ofHandles(bytes -> allocator.directBuffer((int) bytes, (int) bytes), ByteBuf::release);
    }
}
