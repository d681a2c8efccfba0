package dev.headroom.memory.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.headroom.memory.AllocationRequest;
import dev.headroom.memory.DeviceBuffer;
import dev.headroom.memory.FallbackBuffer;
import dev.headroom.memory.GpuMemory;
import dev.headroom.memory.GpuMemoryException;
import dev.headroom.memory.GpuMemoryPool;
import dev.headroom.memory.HostView;
import dev.headroom.memory.KeepAlive;
import dev.headroom.memory.MemoryConfig;
import dev.headroom.memory.MemoryKind;
import dev.headroom.memory.sim.SimulatedBackend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every call of every workload fails in turn, once or from there on, with every code. Afterwards no OpenCL object is
 * left but those whose own release was made to fail, and nothing was released twice or used after its release.
 */
class OpenClFaultSweepTest {

    /** Held, so that it is not collected with the handler. */
    private static final Logger LOGGER = Logger.getLogger("dev.headroom.memory");

    private static final int MIB = 1 << 20;

    /** Out of memory on the device, of resources, of memory on the host; the device gone; and a code without a name. */
    private static final int[] CODES = {-4, -5, -6, -2, -7777};

    /** More than any workload makes. */
    private static final int MOST_CALLS = 2000;

    private static final MemoryConfig CONFIG = MemoryConfig.builder()
            .fraction(1)
            .minFreeBytes(0)
            .stagingBytes(MIB)
            .limitBytes(8 * MIB)
            .waitTimeout(Duration.ofMillis(20))
            .closeTimeout(Duration.ofSeconds(30))
            .build();

    /** For a driver that answers nothing any more: what never ends is not worth a wait. */
    private static final MemoryConfig STICKY_CONFIG =
            CONFIG.toBuilder().closeTimeout(Duration.ofMillis(40)).build();

    /** What is done with a pool. */
    @FunctionalInterface
    private interface Workload {
        void run(GpuMemoryPool pool, Arena arena) throws Exception;
    }

    private static Map<String, Workload> workloads() {
        Map<String, Workload> all = new LinkedHashMap<>();
        all.put("allocate and close", (pool, arena) -> {
            try (DeviceBuffer a = pool.allocate(1000);
                    DeviceBuffer b = pool.allocate(3 * MIB)) {
                assertThat(a.byteSize() + b.byteSize()).isEqualTo(3 * MIB + 1000);
            }
            pool.shrink();
        });
        all.put("write and read", OpenClFaultSweepTest::writeAndRead);
        all.put("heap memory", (pool, arena) -> {
            try (DeviceBuffer buffer = pool.allocate(100_000)) {
                buffer.write(0, MemorySegment.ofArray(new byte[100_000]));
                buffer.read(0, MemorySegment.ofArray(new byte[100_000]));
            }
        });
        all.put("fill and copy", (pool, arena) -> {
            try (DeviceBuffer a = pool.allocate(AllocationRequest.of(4096).zeroed());
                    DeviceBuffer b = pool.allocate(4096)) {
                a.fill(1, 30, (byte) 7);
                a.copyTo(0, b, 0, 4096);
            }
        });
        all.put("asynchronous", OpenClFaultSweepTest::asynchronous);
        all.put("host views", (pool, arena) -> {
            for (MemoryKind kind : List.of(MemoryKind.UPLOAD, MemoryKind.READBACK)) {
                try (DeviceBuffer buffer =
                        pool.allocate(AllocationRequest.of(4096).ofKind(kind))) {
                    try (HostView first = buffer.map();
                            HostView second = buffer.map()) {
                        first.segment().fill((byte) 1);
                        second.segment().fill((byte) 2);
                    }
                }
            }
        });
        all.put("native views", (pool, arena) -> {
            OpenClQueue queue = OpenClContext.of(pool).queue();
            try (DeviceBuffer buffer = pool.allocate(4096)) {
                buffer.fill(0, 4096, (byte) 3);
                try (OpenClMem view = OpenClMem.of(buffer)) {
                    view.mem();
                    buffer.waitOn(queue);
                    buffer.usedOn(queue);
                }
                buffer.read(0, arena.allocate(4096));
            }
        });
        all.put("fallback", (pool, arena) -> {
            List<FallbackBuffer> live = new ArrayList<>();
            try {
                for (int i = 0; i < 10; i++) {
                    live.add(pool.allocateWithFallback(MIB));
                }
            } finally {
                live.forEach(FallbackBuffer::close);
            }
        });
        all.put("left open", (pool, arena) -> {
            DeviceBuffer buffer = pool.allocate(4096);
            buffer.fill(0, 4096, (byte) 3);
        });
        return all;
    }

    private static void writeAndRead(GpuMemoryPool pool, Arena arena) {
        MemorySegment bytes = arena.allocate(2 * MIB);
        try (DeviceBuffer buffer = pool.allocate(2 * MIB)) {
            buffer.write(0, bytes.fill((byte) 5));
            MemorySegment back = arena.allocate(2 * MIB);
            buffer.read(0, back);
            assertThat(back.mismatch(bytes)).isEqualTo(-1);
        }
    }

    private static void asynchronous(GpuMemoryPool pool, Arena arena) throws Exception {
        MemorySegment bytes = arena.allocate(MIB);
        try (DeviceBuffer buffer = pool.allocate(2 * MIB)) {
            List<CompletableFuture<Void>> futures = new ArrayList<>();
            futures.add(buffer.writeAsync(0, bytes));
            futures.add(buffer.writeAsync(MIB, bytes, KeepAlive.CALLER));
            futures.add(buffer.readAsync(0, bytes));
            for (CompletableFuture<Void> future : futures) {
                future.get(30, TimeUnit.SECONDS);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    @Timeout(300)
    void nothingIsLeftWhicheverCallFails(boolean card) {
        ClApi real = ScriptedCl.realOrSkip();
        int runs = 0;
        for (Map.Entry<String, Workload> workload : workloads().entrySet()) {
            for (int code : CODES) {
                for (boolean sticky : new boolean[] {false, true}) {
                    runs += sweep(workload, real, card, code, sticky, false);
                }
            }
            for (int status : new int[] {-5, -14}) {
                runs += sweep(workload, real, card, status, false, true);
            }
        }
        System.out.println((card ? "as a card: " : "as it is: ") + runs + " runs");
        assertThat(runs).isGreaterThan(1000);
    }

    /** Fails the first call, the second, and so on until a run ends before its turn comes. */
    private static int sweep(
            Map.Entry<String, Workload> workload,
            ClApi real,
            boolean card,
            int code,
            boolean sticky,
            boolean asStatus) {
        int misses = 0;
        for (int call = 1; call < MOST_CALLS; call++) {
            ScriptedCl cl = new ScriptedCl(real);
            if (card) {
                cl.looksLikeACard();
            }
            cl.failing(new ScriptedCl.Fault(call, code, sticky, asStatus));
            String what = "%s, call %d, code %d%s%s"
                    .formatted(workload.getKey(), call, code, sticky ? ", sticky" : "", asStatus ? ", as status" : "");
            List<String> log = logOf(() -> run(workload.getValue(), cl, sticky, what));
            List<String> faults = new ArrayList<>(cl.faults());
            if (sticky && log.stream().anyMatch(line -> line.contains("left to the operating system"))) {
                // The driver answers nothing any more: nobody can tell what the device still uses.
                faults.removeIf(fault -> fault.startsWith("left: "));
            }
            assertThat(faults).as(what + ": " + cl.hit()).isEmpty();
            if (cl.calls() < call) {
                return call;
            }
            misses += cl.hit().isEmpty() ? 1 : 0;
            assertThat(asStatus || misses == 0).as(what).isTrue();
        }
        return fail("the workload does not end");
    }

    private static void run(Workload workload, ScriptedCl cl, boolean sticky, String what) {
        try (Arena arena = Arena.ofShared()) {
            try (GpuMemory memory = GpuMemory.builder()
                    .backend(cl.backend())
                    .backend(SimulatedBackend.host(1L << 30))
                    .config(sticky ? STICKY_CONFIG : CONFIG)
                    .open()) {
                if (memory.devices().getFirst().backend().equals(OpenClBackend.NAME)) {
                    workload.run(memory.pool(memory.devices().getFirst()), arena);
                }
            } finally {
                cl.drain();
            }
        } catch (GpuMemoryException expected) {
            assertThat(expected).as(what).hasMessageContaining("opencl");
        } catch (ExecutionException failed) {
            assertThat(failed).as(what).hasCauseInstanceOf(GpuMemoryException.class);
        } catch (Exception | Error e) {
            throw new AssertionError(what + ": " + cl.hit(), e);
        }
    }

    /** What Headroom logs meanwhile. */
    private static List<String> logOf(Runnable action) {
        List<String> lines = new CopyOnWriteArrayList<>();
        Handler handler = new Handler() {
            @Override
            public void publish(LogRecord entry) {
                lines.add(entry.getMessage());
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        };
        LOGGER.addHandler(handler);
        LOGGER.setUseParentHandlers(false);
        try {
            action.run();
        } finally {
            LOGGER.setUseParentHandlers(true);
            LOGGER.removeHandler(handler);
        }
        return lines;
    }
}
